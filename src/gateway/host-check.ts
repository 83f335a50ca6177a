/**
 * Which names this server answers to and which pages may talk to it, also on loopback.
 *
 * N1: a Host that is neither this machine, nor where we listen, nor the public URL's is refused: a page whose name was made to point
 *     here (DNS rebinding) names itself in Host. Its port does not matter: ports are forwarded, names are what an attacker has.
 * N2: a foreign Origin is refused with every method, and so is a cross-site request that changes something, unless the origin is one
 *     of those allowed. `null`, the origin of sandboxed pages, our own files included, is foreign.
 */
import { isIP } from "node:net";
import { TroupeError } from "../core/errors.ts";
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { clientSide, hostName } from "./forwarding.ts";
import { isLoopbackHost } from "./listening.ts";

export interface HostCheckOptions {
  readonly publicUrl?: string | undefined;
  /** Origins such as `https://player.example`; `*` is any. */
  readonly corsOrigins: readonly string[];
  readonly hasTokens: boolean;
  readonly trustProxy: boolean;
  /** Where the gateway listens, once it does. */
  readonly listenHost: () => string | undefined;
}

/** What changes nothing. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

export class HostCheck {
  readonly #options: HostCheckOptions;
  readonly #publicName: string | undefined;
  readonly #publicOrigin: string | undefined;
  readonly #corsOrigins: ReadonlySet<string>;

  constructor(options: HostCheckOptions) {
    this.#options = options;
    const url = options.publicUrl === undefined ? undefined : new URL(options.publicUrl);
    this.#publicName = url?.hostname.toLowerCase();
    this.#publicOrigin = url?.origin;
    this.#corsOrigins = new Set(options.corsOrigins.map((origin) => (origin === "*" ? origin : new URL(origin).origin)));
  }

  /** @throws {TroupeError} `FOREIGN_HOST`, `FOREIGN_ORIGIN` */
  check(request: HttpRequest): void {
    const { origin } = request.headers;
    const { host } = clientSide(request, this.#options.trustProxy);
    // Only HTTP/1.0 has no Host, and no browser speaks it.
    if (host !== undefined && !this.#isKnownHost(host)) throw new TroupeError("FOREIGN_HOST");
    if (origin !== undefined) {
      if (!this.isAllowedOrigin(origin) && !this.#isOwnOrigin(origin, host)) throw new TroupeError("FOREIGN_ORIGIN");
      return;
    }
    if (request.headers["sec-fetch-site"] === "cross-site" && !SAFE_METHODS.has(request.method)) throw new TroupeError("FOREIGN_ORIGIN");
  }

  /** Whether a page of ours asks, or nobody can have been made to ask by a page: only then a cookie counts. */
  isOwnPage(request: HttpRequest): boolean {
    const { origin, "sec-fetch-site": site } = request.headers;
    if (origin !== undefined) return this.#isOwnOrigin(origin, clientSide(request, this.#options.trustProxy).host);
    return site === "same-origin" || SAFE_METHODS.has(request.method);
  }

  /** One of those that `--cors-origin` names. */
  isAllowedOrigin(origin: string): boolean {
    return this.allowsEveryOrigin || this.#corsOrigins.has(origin);
  }

  get allowsEveryOrigin(): boolean {
    return this.#corsOrigins.has("*");
  }

  #isKnownHost(host: string): boolean {
    const name = hostName(host);
    if (name === undefined) return false;
    const listenHost = this.#options.listenHost()?.toLowerCase();
    if (isLoopbackHost(name) || name === listenHost || name === this.#publicName) return true;
    // Rebinding takes a name; an address is where the client really went. Only a gateway that asks for tokens is bound beyond loopback.
    const isBeyondLoopback = listenHost !== undefined && !isLoopbackHost(listenHost);
    return this.#options.hasTokens && isBeyondLoopback && isIP(name) !== 0;
  }

  #isOwnOrigin(origin: string, host: string | undefined): boolean {
    if (origin === this.#publicOrigin) return true;
    if (host === undefined || !URL.canParse(origin)) return false;
    const url = new URL(origin);
    const port = DEFAULT_PORTS[url.protocol];
    // A proxy may speak TLS for us, so the scheme is the page's affair; but its default port is left out on one side or the other.
    return port !== undefined && withPort(url.host, port) === withPort(host.toLowerCase(), port);
  }
}

const withPort = (host: string, port: string): string => (/:\d+$/.test(host.replace(/^\[.*\]/, "")) ? host : `${host}:${port}`);
