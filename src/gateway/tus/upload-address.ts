/** Addresses of uploads as tus clients know them: `/tus/<upload ID>`, given in `Location`, and given back in `Upload-Concat`. */
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { type Exchange, param } from "../exchange.ts";
import { clientSide } from "../forwarding.ts";
import type { Gateway } from "../gateway-parts.ts";

export const TUS_PATH = "/tus";

/**
 * A path, which the client completes by the address it asked: so it is right behind any proxy. With `--public-url` that one's address, which may have a
 * path of its own.
 */
export function locationOf(gateway: Gateway, exchange: Exchange, uploadId: string): string {
  const base = gateway.options.publicUrl === undefined ? "" : exchange.baseUrl;
  return `${base}${TUS_PATH}/${uploadId}`;
}

/** What cannot be an identity is no upload of ours. @throws {TroupeError} `UPLOAD_NOT_FOUND` */
export function uploadIdOf(exchange: Exchange): string {
  const uploadId = param(exchange, "uploadId");
  if (!isIdentity(uploadId)) throw new TroupeError("UPLOAD_NOT_FOUND");
  return uploadId;
}

/**
 * The upload that an address names: a path here, or a whole URL of this server, as it was in `Location` or as the client completed it.
 * @throws {TroupeError} `BAD_REQUEST` when it is none of this server's
 */
export function uploadIdAt(gateway: Gateway, exchange: Exchange, address: string): string {
  const { request, baseUrl } = exchange;
  const base = new URL(baseUrl);
  const url = URL.canParse(address, baseUrl) ? new URL(address, baseUrl) : undefined;
  const side = clientSide(request, gateway.options.trustProxy);
  // A proxy may have ended the encryption and say nothing of it, so the scheme is left out.
  const isHere = url !== undefined && (url.host === base.host || url.host === side.host?.toLowerCase());
  const uploadId = url === undefined ? "" : url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  const folder = url?.pathname.slice(0, -uploadId.length - 1);
  const folders = [TUS_PATH, `${base.pathname.replace(/\/+$/, "")}${TUS_PATH}`];
  const isBare = url?.search === "" && url.hash === "";
  if (!isHere || !isBare || !isIdentity(uploadId) || folder === undefined || !folders.includes(folder))
    throw new TroupeError("BAD_REQUEST", `Upload-Concat names addresses of uploads of this server, not ${address.slice(0, 200)}.`);
  return uploadId;
}
