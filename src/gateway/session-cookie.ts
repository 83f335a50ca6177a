/**
 * The cookie of whoever signed in at the page. No gateway keeps anything: the cookie says whose it is and until when, signed with a key
 * made of the owner's secret, so that each gateway with the same tokens takes it and a changed secret ends it.
 *
 * C1: no script reads it (HttpOnly), and where the user came by https it travels by https only (Secure).
 * C2: `SameSite=Lax`: a link to a file in somebody's mail opens, while pages of others cannot send it along with anything else. What
 *     changes something needs a proof besides, that it comes from our own page (see {@link Admission}).
 */

import { SESSION_SECONDS } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";
import { type OwnerKey, signature, signer } from "./owner-keys.ts";

const NAME = "troupe_session";

export interface CookieSession {
  readonly owner: string;
  readonly expiresMs: number;
}

export interface NewSession extends CookieSession {
  /** The value of `Set-Cookie`. */
  readonly field: string;
}

export class SessionCookies {
  readonly #keys: readonly OwnerKey[];
  readonly #clock: Clock;

  constructor(keys: readonly OwnerKey[], clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /** @param isEncrypted the user reaches this server by https */
  make({ owner, sessions }: OwnerKey, isEncrypted: boolean): NewSession {
    const expires = Math.floor(this.#clock.wallMs() / 1000) + SESSION_SECONDS;
    const value = `${Buffer.from(owner).toString("base64url")}.${expires}.${signature(sessions, wordsOf(owner, String(expires)))}`;
    return { owner, expiresMs: expires * 1000, field: cookieField(value, SESSION_SECONDS, isEncrypted) };
  }

  /** Of a cookie that is genuine and has not ended. */
  read(cookies: string | undefined): CookieSession | undefined {
    const [, name, expires, claimed] = VALUE.exec(cookies ?? "") ?? [];
    if (name === undefined || expires === undefined || claimed === undefined) return undefined;
    const owner = Buffer.from(name, "base64url").toString("utf8");
    const key = signer(this.#keys, "sessions", (own) => wordsOf(own, expires), claimed);
    const expiresMs = Number(expires) * 1000;
    return key?.owner === owner && this.#clock.wallMs() < expiresMs ? { owner, expiresMs } : undefined;
  }
}

/** What takes the cookie away. */
export function endedCookieField(isEncrypted: boolean): string {
  return cookieField("", 0, isEncrypted);
}

const VALUE = new RegExp(`(?:^|;) *${NAME}=([A-Za-z0-9_-]{1,512})\\.(\\d{1,12})\\.([A-Za-z0-9_-]{43}) *(?:;|$)`);

const wordsOf = (owner: string, expires: string): readonly string[] => [owner, expires];

function cookieField(value: string, seconds: number, isEncrypted: boolean): string {
  return `${NAME}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${isEncrypted ? "; Secure" : ""}`;
}
