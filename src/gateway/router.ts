/**
 * From method and path to an endpoint. Patterns are as find-my-way has them: `/files/:fileId`, and `*` for all the rest.
 *
 * The library only finds the route; parameters are taken by position from the segments that were decoded once already.
 */
import assert from "node:assert/strict";
import findMyWay, { type HTTPMethod } from "find-my-way";
import { TARGET_BYTES_MAX } from "../core/limits.ts";
import type { HttpResponse } from "../core/ports/http-exchange.ts";
import type { Exchange } from "./exchange.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
export type RouteMethod = (typeof METHODS)[number];

export type Endpoint = (exchange: Exchange) => Promise<HttpResponse>;

/**
 * Who is let in: `anyone` needs no token, for it tells nothing of anybody's files; `principal` is an owner; `reader` an owner, or with `--public-read` everybody;
 * `file` the same, and whoever has a signed link to the route's `:fileId`.
 */
export type Access = "anyone" | "principal" | "reader" | "file";

export interface Route {
  /** GET answers HEAD too, where no route does. */
  readonly method: RouteMethod;
  readonly path: string;
  readonly access: Access;
  readonly endpoint: Endpoint;
  /** New work, listings included, which is refused while there is too much to do. What goes on with something, and what asks after it or how the server is, is not. */
  readonly beginsWork?: boolean;
  /** It looks into what others do, and is no part of that. */
  readonly isLook?: boolean;
  /** Fields of every answer at this address, refusals included. */
  readonly fields?: Readonly<Record<string, string>>;
}

export interface FoundRoute {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

export class Router {
  readonly #finder = findMyWay({ maxParamLength: TARGET_BYTES_MAX, caseSensitive: true });

  constructor(routes: readonly Route[]) {
    for (const route of routes) this.#finder.on(route.method, route.path, () => undefined, route);
  }

  /** The route that answers; otherwise the methods that the path does answer, which are none for an unknown path. */
  find(method: string, segments: readonly string[]): FoundRoute | readonly RouteMethod[] {
    const path = `/${segments.map(encodeURIComponent).join("/")}`;
    const isKnown = METHODS.some((known) => known === method);
    const own = isKnown ? this.#routeOf(method as HTTPMethod, path) : undefined;
    const route = own ?? (method === "HEAD" ? this.#routeOf("GET", path) : undefined);
    if (route !== undefined) return { route, params: paramsOf(route.path, segments) };
    return METHODS.filter((known) => this.#routeOf(known, path) !== undefined);
  }

  #routeOf(method: HTTPMethod, path: string): Route | undefined {
    return this.#finder.find(method, path)?.store as Route | undefined;
  }
}

/** `Allow` for the methods of a path. */
export function allowField(methods: readonly RouteMethod[]): string {
  return [...new Set([...methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])), "OPTIONS"])].join(", ");
}

function paramsOf(pattern: string, segments: readonly string[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.slice(1).split("/").entries()) {
    if (part === "*") params["*"] = segments.slice(index).join("/");
    else if (part.startsWith(":")) {
      const value = segments[index];
      assert(value !== undefined, "a route that was found has all its segments");
      params[part.slice(1)] = value;
    }
  }
  return params;
}
