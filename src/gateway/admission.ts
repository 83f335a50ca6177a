/**
 * Who asks, and whether they may come in: by a token in a header, by the cookie of the page, by a signed link, or, where reading is public,
 * without anything.
 *
 * A1: a secret is compared in constant time, both sides digested first, and every token looked at.
 * A2: a secret is in no log, error or answer.
 * A3: a token in a header goes before a cookie, and a wrong one is refused whatever else is there.
 * A4: a cookie counts only for our own pages. With an Origin, only ours; without one, only for what changes nothing, or where the browser says
 *     that the page is ours (`Sec-Fetch-Site`). A page of an origin that `--cors-origin` allows has its own token.
 */
import { timingSafeEqual } from "node:crypto";
import { TroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { ANYONE, LOCAL_PRINCIPAL, type Principal } from "../core/principal.ts";
import { type HostCheck, SAFE_METHODS } from "./host-check.ts";
import { type OwnerKey, ownerKeys, secretDigest, type Token } from "./owner-keys.ts";
import type { FoundRoute } from "./router.ts";
import { type CookieSession, type NewSession, SessionCookies } from "./session-cookie.ts";
import { SignedLinks } from "./signed-link.ts";

/** A request as far as admission looks at it. */
type Asking = HttpRequest;

export interface AdmissionOptions {
  readonly tokens: readonly Token[];
  readonly publicRead: boolean;
}

export class Admission {
  readonly links: SignedLinks;
  readonly #keys: readonly OwnerKey[];
  readonly #cookies: SessionCookies;
  readonly #hostCheck: HostCheck;
  readonly #publicRead: boolean;

  constructor({ tokens, publicRead }: AdmissionOptions, hostCheck: HostCheck, clock: Clock) {
    this.#keys = ownerKeys(tokens);
    this.#publicRead = publicRead;
    this.#hostCheck = hostCheck;
    this.#cookies = new SessionCookies(this.#keys, clock);
    this.links = new SignedLinks(this.#keys, clock, !this.isOpen && !publicRead);
  }

  /** No tokens: everybody is `local`. */
  get isOpen(): boolean {
    return this.#keys.length === 0;
  }

  /**
   * On whose behalf the route answers.
   * @throws {TroupeError} `UNAUTHORIZED`, `FORBIDDEN`, `LINK_EXPIRED`, `FOREIGN_ORIGIN`
   */
  admit({ route, params }: FoundRoute, request: Asking, query: ReadonlyMap<string, string>): Principal {
    const { access } = route;
    if (access === "anyone" || this.isOpen) return LOCAL_PRINCIPAL;
    if (access === "principal") return this.#owner(request);
    if (access === "reader") return this.#publicRead ? (this.whoIs(request) ?? ANYONE) : this.#owner(request);
    // Where everybody may read a file, nothing that comes along makes a difference.
    if (this.#publicRead) return ANYONE;
    return this.links.open(params["fileId"] ?? "", query) ?? this.#owner(request);
  }

  /** Whether what the route answers, once it let somebody in, is for whoever has the address: any page may show it. */
  isForEveryone({ route: { access } }: FoundRoute, query: ReadonlyMap<string, string>): boolean {
    if (this.#publicRead) return access === "file" || access === "reader";
    return access === "file" && !this.isOpen && query.has("signature");
  }

  /**
   * The owner who asks, if anybody says so.
   * @throws {TroupeError} `UNAUTHORIZED` for a token that is wrong, `FOREIGN_ORIGIN` for a cookie without its proof (A4)
   */
  whoIs(request: Asking): (Principal & Partial<CookieSession>) | undefined {
    const { authorization, cookie } = request.headers;
    // A3
    if (authorization !== undefined) return { owner: this.#byAuthorization(authorization).owner };
    const session = this.#cookies.read(cookie);
    if (session === undefined || this.#hostCheck.isOwnPage(request)) return session;
    if (SAFE_METHODS.has(request.method)) return undefined;
    throw new TroupeError(
      "FOREIGN_ORIGIN",
      "What changes something with the page's cookie comes from the page itself, and says so in Origin.",
    );
  }

  /**
   * A cookie for whoever has a token.
   * @param text `owner:secret` or the secret; absent: the token is in the request's Authorization
   * @throws {TroupeError} `UNAUTHORIZED`
   */
  signIn(request: Asking, text: string | undefined, isEncrypted: boolean): NewSession {
    const { authorization = "" } = request.headers;
    const key = text === undefined ? this.#byAuthorization(authorization) : this.#byClaims([{ secret: text }, ...ownerAndSecret(text)]);
    return this.#cookies.make(key, isEncrypted);
  }

  #owner(request: Asking): Principal {
    const found = this.whoIs(request);
    if (found === undefined) throw new TroupeError("UNAUTHORIZED");
    return { owner: found.owner };
  }

  #byAuthorization(field: string): OwnerKey {
    const [, scheme = "", credentials = ""] = /^(\S+) +(\S+) *$/.exec(field) ?? [];
    if (scheme.toLowerCase() === "bearer") return this.#byClaims([{ secret: credentials }]);
    if (scheme.toLowerCase() !== "basic") throw new TroupeError("UNAUTHORIZED");
    return this.#byClaims(ownerAndSecret(Buffer.from(credentials, "base64").toString("utf8")));
  }

  #byClaims(claims: readonly Claim[]): OwnerKey {
    let found: OwnerKey | undefined;
    for (const claim of claims) {
      const claimed = secretDigest(claim.secret);
      // A1: no early end, so that the time tells nothing about which token came close.
      for (const key of this.#keys) {
        const isEqual = timingSafeEqual(key.secretDigest, claimed);
        if (isEqual && (claim.owner === undefined || claim.owner === key.owner)) found ??= key;
      }
    }
    if (found === undefined) throw new TroupeError("UNAUTHORIZED", "The token is not one of this server's.");
    return found;
  }
}

interface Claim {
  readonly owner?: string;
  readonly secret: string;
}

function ownerAndSecret(text: string): readonly Claim[] {
  const colon = text.indexOf(":");
  return colon === -1 ? [] : [{ owner: text.slice(0, colon), secret: text.slice(colon + 1) }];
}

/**
 * `WWW-Authenticate` of a 401. Basic makes browsers ask in a dialog of their own, as players and rclone do in theirs; a page that fetches asks
 * by itself. Browsers tell the two apart in `Sec-Fetch-Mode`, but not to a server without TLS in the local network: there the page
 * says so itself, in `X-Requested-With`.
 */
export function challenges({ headers }: Pick<HttpRequest, "headers">): readonly string[] {
  const mode = headers["sec-fetch-mode"];
  const isByScript = headers["x-requested-with"] !== undefined || (mode !== undefined && mode !== "navigate");
  return ['Bearer realm="Troupe"', ...(isByScript ? [] : ['Basic realm="Troupe", charset="UTF-8"'])];
}
