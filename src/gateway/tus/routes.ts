/** `/tus/`: uploads by the tus protocol, for clients that speak it. */
import { TroupeError } from "../../core/errors.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { allowField, type Route, type RouteMethod } from "../router.ts";
import { terminate } from "./delete.ts";
import { head } from "./head.ts";
import { options } from "./options.ts";
import { patch } from "./patch.ts";
import { post } from "./post.ts";
import { inOurVersion, TUS_VERSION, type TusEndpoint } from "./protocol.ts";
import { TUS_PATH } from "./upload-address.ts";

type Verbs = Partial<Record<RouteMethod, TusEndpoint>>;

const ON_ALL: Verbs = { POST: post };
const ON_ONE: Verbs = { HEAD: head, PATCH: patch, DELETE: terminate };

export function tusRoutes(gateway: Gateway): Route[] {
  return [
    ...routesAt(gateway, TUS_PATH, ON_ALL),
    ...routesAt(gateway, `${TUS_PATH}/`, ON_ALL),
    ...routesAt(gateway, `${TUS_PATH}/:uploadId`, { ...ON_ONE, POST: overridden }),
  ];
}

function routesAt(gateway: Gateway, path: string, verbs: Verbs): Route[] {
  const methods = Object.keys(verbs) as RouteMethod[];
  // Every answer names the version, refusals included.
  const fields = { "tus-resumable": TUS_VERSION };
  return [
    // Browsers ask in advance, without a token, and so may a client that wants to know what the server can do.
    { method: "OPTIONS", path, access: "anyone", endpoint: (exchange) => options(gateway, exchange, allowField(methods)), fields },
    ...methods.map(
      (method): Route => ({
        method,
        path,
        access: "principal",
        // A POST to an upload's own address stands for another method.
        beginsWork: verbs[method] === post,
        endpoint: (exchange) => inOurVersion(verbs[method] as TusEndpoint)(gateway, exchange),
        fields,
      }),
    ),
  ];
}

/** Clients whose surroundings know neither PATCH nor DELETE say in a field which of them their POST stands for. */
async function overridden(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const method = exchange.request.headers["x-http-method-override"]?.trim().toUpperCase();
  const endpoint = method === "PATCH" || method === "DELETE" ? ON_ONE[method] : undefined;
  if (endpoint === undefined)
    throw new TroupeError("METHOD_NOT_ALLOWED", "POST to an upload's own address says in X-HTTP-Method-Override what it stands for.", {
      facts: { allow: allowField(["HEAD", "PATCH", "DELETE"]) },
    });
  return await endpoint(gateway, exchange);
}
