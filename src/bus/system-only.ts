/** Requests that only the system itself may make: actors speak as `SYSTEM_OWNER`, people as themselves. */
import { TroupeError } from "../core/errors.ts";
import type { Turn } from "./actor.ts";
import { SYSTEM_OWNER } from "./client.ts";

/**
 * @param why a sentence for whoever is refused
 * @throws {TroupeError} `FORBIDDEN` when a person asks
 */
export function mustBeSystem({ principal }: Pick<Turn, "principal">, why: string): void {
  if (principal.owner !== SYSTEM_OWNER) throw new TroupeError("FORBIDDEN", why);
}
