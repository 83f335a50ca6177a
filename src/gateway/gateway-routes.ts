/** Routes below one address that want a principal and share a gateway. */
import type { HttpResponse } from "../core/ports/http-exchange.ts";
import type { Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import type { Route, RouteMethod } from "./router.ts";

type GatewayEndpoint = (gateway: Gateway, exchange: Exchange) => Promise<HttpResponse>;

/** For what is new work. */
export const BEGINS_WORK = { beginsWork: true } as const;

/** For what looks into what others do. */
export const LOOKS = { isLook: true } as const;

/** @param rows method, path below `address`, what answers, and what else there is to say of it */
export function gatewayRoutes(
  gateway: Gateway,
  address: string,
  rows: readonly (readonly [method: RouteMethod, path: string, endpoint: GatewayEndpoint, more?: Pick<Route, "beginsWork" | "isLook">])[],
): Route[] {
  return rows.map(([method, path, endpoint, more]) => ({
    ...more,
    method,
    path: `${address}${path}`,
    access: "principal",
    endpoint: (exchange) => endpoint(gateway, exchange),
  }));
}
