import { describe, expect, test } from "vitest";
import { Allocator, blockSize } from "../../../src/actors/ids/allocator.ts";
import { BLOB_ID_LIMIT, ID_KEYS_MAX } from "../../../src/core/limits.ts";

describe("counting in memory", () => {
  test("an empty allocator has nothing; a block is taken to its end and no further", () => {
    const allocator = new Allocator();
    expect(allocator.take("blob", 1)).toBeUndefined();
    allocator.refill("blob", { next: 0, end: 3 });
    expect(allocator.take("blob", 2)).toEqual({ key: "blob", first: 0, count: 2 });
    expect(allocator.take("blob", 2)).toBeUndefined();
    expect(allocator.take("blob", 1)).toEqual({ key: "blob", first: 2, count: 1 });
    expect(allocator.take("blob", 1)).toBeUndefined();
  });

  test("a fresh block leaves a gap, so that a lease is consecutive", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 98, end: 100 });
    allocator.refill("blob", { next: 300, end: 400 });
    expect(allocator.take("blob", 3)).toMatchObject({ first: 300 });
  });

  test("F16: a raise cuts the block at hand and the one on its way, and never lowers", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 0, end: 100 });
    allocator.raise("blob", 41);
    allocator.raise("blob", 7);
    expect(allocator.take("blob", 1)).toMatchObject({ first: 42 });
    allocator.raise("blob", 250);
    expect(allocator.take("blob", 1)).toBeUndefined();
    allocator.refill("blob", { next: 100, end: 200 });
    expect(allocator.take("blob", 1)).toBeUndefined();
    expect(allocator.floor("blob")).toBe(251);
    allocator.refill("blob", { next: 200, end: 300 });
    expect(allocator.take("blob", 1)).toMatchObject({ first: 251 });
  });

  test("keys are counted apart, and only so many are held", () => {
    const allocator = new Allocator();
    for (let index = 0; index <= ID_KEYS_MAX; index += 1) allocator.refill(`k${index}`, { next: 0, end: 10 });
    expect(allocator.blocks()).toHaveLength(ID_KEYS_MAX);
    expect(allocator.take("k0", 1)).toBeUndefined();
    expect(allocator.take("k1", 1)).toMatchObject({ key: "k1", first: 0 });
  });

  test("a block is a step, a larger lease, or what is left of the IDs", () => {
    expect(blockSize(0, 100, 1)).toBe(100);
    expect(blockSize(0, 100, 250)).toBe(250);
    expect(blockSize(BLOB_ID_LIMIT - 30, 100, 30)).toBe(30);
    expect(blockSize(BLOB_ID_LIMIT - 30, 100, 31)).toBeUndefined();
    expect(blockSize(BLOB_ID_LIMIT, 100, 1)).toBeUndefined();
  });
});
