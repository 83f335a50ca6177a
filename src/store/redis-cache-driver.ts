/** Connections to Redis by ioredis. */
import { Redis } from "ioredis";
import { CACHE_CONNECT_MS_MAX } from "../core/limits.ts";
import { type RedisLink, SCRIPTS } from "./redis-cache-scripts.ts";

/** What a connection that ends has to say to its end is of no use to anybody. */
const DISCONNECT_MS = 100;

export function openRedis(url: string): RedisLink {
  const redis = new Redis(url, {
    scripts: SCRIPTS,
    lazyConnect: true,
    // A connection that ended is not mended but replaced, by us.
    retryStrategy: () => null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CACHE_CONNECT_MS_MAX,
    disconnectTimeout: DISCONNECT_MS,
    protocol: 2,
    disableClientInfo: true,
  });
  return redis as Redis & RedisLink;
}
