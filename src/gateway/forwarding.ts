/** Where a request really came from and under which address its client knows us: a proxy's word counts only when it is trusted. */
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { hostName } from "./host-check.ts";
import type { GatewayOptions } from "./ports.ts";

type Trust = Pick<GatewayOptions, "trustProxy" | "publicUrl">;

/** The address the nearest proxy saw, if proxies are trusted; otherwise the connection's. */
export function clientAddress(request: HttpRequest, { trustProxy }: Trust): string {
  const forwarded = trustProxy ? request.headers["x-forwarded-for"]?.split(",").at(-1)?.trim() : undefined;
  return forwarded !== undefined && /^[0-9a-f.:]{2,45}$/i.test(forwarded) ? forwarded : request.remoteAddress;
}

/** What URLs in answers begin with, without a slash at the end. The Host has been checked before. */
export function requestBaseUrl(request: HttpRequest, { trustProxy, publicUrl }: Trust, listeningUrl: string | undefined): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, "");
  const { host } = request.headers;
  if (host === undefined || hostName(host) === undefined) return listeningUrl ?? "http://localhost";
  const forwarded = trustProxy ? request.headers["x-forwarded-proto"] : undefined;
  const scheme = forwarded === "https" || forwarded === "http" ? forwarded : request.secure ? "https" : "http";
  return `${scheme}://${host}`;
}
