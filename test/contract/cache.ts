/** What every Cache keeps: run on the one in memory and on Redis. */
import { describe, expect, it } from "vitest";
import type { Cache, CacheLease } from "../../src/core/ports/cache.ts";

export interface CacheUnderTest extends AsyncDisposable {
  readonly cache: Cache;
  /** Lets so much of the cache's time pass, and a little more. */
  pass(durationMs: number): Promise<void>;
}

const LONG_MS = 60_000;
const SHORT_MS = 40;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textAt(cache: Cache, key: string): Promise<string> {
  const cached = await cache.get(key);
  if (cached.kind === "value") return new TextDecoder().decode(cached.value);
  return cached.lease === undefined ? "(absent, no lease)" : "(absent)";
}

export async function leaseOf(cache: Cache, key: string): Promise<CacheLease> {
  const cached = await cache.get(key);
  if (cached.kind !== "absent" || cached.lease === undefined) throw new Error(`no lease for ${key}`);
  return cached.lease;
}

export async function keep(cache: Cache, key: string, value: Uint8Array, lifetimeMs = LONG_MS): Promise<void> {
  await cache.set(key, value, await leaseOf(cache, key), lifetimeMs);
}

export function describeCache(name: string, open: () => Promise<CacheUnderTest>): void {
  describe(`${name} as a cache`, () => {
    const claim = (title: string, check: (cache: Cache, pass: (durationMs: number) => Promise<void>) => Promise<void>): void =>
      it(title, async () => {
        await using under = await open();
        await check(under.cache, (durationMs) => under.pass(durationMs));
      });

    claim("a value is there until its lifetime ends", async (cache, pass) => {
      expect(await textAt(cache, "a")).toBe("(absent)");
      await keep(cache, "a", bytesOf("long"));
      await keep(cache, "b", bytesOf("short"), SHORT_MS);
      expect(await textAt(cache, "a")).toBe("long");
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("long");
      expect(await textAt(cache, "b")).toBe("(absent)");
    });

    claim("F25: a lifetime begins with the lease: a late value is not kept the longer for it", async (cache, pass) => {
      const lease = await leaseOf(cache, "a");
      await pass(SHORT_MS);
      await cache.set("a", bytesOf("late"), lease, 4 * SHORT_MS);
      await pass(3 * SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(absent)");
    });

    claim("F25: a value that comes when its lease is over is refused, and replaces nothing", async (cache, pass) => {
      const lease = await leaseOf(cache, "a");
      await pass(SHORT_MS);
      await cache.set("a", bytesOf("late"), lease, SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(absent)");
      await keep(cache, "a", bytesOf("newer"));
      await cache.set("a", bytesOf("late"), lease, SHORT_MS);
      expect(await textAt(cache, "a")).toBe("newer");
    });

    claim("of two readers that found nothing, the later value stays", async (cache) => {
      const [one, other] = [await leaseOf(cache, "a"), await leaseOf(cache, "a")];
      await cache.set("a", bytesOf("one"), one, LONG_MS);
      await cache.set("a", bytesOf("other"), other, LONG_MS);
      expect(await textAt(cache, "a")).toBe("other");
    });

    claim("any bytes and any key come back as they were", async (cache) => {
      const value = Uint8Array.from({ length: 256 }, (_, index) => index);
      const keys = ["tnv001:6640c41807ffea386043bad2c6ee25000197", "a b\n*", "é\u{1F3AC}", "x".repeat(500)];
      for (const key of keys) await keep(cache, key, value);
      for (const key of keys) expect(await cache.get(key)).toEqual({ kind: "value", value });
      await keep(cache, "empty", new Uint8Array(0));
      expect(await cache.get("empty")).toEqual({ kind: "value", value: new Uint8Array(0) });
    });

    claim("F25: a tombstone takes the value, gives no lease, and refuses who has one", async (cache) => {
      const early = await leaseOf(cache, "a");
      await keep(cache, "a", bytesOf("old"));
      await cache.tombstone("a", LONG_MS);
      expect(await textAt(cache, "a")).toBe("(absent, no lease)");
      await cache.set("a", bytesOf("late"), early, LONG_MS);
      expect(await textAt(cache, "a")).toBe("(absent, no lease)");
      const other = await leaseOf(cache, "never set");
      await cache.tombstone("never set", LONG_MS);
      await cache.set("never set", bytesOf("late"), other, LONG_MS);
      expect(await textAt(cache, "never set")).toBe("(absent, no lease)");
    });

    claim("a tombstone ends with its lifetime, and then values are kept again, but no earlier ones", async (cache, pass) => {
      const early = await leaseOf(cache, "a");
      await cache.tombstone("a", SHORT_MS);
      await pass(SHORT_MS);
      await cache.set("a", bytesOf("late"), early, SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(absent)");
      await keep(cache, "a", bytesOf("new"));
      expect(await textAt(cache, "a")).toBe("new");
    });

    claim("a second tombstone lengthens the first, and touches no other key", async (cache, pass) => {
      await keep(cache, "b", bytesOf("other"));
      await cache.tombstone("a", SHORT_MS);
      await cache.tombstone("a", LONG_MS);
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(absent, no lease)");
      expect(await textAt(cache, "b")).toBe("other");
    });

    claim("nobody shares memory with the cache", async (cache) => {
      const given = bytesOf("value");
      await keep(cache, "a", given);
      given.fill(0);
      const first = await cache.get("a");
      if (first.kind === "value") first.value.fill(0);
      expect(await textAt(cache, "a")).toBe("value");
    });

    claim("after close everything is absent and nothing throws", async (cache) => {
      const lease = await leaseOf(cache, "a");
      await cache.set("a", bytesOf("value"), lease, LONG_MS);
      await cache.close();
      expect((await cache.get("a")).kind).toBe("absent");
      await cache.set("a", bytesOf("value"), lease, LONG_MS);
      await cache.tombstone("b", LONG_MS);
      expect((await cache.get("a")).kind).toBe("absent");
      await cache.close();
    });
  });
}
