/**
 * Who asks. Without tokens everybody is `local`, and the gateway binds loopback only; with tokens, `owner:secret` makes an owner.
 *
 * A1: secrets are compared in constant time: both sides are digested first, and every token is looked at.
 * A2: a secret is in no log, error or answer.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TroupeError } from "../core/errors.ts";
import type { HttpHeaders } from "../core/ports/http-exchange.ts";
import { LOCAL_PRINCIPAL, type Principal } from "../core/principal.ts";
import { owner as ownerShape } from "../core/shapes.ts";

export interface Token {
  readonly owner: string;
  readonly secret: string;
}

/**
 * Reads `owner:secret`; the secret may hold colons.
 * @throws {TroupeError} `SETTING_INVALID`, without the secret
 */
export function parseToken(text: string): Token {
  const colon = text.indexOf(":");
  const token = { owner: text.slice(0, Math.max(0, colon)), secret: text.slice(colon + 1) };
  // An owner that begins with '$' is the system itself.
  if (colon < 1 || token.secret === "" || token.owner.startsWith("$") || !ownerShape.safeParse(token.owner).success) {
    throw new TroupeError("SETTING_INVALID", "A token has the form owner:secret; neither is empty, and an owner does not begin with '$'.");
  }
  if (!/^[\x21-\x7e]+$/.test(token.secret)) {
    throw new TroupeError(
      "SETTING_INVALID",
      `The secret of ${token.owner} has characters other than visible ASCII, which no header carries.`,
    );
  }
  return token;
}

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

export class Gatekeeper {
  readonly #entries: readonly { readonly owner: string; readonly digest: Buffer }[];

  constructor(tokens: readonly Token[]) {
    this.#entries = tokens.map(({ owner, secret }) => ({ owner, digest: digest(secret) }));
  }

  get isOpen(): boolean {
    return this.#entries.length === 0;
  }

  /** @throws {TroupeError} `UNAUTHORIZED` */
  principal(headers: HttpHeaders): Principal {
    if (this.isOpen) return LOCAL_PRINCIPAL;
    const [, scheme = "", credentials = ""] = /^(\S+) +(\S+) *$/.exec(headers["authorization"] ?? "") ?? [];
    const claim = readCredentials(scheme.toLowerCase(), credentials);
    if (claim === undefined) throw new TroupeError("UNAUTHORIZED");
    const claimed = digest(claim.secret);
    let principal: Principal | undefined;
    // A1: no early end, so that the time tells nothing about which token came close.
    for (const entry of this.#entries) {
      const isEqual = timingSafeEqual(entry.digest, claimed);
      if (isEqual && (claim.owner === undefined || claim.owner === entry.owner)) principal ??= { owner: entry.owner };
    }
    if (principal === undefined) throw new TroupeError("UNAUTHORIZED", "The token is not one of this server's.");
    return principal;
  }
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function readCredentials(scheme: string, credentials: string): { readonly owner?: string; readonly secret: string } | undefined {
  if (scheme === "bearer") return { secret: credentials };
  if (scheme !== "basic") return undefined;
  const text = Buffer.from(credentials, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 ? undefined : { owner: text.slice(0, colon), secret: text.slice(colon + 1) };
}
