/** Addresses of servers of somebody else's: checked, and shown without their passwords. */
import { TroupeError } from "../core/errors.ts";

/**
 * @param example how one is written
 * @param isList several may be given, with commas between
 * @throws {TroupeError} `SETTING_INVALID`, which repeats nothing of the text: it may hold a password
 */
export function parseEngineUrl(text: string, protocols: readonly string[], example: string, isList = false): string {
  for (const part of isList ? text.split(",") : [text]) {
    const url = URL.parse(part);
    if (url === null || !protocols.includes(url.protocol) || url.hostname === "")
      throw new TroupeError("SETTING_INVALID", `it is an address such as ${example}`);
  }
  return text;
}

/** `nats://storage:(secret)@host:4222`; a user without a password is taken for a token. */
export function withoutPassword(text: string): string {
  return text
    .split(",")
    .map((part) =>
      part.replace(/^([a-z]+:\/\/)([^@/]*)@/i, (_, scheme: string, user: string) => {
        const colon = user.indexOf(":");
        return `${scheme}${colon < 0 ? "" : `${user.slice(0, colon)}:`}(secret)@`;
      }),
    )
    .join(",");
}
