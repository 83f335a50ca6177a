/**
 * Where a request really came from and under which address its client knows us.
 *
 * F1: what a proxy says counts only when proxies are trusted (`--trust-proxy`). Of several, the nearest one's word counts, which stands last: all
 *     before it may be the client's own invention.
 */
import type { HttpRequest } from "../core/ports/http-exchange.ts";

export interface ClientSide {
  /** The client's network address. */
  readonly address: string;
  /** The name, and port, under which the client asked. */
  readonly host: string | undefined;
  readonly scheme: "http" | "https";
}

export function clientSide(request: HttpRequest, trustProxy: boolean): ClientSide {
  const said = (name: string): string | undefined => (trustProxy ? request.headers[name]?.split(",").at(-1)?.trim() : undefined);
  const address = said("x-forwarded-for");
  const scheme = said("x-forwarded-proto");
  return {
    address: address !== undefined && /^[0-9a-f.:]{2,45}$/i.test(address) ? address : request.remoteAddress,
    host: said("x-forwarded-host") || request.headers["host"],
    scheme: scheme === "https" || scheme === "http" ? scheme : request.secure ? "https" : "http",
  };
}

/** What URLs in answers begin with, without a slash at the end. The host has been checked before. */
export function baseUrlOf({ host, scheme }: ClientSide, publicUrl: string | undefined, listeningUrl: string | undefined): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, "");
  if (host === undefined || hostName(host) === undefined) return listeningUrl ?? "http://localhost";
  return `${scheme}://${host}`;
}

/** `Host` without its port, IPv6 without brackets; `undefined` when it is no host. */
export function hostName(host: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}
