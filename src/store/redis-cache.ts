/**
 * The Cache port on Redis, shared by every process that is given the same one.
 *
 * R1: ages are told by Redis's clock alone: it gives the lease, and it decides in the same step whether a value may still be kept. A
 *     value carries its lease, and is handed out only while that is not over, whatever Redis thinks of the key: one that a restart
 *     brought back counts as old.
 * R2: a clock that was set back is not believed until it has caught up ({@link ServerTime}).
 * R3: nothing waits for an answer longer than `answerMsMax`; while it cannot be used, nothing waits for it at all.
 */
import assert from "node:assert/strict";
import { CACHE_ANSWER_MS_MAX, CACHE_LIFETIME_MS, CACHE_PREFIX_BYTES_MAX, CACHE_VALUE_BYTES_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Cache, Cached, CacheLease } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import { RedisConnection } from "./redis-cache-connection.ts";
import { openRedis } from "./redis-cache-driver.ts";
import { buryStored, keepStored, type RedisLink, readStored } from "./redis-cache-scripts.ts";
import { ServerTime } from "./redis-cache-time.ts";

export interface RedisCacheOptions {
  /** `redis://[user:password@]host[:port][/n]`, `rediss://` for TLS */
  readonly url: string;
  /** Makes a connection, over the network unless given. */
  readonly open?: (url: string) => RedisLink;
  /** Before every key, so that a Redis may serve others too; `troupe:` unless given. */
  readonly prefix?: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How long nobody answers before it is done without; `CACHE_ANSWER_MS_MAX` unless given. */
  readonly answerMsMax?: number;
}

const PROBE_KEY = "probe";

/**
 * Comes back when Redis can be used or the first attempt has failed: a Redis that is away is said to be, and used when it comes.
 * @throws {TroupeError} `SETTING_INVALID` for an address that is none
 */
export async function connectRedis(options: RedisCacheOptions): Promise<Cache> {
  const cache = new RedisCache(options);
  await cache.start();
  return cache;
}

export class RedisCache implements Cache {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #time = new ServerTime();

  constructor(options: RedisCacheOptions) {
    const { url, open = openRedis, prefix = "troupe:", clock, log, answerMsMax = CACHE_ANSWER_MS_MAX } = options;
    assert(Buffer.byteLength(prefix) <= CACHE_PREFIX_BYTES_MAX, "a prefix is short");
    this.#prefix = prefix;
    this.#clock = clock;
    this.#log = log;
    this.#connection = new RedisConnection({ url, open, clock, log, answerMsMax, probe: (redis) => this.#probe(redis) });
  }

  /** Resolves when Redis can be used, or the first attempt has failed. */
  start(): Promise<void> {
    return this.#connection.start();
  }

  async get(key: string): Promise<Cached> {
    const read = await this.#connection.ask((redis) => this.#read(redis, key));
    if (read === undefined || read.stored.kind === "tombstone") return { kind: "absent" };
    const { stored, serverMs } = read;
    // R1, R2
    if (stored.kind === "value" && stored.leaseMs <= serverMs && serverMs < stored.endsMs && this.#time.isBelieved(stored.leaseMs))
      return { kind: "value", value: stored.value };
    return this.#time.isBelieved(serverMs) ? { kind: "absent", lease: { takenMs: serverMs } } : { kind: "absent" };
  }

  async set(key: string, value: Uint8Array, lease: CacheLease, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    if (value.length > CACHE_VALUE_BYTES_MAX) return;
    await this.#connection.ask(async (redis) => {
      await keepStored(redis, this.#keyOf(key), value, lease.takenMs, lifetimeMs);
      return DONE;
    });
  }

  async tombstone(key: string, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    await this.#connection.ask(async (redis) => {
      await buryStored(redis, this.#keyOf(key), lifetimeMs);
      return DONE;
    });
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #read(redis: RedisLink, key: string): ReturnType<typeof readStored> {
    const sentMs = this.#clock.nowMs();
    const read = await readStored(redis, this.#keyOf(key));
    if (this.#time.observe(sentMs, this.#clock.nowMs(), read.serverMs))
      this.#log.warn({}, "The clock of Redis was set back. What it holds is not used until that clock has caught up.");
    return read;
  }

  /** A Redis that is full, a replica, or lets us only read is of no use. */
  async #probe(redis: RedisLink): Promise<void> {
    const { serverMs } = await this.#read(redis, PROBE_KEY);
    await keepStored(redis, this.#keyOf(PROBE_KEY), new Uint8Array(0), serverMs, CACHE_LIFETIME_MS);
  }

  #keyOf(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }
}

const DONE = {};
