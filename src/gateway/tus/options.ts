/** `OPTIONS`: which versions and extensions there are, and how large an upload may be. The only request that names no version. */
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { isPreflight, preflightHeaders } from "../cors.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { TUS_EXTENSIONS, TUS_VERSION, uploadBytesMax } from "./protocol.ts";
import { CHECKSUM_ALGORITHMS } from "./upload-checksum.ts";

export async function options(gateway: Gateway, { request }: Exchange, allow: string): Promise<HttpResponse> {
  return {
    status: 204,
    headers: {
      allow,
      "tus-version": TUS_VERSION,
      "tus-extension": TUS_EXTENSIONS.join(","),
      "tus-max-size": String(uploadBytesMax(gateway.options)),
      "tus-checksum-algorithm": CHECKSUM_ALGORITHMS.join(","),
      ...(isPreflight(request) ? preflightHeaders(allow) : {}),
    },
  };
}
