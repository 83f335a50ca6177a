/** `/api/v1/files`: what is known of files, renaming and deleting them, and listings, newest first. */
import { z } from "zod";
import { catalog } from "../../actors/catalog/contract.ts";
import { client } from "../../bus/client.ts";
import { TroupeError } from "../../core/errors.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { app, fileName, user } from "../../core/shapes.ts";
import { callOptions, type Exchange, jsonResponse, param } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { BEGINS_WORK, gatewayRoutes } from "../gateway-routes.ts";
import { readJson } from "../json-body.ts";
import { pageQuery } from "../page-query.ts";
import type { Route } from "../router.ts";
import { fileView } from "../views.ts";

const filter = z.object({ app: app.optional(), user: user.optional(), prefix: z.string().max(255).optional() });
const renaming = z.object({ name: fileName });

export function fileMetadataRoutes(gateway: Gateway): Route[] {
  return gatewayRoutes(gateway, "/api/v1/files", [
    ["GET", "", list, BEGINS_WORK],
    ["GET", "/:fileId", metadata],
    ["PATCH", "/:fileId", rename],
    ["DELETE", "/:fileId", remove],
  ]);
}

async function list(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { query } = exchange;
  const wanted = filter.safeParse({ app: query.get("app"), user: query.get("user"), prefix: query.get("prefix") });
  if (!wanted.success)
    throw new TroupeError("BAD_REQUEST", `${String(wanted.error.issues[0]?.path[0])}: ${wanted.error.issues[0]?.message}`);
  const page = await client(gateway.ports.bus, catalog).files({ ...wanted.data, ...pageQuery(query) }, callOptions(exchange));
  return jsonResponse(200, { files: page.files.map((file) => fileView(file, exchange.baseUrl)), cursor: page.cursor });
}

async function metadata(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  return jsonResponse(200, fileView(await gateway.files.find(param(exchange, "fileId"), onBehalf(exchange)), exchange.baseUrl));
}

async function rename(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { name } = await readJson(exchange.request, renaming, { name: "BAD_NAME" });
  return jsonResponse(200, fileView(await gateway.files.rename(param(exchange, "fileId"), name, onBehalf(exchange)), exchange.baseUrl));
}

async function remove(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  await gateway.files.delete(param(exchange, "fileId"), onBehalf(exchange));
  return { status: 204, headers: {} };
}

const onBehalf = (exchange: Exchange) => ({ ...callOptions(exchange), principal: exchange.principal });
