/**
 * What the cache keeps in Redis, and the two scripts that read and write it. Each touches one key, so that they also run where keys are
 * spread over many servers; and each tells time by the clock of the server that it runs on.
 *
 * A tombstone is `T`. A value is `1` (this layout), when its lease was taken and when it ends (two doubles, milliseconds), and the bytes.
 */
import { CACHE_VALUE_BYTES_MAX } from "../core/limits.ts";

/** What stands under a key that was changed. */
export const TOMBSTONE = "T";
const VALUE_LAYOUT = 0x31;
const HEAD_BYTES = 17;
const STORED_BYTES_MAX = HEAD_BYTES + CACHE_VALUE_BYTES_MAX;

/** `pcall`: what somebody else put under the key may be no text at all. One byte more than is allowed shows that there is too much. */
const READ = `
local now = redis.call('TIME')
local stored = redis.pcall('GETRANGE', KEYS[1], 0, ${STORED_BYTES_MAX})
if type(stored) == 'table' then stored = '' end
return { now[1], now[2], stored }`;

/** A lease from the future was given before the clock was set back, or by another server. */
const KEEP = `
local now = redis.call('TIME')
local lifetime = tonumber(ARGV[2])
local left = tonumber(ARGV[1]) + lifetime - (now[1] * 1000 + math.floor(now[2] / 1000))
if left <= 0 or left > lifetime then return 0 end
if redis.pcall('GETRANGE', KEYS[1], 0, 0) == '${TOMBSTONE}' then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', left)
return 1`;

/** In Redis's own words: what the scripts are called on a connection. */
export const SCRIPTS = {
  troupeRead: { lua: READ, numberOfKeys: 1 },
  troupeKeep: { lua: KEEP, numberOfKeys: 1 },
};

/** What is used of a connection: the driver's, with the scripts on it. */
export interface RedisLink {
  /** `ready` when it can be asked. */
  readonly status: string;
  connect(): Promise<void>;
  /** At once; what it was asked ends. */
  disconnect(): void;
  on(event: "error", listener: (error: unknown) => void): unknown;
  once(event: "close", listener: () => void): unknown;
  troupeReadBuffer(key: Buffer): Promise<[seconds: Buffer, microseconds: Buffer, stored: Buffer]>;
  troupeKeep(key: Buffer, leaseMs: number, lifetimeMs: number, stored: Buffer): Promise<number>;
  set(key: Buffer, value: string, unit: "PX", lifetimeMs: number): Promise<unknown>;
}

/** What stands under a key; `nothing` also stands for what is not ours or cannot be read. */
export type Stored =
  | { readonly kind: "value"; readonly value: Uint8Array; readonly leaseMs: number; readonly endsMs: number }
  | { readonly kind: "tombstone" | "nothing" };

/** @returns the server's time at that moment, in whole milliseconds, and what is stored */
export async function readStored(redis: RedisLink, key: Buffer): Promise<{ readonly serverMs: number; readonly stored: Stored }> {
  const [seconds, microseconds, bytes] = await redis.troupeReadBuffer(key);
  return { serverMs: Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000), stored: parseStored(bytes) };
}

/** Refused by Redis when the lease is over or a tombstone stands there. */
export async function keepStored(redis: RedisLink, key: Buffer, value: Uint8Array, leaseMs: number, lifetimeMs: number): Promise<void> {
  const stored = Buffer.allocUnsafe(HEAD_BYTES + value.length);
  stored[0] = VALUE_LAYOUT;
  stored.writeDoubleBE(leaseMs, 1);
  stored.writeDoubleBE(leaseMs + lifetimeMs, 9);
  stored.set(value, HEAD_BYTES);
  await redis.troupeKeep(key, leaseMs, lifetimeMs, stored);
}

export async function buryStored(redis: RedisLink, key: Buffer, lifetimeMs: number): Promise<void> {
  await redis.set(key, TOMBSTONE, "PX", lifetimeMs);
}

function parseStored(bytes: Buffer): Stored {
  if (bytes.length === 1 && bytes.toString("latin1") === TOMBSTONE) return { kind: "tombstone" };
  if (bytes[0] !== VALUE_LAYOUT || bytes.length < HEAD_BYTES || bytes.length > STORED_BYTES_MAX) return { kind: "nothing" };
  // A copy: the driver's buffer holds other answers too.
  const value = new Uint8Array(bytes.subarray(HEAD_BYTES));
  return { kind: "value", value, leaseMs: bytes.readDoubleBE(1), endsMs: bytes.readDoubleBE(9) };
}
