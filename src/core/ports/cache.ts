/**
 * The Cache port: a hint with a lifetime so short that nobody has to be told when it is no longer true.
 *
 * C1: a value is handed out for at most its lifetime, measured from a moment before it was read from where the truth is: from the lease
 *     that `get` gave when it had nothing. However late a `set` comes, and whatever the cache loses, a value gets no older than that.
 * C2: a tombstone makes a change visible sooner. Nothing depends on it: a cache may lose it, or never hear of it.
 * C3: no call rejects, and each ends soon, also when the cache cannot be reached.
 */

/** When the cache was found empty, by a clock that only the cache reads. */
export interface CacheLease {
  readonly takenMs: number;
}

export type Cached =
  | { readonly kind: "value"; readonly value: Uint8Array }
  /** Without a lease, what is read now is not to be kept: a tombstone stands there, or the cache cannot be reached. */
  | { readonly kind: "absent"; readonly lease?: CacheLease };

export interface Cache {
  get(key: string): Promise<Cached>;
  /** Keeps the value until `lifetimeMs` after the lease was taken, unless that is over or a tombstone stands there. */
  set(key: string, value: Uint8Array, lease: CacheLease, lifetimeMs: number): Promise<void>;
  /** Drops what is there and keeps nothing for `lifetimeMs`: as long as the longest lifetime, so that no lease from before is good. */
  tombstone(key: string, lifetimeMs: number): Promise<void>;
  close(): Promise<void>;
}
