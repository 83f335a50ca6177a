/** What every Cache keeps: run on the one in memory and on Redis. */
import { describe, expect, it } from "vitest";
import type { Cache } from "../../src/core/ports/cache.ts";

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
  return cached.kind === "value" ? new TextDecoder().decode(cached.value) : `(${cached.kind})`;
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
      await cache.set("a", bytesOf("long"), LONG_MS);
      await cache.set("b", bytesOf("short"), SHORT_MS);
      expect(await textAt(cache, "a")).toBe("long");
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("long");
      expect(await textAt(cache, "b")).toBe("(absent)");
    });

    claim("a later value replaces an earlier one, and its lifetime", async (cache, pass) => {
      await cache.set("a", bytesOf("first"), SHORT_MS);
      await cache.set("a", bytesOf("second"), LONG_MS);
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("second");
    });

    claim("any bytes and any key come back as they were", async (cache) => {
      const value = Uint8Array.from({ length: 256 }, (_, index) => index);
      const keys = ["tnv001:6640c41807ffea386043bad2c6ee25000197", "a b\n*", "é\u{1F3AC}", "x".repeat(500)];
      for (const key of keys) await cache.set(key, value, LONG_MS);
      for (const key of keys) expect(await cache.get(key)).toEqual({ kind: "value", value });
      await cache.set("empty", new Uint8Array(0), LONG_MS);
      expect(await cache.get("empty")).toEqual({ kind: "value", value: new Uint8Array(0) });
    });

    claim("F25: a tombstone hides the value and refuses a late one", async (cache) => {
      await cache.set("a", bytesOf("old"), LONG_MS);
      await cache.tombstone("a", LONG_MS);
      expect(await textAt(cache, "a")).toBe("(tombstone)");
      await cache.set("a", bytesOf("late"), LONG_MS);
      expect(await textAt(cache, "a")).toBe("(tombstone)");
      await cache.tombstone("never set", LONG_MS);
      await cache.set("never set", bytesOf("late"), LONG_MS);
      expect(await textAt(cache, "never set")).toBe("(tombstone)");
    });

    claim("a tombstone ends with its lifetime, and then values are kept again", async (cache, pass) => {
      await cache.set("a", bytesOf("old"), LONG_MS);
      await cache.tombstone("a", SHORT_MS);
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(absent)");
      await cache.set("a", bytesOf("new"), LONG_MS);
      expect(await textAt(cache, "a")).toBe("new");
    });

    claim("a second tombstone lengthens the first", async (cache, pass) => {
      await cache.tombstone("a", SHORT_MS);
      await cache.tombstone("a", LONG_MS);
      await pass(SHORT_MS);
      expect(await textAt(cache, "a")).toBe("(tombstone)");
    });

    claim("forget takes values and tombstones alike, and one key only", async (cache) => {
      await cache.set("a", bytesOf("value"), LONG_MS);
      await cache.set("b", bytesOf("other"), LONG_MS);
      await cache.tombstone("c", LONG_MS);
      await cache.forget("a");
      await cache.forget("c");
      await cache.forget("never there");
      expect(await textAt(cache, "a")).toBe("(absent)");
      expect(await textAt(cache, "b")).toBe("other");
      await cache.set("c", bytesOf("new"), LONG_MS);
      expect(await textAt(cache, "c")).toBe("new");
    });

    claim("nobody shares memory with the cache", async (cache) => {
      const given = bytesOf("value");
      await cache.set("a", given, LONG_MS);
      given.fill(0);
      const first = await cache.get("a");
      if (first.kind === "value") first.value.fill(0);
      expect(await textAt(cache, "a")).toBe("value");
    });

    claim("after close everything is absent and nothing throws", async (cache) => {
      await cache.set("a", bytesOf("value"), LONG_MS);
      await cache.close();
      expect(await textAt(cache, "a")).toBe("(absent)");
      await cache.set("a", bytesOf("value"), LONG_MS);
      await cache.tombstone("b", LONG_MS);
      await cache.forget("a");
      expect(await textAt(cache, "a")).toBe("(absent)");
      await cache.close();
    });
  });
}
