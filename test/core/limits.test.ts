import { describe, expect, it } from "vitest";
import * as limits from "../../src/core/limits.ts";

describe("limits", () => {
  it("are positive whole numbers, every one", () => {
    const all = Object.entries(limits);
    expect(all.length).toBeGreaterThan(50);
    for (const [name, value] of all) {
      expect(Number.isSafeInteger(value) && value > 0, name).toBe(true);
      expect(name, name).toMatch(/^[A-Z][A-Z0-9_]*$/);
    }
  });

  it("agree with each other", async () => {
    await expect(import("../../src/core/limits-agree.ts")).resolves.toBeDefined();
  });

  it("allow what users are promised", () => {
    expect(limits.CHUNK_BYTES_DEFAULT).toBe(8 * 1024 * 1024);
    expect(limits.CHUNK_BYTES_MIN).toBe(64 * 1024);
    expect(limits.CHUNK_BYTES_MAX).toBe(64 * 1024 * 1024);
    expect(limits.CHUNK_COUNT_MAX).toBe(1_000_000);
    expect(limits.FILE_BYTES_MAX_DEFAULT).toBe(5 * 1024 ** 4);
    expect(limits.MISSING_RANGES_MAX).toBe(1000);
    expect(limits.IDLE_EXPIRY_MS_DEFAULT).toBe(86_400_000);
    expect(limits.HEARTBEAT_MS_DEFAULT).toBe(3000);
    expect(limits.OFFLINE_AFTER_MS_DEFAULT).toBe(10_000);
    expect(limits.BLOB_ID_LIMIT).toBe(512 ** 4);
  });
});
