/** `/inspect`, the page, and what it and the command line ask: an upload's machine, a trace across all processes, the actors there are. */
import { catalog } from "../../actors/catalog/contract.ts";
import { inspector } from "../../actors/inspector/contract.ts";
import { type CallOptions, client } from "../../bus/client.ts";
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { INSPECT_ANSWERS_MS, PAGE_ITEMS_MAX } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { currentTrace, inTrace } from "../../core/trace.ts";
import { callOptions, type Exchange, jsonResponse, param } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { gatewayRoutes, LOOKS } from "../gateway-routes.ts";
import { findTrace } from "../inspecting/trace-view.ts";
import { inspectUpload } from "../inspecting/upload-inspection.ts";
import type { Route } from "../router.ts";
import { pageEndpoint } from "./page.ts";

const PAGE = "inspect.html";

export function inspectRoutes(gateway: Gateway): Route[] {
  const page = pageEndpoint(gateway);
  return [
    {
      method: "GET",
      path: "/inspect",
      access: "anyone",
      endpoint: async (exchange) => {
        const shown = page(PAGE, exchange);
        if (shown === undefined) throw new TroupeError("NOT_FOUND", "This gateway serves no pages.");
        return shown;
      },
    },
    ...gatewayRoutes(gateway, "/api/v1/inspect", [
      ["GET", "/uploads/:uploadId", oneUpload, LOOKS],
      ["GET", "/uploads/:uploadId/events", uploadEvents, LOOKS],
      ["GET", "/traces/:id", trace, LOOKS],
      ["GET", "/actors", actors, LOOKS],
    ]),
  ];
}

async function oneUpload(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  return jsonResponse(200, await inspected(gateway, exchange, callOptions(exchange)));
}

async function inspected(gateway: Gateway, exchange: Exchange, options: CallOptions): Promise<Record<string, unknown>> {
  return await inspectUpload(gateway, exchange, param(exchange, "uploadId"), { ...options, principal: exchange.principal });
}

async function uploadEvents(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };
  if (exchange.request.method === "HEAD") {
    await inspected(gateway, exchange, callOptions(exchange));
    return { status: 200, headers };
  }
  const uploadId = param(exchange, "uploadId");
  if (!isIdentity(uploadId)) throw new TroupeError("UPLOAD_NOT_FOUND");
  // It is looked into for longer than one exchange may take.
  // And always by whoever looks, also when it is somebody else's step that gives occasion to it.
  const trace = currentTrace();
  const body = await gateway.inspecting.open(uploadId, exchange.principal.owner, () =>
    inTrace(trace, () => inspected(gateway, exchange, {})),
  );
  return { status: 200, headers, body };
}

async function trace(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { principal } = exchange;
  gateway.lookups.take(principal.owner);
  const isAlone = gateway.options.tokens.length === 0;
  return jsonResponse(200, await findTrace(gateway.ports, param(exchange, "id"), { principal, isAlone }, callOptions(exchange)));
}

async function actors(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const actor = exchange.query.get("actor");
  if (actor !== undefined && !isIdentity(actor)) throw new TroupeError("BAD_REQUEST", "actor is the name of a contract, such as catalog.");
  const options = callOptions(exchange);
  const uploadIds = await ownUploads(gateway, options);
  const asked = { timeoutMs: INSPECT_ANSWERS_MS, signal: options.signal };
  const answers = await client(gateway.ports.bus, inspector).actors({ actor, uploadIds }, asked);
  const processes = answers
    .flatMap((answer) => (answer.ok ? [answer.output] : []))
    .filter(({ counts }) => actor === undefined || counts.length > 0)
    .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  return jsonResponse(200, { processes });
}

/** Of somebody else's uploads it is told how many there are, and no more. @returns `undefined`: there is nobody else */
async function ownUploads(gateway: Gateway, options: CallOptions): Promise<string[] | undefined> {
  if (gateway.options.tokens.length === 0) return undefined;
  const { uploads } = await client(gateway.ports.bus, catalog).uploads({ state: "receiving", limit: PAGE_ITEMS_MAX }, options);
  return uploads.map(({ uploadId }) => uploadId);
}
