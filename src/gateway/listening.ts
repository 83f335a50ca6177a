/** Where a gateway may listen: without tokens everybody is `local`, so it serves this machine only. */
import { TroupeError } from "../core/errors.ts";
import type { Token } from "./owner-keys.ts";

/**
 * A gateway without tokens serves this machine only.
 * @throws {TroupeError} `SETTING_INVALID`
 */
export function assertBindAllowed(host: string, tokens: readonly Token[]): void {
  if (tokens.length > 0 || isLoopbackHost(host)) return;
  throw new TroupeError(
    "SETTING_INVALID",
    `Without a token everybody who can reach ${host} could read, write and delete every file: give --token owner:secret, or leave --host at 127.0.0.1.`,
  );
}

export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return (
    bare === "localhost" ||
    bare === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(bare) ||
    /^::ffff:127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(bare)
  );
}
