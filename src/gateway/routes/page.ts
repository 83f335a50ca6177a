/**
 * The page for people and the files it is made of: scripts, its style, the libraries it stands on.
 *
 * P1: a fixed table, read when the process started: no part of a request ever becomes a path.
 * P2: nothing runs that this server did not send, and the page speaks to nobody else. `wasm-unsafe-eval` is for the digests, which are
 *     computed by WebAssembly.
 * P3: every file is asked for anew and answered by its strong entity tag: a page never stands on files of two versions for long.
 */

import { createHash } from "node:crypto";
import { evaluateConditions, type Validators } from "../../core/conditional.ts";
import { TroupeError } from "../../core/errors.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { type Exchange, param } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";

const ETAG_DIGITS = 32;
const CONTENT_SECURITY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "media-src 'self'",
  "connect-src 'self'",
  // Chromium shows a PDF by an object of its own inside the frame.
  "frame-src 'self'",
  "object-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** A file of the page, as it is sent. */
export interface PageFile {
  /** The last segment of its address: `/page/{name}`; `index.html` is the page itself. */
  readonly name: string;
  readonly contentType: string;
  readonly text: string;
}

/** Answers with one file of the page, or says that it is still as it was. */
export type PageEndpoint = (name: string, exchange: Exchange) => HttpResponse | undefined;

export function pageEndpoint({ ports, options }: Gateway): PageEndpoint {
  const startedMs = ports.clock.wallMs();
  const files = new Map((options.page ?? []).map((file) => [file.name, { ...file, current: validators(file, startedMs) }]));
  return (name, { request }) => {
    const file = files.get(name);
    if (file === undefined) return undefined;
    const { current, contentType, text } = file;
    const headers = {
      etag: current.etag,
      "cache-control": "no-cache",
      "content-security-policy": CONTENT_SECURITY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    };
    const outcome = evaluateConditions(request.method, request.headers, current, ports.clock.wallMs());
    if (outcome === "failed") throw new TroupeError("PRECONDITION_FAILED");
    if (outcome === "not-modified") return { status: 304, headers };
    return { status: 200, headers: { ...headers, "content-type": contentType }, body: text };
  };
}

/** Addresses of what the page is made of. Its own address is the index's. */
export function pageRoutes(gateway: Gateway): Route[] {
  const answer = pageEndpoint(gateway);
  return [
    {
      method: "GET",
      path: "/page/:name",
      access: "anyone",
      endpoint: async (exchange) => {
        const response = answer(param(exchange, "name"), exchange);
        if (response === undefined) throw new TroupeError("NOT_FOUND");
        return response;
      },
    },
  ];
}

function validators({ text }: PageFile, modifiedMs: number): Validators {
  return { etag: `"${createHash("sha256").update(text).digest("hex").slice(0, ETAG_DIGITS)}"`, modifiedMs };
}
