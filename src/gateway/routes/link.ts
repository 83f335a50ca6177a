/** `POST /api/v1/files/{fileId}/link`: an address that plays this one file without a token, until it ends. */
import { z } from "zod";
import { LINK_SECONDS_DEFAULT, LINK_SECONDS_MAX } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { callOptions, type Exchange, hasBody, jsonResponse, param } from "../exchange.ts";
import { fileUrl } from "../file-url.ts";
import type { Gateway } from "../gateway-parts.ts";
import { gatewayRoutes } from "../gateway-routes.ts";
import { readJson } from "../json-body.ts";
import type { Route } from "../router.ts";

const wish = z.object({ expiresSeconds: z.int().positive().max(LINK_SECONDS_MAX).default(LINK_SECONDS_DEFAULT) });

export function linkRoutes(gateway: Gateway): Route[] {
  return gatewayRoutes(gateway, "/api/v1/files", [["POST", "/:fileId/link", link]]);
}

async function link(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { principal, request, baseUrl } = exchange;
  const { expiresSeconds } = hasBody(request) ? await readJson(request, wish) : wish.parse({});
  const { fileId, name } = await gateway.files.find(param(exchange, "fileId"), { ...callOptions(exchange), principal });
  const { query, expiresMs } = gateway.admission.links.sign(principal, fileId, expiresSeconds);
  return jsonResponse(200, {
    url: `${fileUrl(baseUrl, fileId, name)}${query}`,
    // Without tokens, and where reading is public, the plain address is all there is, and it does not end.
    expires: expiresMs === undefined ? null : new Date(expiresMs).toISOString(),
  });
}
