/** `GET /api/v1/cluster`: groups and nodes as the trackers see them. */
import { tracker } from "../../actors/tracker/contract.ts";
import { client } from "../../bus/client.ts";
import { PAGE_ITEMS_MAX } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { callOptions, type Exchange, jsonResponse } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";

/** More than this many pages are not gathered into one answer; then `truncated` is true. */
const PAGES_MAX = 10;

export function clusterRoutes(gateway: Gateway): Route[] {
  return [{ method: "GET", path: "/api/v1/cluster", access: "principal", endpoint: (exchange) => cluster(gateway, exchange) }];
}

async function cluster(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const trackers = client(gateway.ports.bus, tracker);
  const options = callOptions(exchange);
  const [groups, nodes] = await Promise.all([
    gather(async (cursor) => {
      const page = await trackers.groups({ limit: PAGE_ITEMS_MAX, ...cursor }, options);
      return { items: page.groups, cursor: page.cursor };
    }),
    gather(async (cursor) => {
      const page = await trackers.nodes({ limit: PAGE_ITEMS_MAX, ...cursor }, options);
      return { items: page.nodes, cursor: page.cursor };
    }),
  ]);
  const wallMs = gateway.ports.clock.wallMs();
  const iso = (ms: number): string => new Date(ms).toISOString();
  return jsonResponse(200, {
    groups: groups.items.map(({ createdMs, ...group }) => ({ ...group, created: iso(createdMs) })),
    nodes: nodes.items.map(({ startedMs, joinedMs, silentMs, directoryMadeMs: _, ...node }) => ({
      ...node,
      started: iso(startedMs),
      joined: iso(joinedMs),
      lastHeartbeat: iso(wallMs - silentMs),
      silentMs,
    })),
    ...(groups.isTruncated || nodes.isTruncated ? { truncated: true } : {}),
  });
}

async function gather<Item>(
  page: (cursor: { readonly cursor?: string }) => Promise<{ readonly items: readonly Item[]; readonly cursor: string | undefined }>,
): Promise<{ readonly items: readonly Item[]; readonly isTruncated: boolean }> {
  const items: Item[] = [];
  let cursor: string | undefined;
  for (let count = 0; count < PAGES_MAX; count += 1) {
    const next = await page(cursor === undefined ? {} : { cursor });
    items.push(...next.items);
    cursor = next.cursor;
    if (cursor === undefined) return { items, isTruncated: false };
  }
  return { items, isTruncated: true };
}
