/**
 * The Cache port: a hint with a lifetime. Losing all of it costs speed, never data. A tombstone makes a late `set` of an older
 * value fail: readers that looked something up before a delete cannot put it back.
 */

export type Cached = { readonly kind: "value"; readonly value: Uint8Array } | { readonly kind: "tombstone" } | { readonly kind: "absent" };

export interface Cache {
  /** Never rejects: an unreachable cache answers `absent`. */
  get(key: string): Promise<Cached>;
  /** Keeps the value for `lifetimeMs`, unless a tombstone stands there. */
  set(key: string, value: Uint8Array, lifetimeMs: number): Promise<void>;
  /** Replaces whatever is there; `get` answers `tombstone` for `lifetimeMs`. */
  tombstone(key: string, lifetimeMs: number): Promise<void>;
  /** Forgets the key, a tombstone too. */
  forget(key: string): Promise<void>;
  close(): Promise<void>;
}
