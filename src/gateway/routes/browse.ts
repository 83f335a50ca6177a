/**
 * `/browse/{user}/{name}`: files by name, the newest of each, and folders as listings: HTML for people, rclone and wget, JSON for programs,
 * a playlist for players.
 *
 * B1: what somebody else has is looked for like what nobody has, and is not there.
 * B2: a name that is both a file and a folder is a file without a slash at its end, and a folder with one.
 */
import type { LocatedFile } from "../../actors/catalog/contract.ts";
import { TroupeError } from "../../core/errors.ts";
import { PAGE_ITEMS_MAX } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { fileName, folderPath, user as userLabel } from "../../core/shapes.ts";
import { BROWSE, browsePath } from "../browse-address.ts";
import { contentDisposition } from "../content-disposition.ts";
import { callOptions, type Exchange, jsonResponse } from "../exchange.ts";
import { type Folder, folderReader } from "../folder-pages.ts";
import type { Gateway } from "../gateway-parts.ts";
import { LISTING_POLICY, listingHtml } from "../listing-html.ts";
import { pageQuery } from "../page-query.ts";
import { PLAYLIST_TYPE, playlist } from "../playlist.ts";
import type { Route } from "../router.ts";
import { splitTarget } from "../target.ts";
import { folderView } from "../views.ts";
import { serveFile } from "./files.ts";

export function browseRoutes(gateway: Gateway): Route[] {
  return [
    { method: "GET", path: "/browse", access: "reader", endpoint: async (exchange) => movedTo(BROWSE, exchange) },
    { method: "GET", path: "/browse/*", access: "reader", endpoint: (exchange) => browse(gateway, exchange), beginsWork: true },
  ];
}

async function browse(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const rest = exchange.params["*"] ?? "";
  if (rest === "") return await listing(gateway, exchange, { path: "" });
  const slash = rest.indexOf("/");
  const user = slash === -1 ? rest : rest.slice(0, slash);
  if (!userLabel.safeParse(user).success) throw new TroupeError("NOT_FOUND");
  if (slash === -1) return movedTo(browsePath(user, ""), exchange);
  const name = rest.slice(slash + 1);
  if (name === "" || name.endsWith("/")) return await listing(gateway, exchange, { user, path: name });
  return await fileOrFolder(gateway, exchange, user, name);
}

/** B2 */
async function fileOrFolder(gateway: Gateway, exchange: Exchange, user: string, name: string): Promise<HttpResponse> {
  if (!fileName.safeParse(name).success) throw new TroupeError("NOT_FOUND");
  let file: LocatedFile;
  try {
    file = await gateway.files.findByName(user, name, { ...callOptions(exchange), principal: exchange.principal });
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "FILE_NOT_FOUND") throw error;
    const path = `${name}/`;
    if (!folderPath.safeParse(path).success) throw error;
    const { entries } = await folderReader(gateway, exchange, { user, path })({ limit: 1 });
    if (entries.length === 0) throw error;
    return movedTo(browsePath(user, path), exchange);
  }
  return await serveFile(gateway, exchange, file);
}

async function listing(gateway: Gateway, exchange: Exchange, folder: Folder): Promise<HttpResponse> {
  const { query, request } = exchange;
  if (!folderPath.safeParse(folder.path).success) throw new TroupeError("NOT_FOUND");
  const read = folderReader(gateway, exchange, folder);
  const wantsJson = isJsonWanted(exchange);
  const page = await read(wantsJson ? pageQuery(query) : { limit: PAGE_ITEMS_MAX });
  // Folders are there by what is in them; what is above all of a user's files is always there.
  if (folder.path !== "" && page.entries.length === 0 && page.cursor === undefined && !query.has("cursor"))
    throw new TroupeError("NOT_FOUND");
  if (wantsJson) return jsonResponse(200, folderView(folder, page, exchange.baseUrl), { vary: "accept" });
  const common = { "cache-control": "no-store", "x-content-type-options": "nosniff", vary: "accept" };
  if (query.has("m3u")) {
    const name = folder.path.split("/").at(-2) ?? folder.user ?? "files";
    const headers = { ...common, "content-type": PLAYLIST_TYPE, "content-disposition": contentDisposition("inline", `${name}.m3u`) };
    return { status: 200, headers, body: request.method === "HEAD" ? undefined : await playlist(gateway, exchange, folder, page, read) };
  }
  const headers = { ...common, "content-type": "text/html; charset=utf-8", "content-security-policy": LISTING_POLICY };
  return { status: 200, headers, body: request.method === "HEAD" ? undefined : listingHtml(folder, page, read) };
}

/** A page of JSON is asked for; whoever takes anything gets HTML, for that is what mirrors do. */
function isJsonWanted({ query, request }: Exchange): boolean {
  const format = query.get("format");
  if (format !== undefined) return format === "json";
  const accept = request.headers["accept"]?.toLowerCase() ?? "";
  return accept.includes("application/json") && !accept.includes("text/html");
}

/** Not for ever: a file of that name may come. */
function movedTo(path: string, { request }: Exchange): HttpResponse {
  const { query } = splitTarget(request.target);
  return { status: 308, headers: { location: query === "" ? path : `${path}?${query}`, "cache-control": "no-store" } };
}
