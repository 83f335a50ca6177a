/** One request on its way through a route: what came, who asks, and what the path and query say. */
import type { CallOptions } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import type { HttpRequest, HttpResponse } from "../core/ports/http-exchange.ts";
import type { Principal } from "../core/principal.ts";

export interface Exchange {
  readonly request: HttpRequest;
  /** An owner; on routes for readers perhaps `ANYONE`. */
  readonly principal: Principal;
  readonly requestId: string;
  /** Values for the `:names` of the route's path, and `*`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: ReadonlyMap<string, string>;
  /** `https://files.example`: what URLs in answers begin with. */
  readonly baseUrl: string;
  /** The user reaches this server by https, if not always this server itself. */
  readonly isEncrypted: boolean;
}

/** A parameter the route's path has. */
export function param(exchange: Exchange, name: string): string {
  const value = exchange.params[name];
  if (value === undefined) throw new TroupeError("INTERNAL", `The route has no parameter ${name}.`);
  return value;
}

/** On whose behalf actors are asked; the question ends with the client. */
export function callOptions(exchange: Exchange): CallOptions {
  return { principal: exchange.principal, signal: exchange.request.signal };
}

export function jsonResponse(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
    body: `${JSON.stringify(value)}\n`,
  };
}

/** Whether a body comes with the request, also an empty one in frames. */
export function hasBody({ headers }: HttpRequest): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

/**
 * The declared length of the body, if there is one.
 * @throws {TroupeError} `TOO_LARGE` past `bytesMax`; compared before it becomes a number
 */
export function declaredLength(request: HttpRequest, bytesMax: number): number | undefined {
  const field = request.headers["content-length"];
  if (field === undefined) return undefined;
  if (!/^\d{1,20}$/.test(field)) throw new TroupeError("BAD_REQUEST", "Content-Length is a whole number.");
  if (BigInt(field) > BigInt(bytesMax))
    throw new TroupeError("TOO_LARGE", `A body has at most ${bytesMax} bytes here.`, { facts: { bytesMax } });
  return Number(field);
}
