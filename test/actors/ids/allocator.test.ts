import { describe, expect, test } from "vitest";
import { Allocator, blockSize } from "../../../src/actors/ids/allocator.ts";
import { BLOB_ID_LIMIT, ID_BLOCK_KEPT_MS, ID_KEYS_MAX } from "../../../src/core/limits.ts";

describe("counting in memory", () => {
  test("an empty allocator has nothing; a block is taken to its end and no further", () => {
    const allocator = new Allocator();
    expect(allocator.take("blob", 1, 0)).toBeUndefined();
    allocator.refill("blob", { next: 0, end: 3 }, 0);
    expect(allocator.take("blob", 2, 0)).toEqual({ key: "blob", first: 0, count: 2 });
    expect(allocator.take("blob", 2, 0)).toBeUndefined();
    expect(allocator.take("blob", 1, 0)).toEqual({ key: "blob", first: 2, count: 1 });
    expect(allocator.take("blob", 1, 0)).toBeUndefined();
  });

  test("a fresh block leaves a gap, so that a lease is consecutive", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 98, end: 100 }, 0);
    allocator.refill("blob", { next: 300, end: 400 }, 0);
    expect(allocator.take("blob", 3, 0)).toMatchObject({ first: 300 });
  });

  test("F16: a raise cuts the block at hand and the one on its way, and never lowers", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 0, end: 100 }, 0);
    allocator.raise("blob", 41);
    allocator.raise("blob", 7);
    expect(allocator.take("blob", 1, 0)).toMatchObject({ first: 42 });
    allocator.raise("blob", 250);
    expect(allocator.take("blob", 1, 0)).toBeUndefined();
    allocator.refill("blob", { next: 100, end: 200 }, 0);
    expect(allocator.take("blob", 1, 0)).toBeUndefined();
    expect(allocator.floor("blob")).toBe(251);
    allocator.refill("blob", { next: 200, end: 300 }, 0);
    expect(allocator.take("blob", 1, 0)).toMatchObject({ first: 251 });
  });

  test("F16: a block is counted on for a while only: a raise that was not heard is found in the database by then", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 0, end: 100 }, 1_000);
    expect(allocator.take("blob", 1, 1_000 + ID_BLOCK_KEPT_MS - 1)).toMatchObject({ first: 0 });
    expect(allocator.take("blob", 1, 1_000 + ID_BLOCK_KEPT_MS)).toBeUndefined();
  });

  test("F16: a database that was put back does not bring an allocator's earlier blocks again", () => {
    const allocator = new Allocator();
    allocator.refill("blob", { next: 200, end: 300 }, 0);
    expect(allocator.floor("blob")).toBe(300);
    allocator.raise("blob", 210);
    expect(allocator.floor("blob")).toBe(300);
    expect(allocator.take("blob", 1, 0)).toMatchObject({ first: 211 });
  });

  test("keys are counted apart, and only so many are held", () => {
    const allocator = new Allocator();
    for (let index = 0; index <= ID_KEYS_MAX; index += 1) allocator.refill(`k${index}`, { next: 0, end: 10 }, 0);
    expect(allocator.blocks()).toHaveLength(ID_KEYS_MAX);
    expect(allocator.take("k0", 1, 0)).toBeUndefined();
    expect(allocator.take("k1", 1, 0)).toMatchObject({ key: "k1", first: 0 });
  });

  test("a block is a step, a larger lease, or what is left of the IDs", () => {
    expect(blockSize(0, 100, 1)).toBe(100);
    expect(blockSize(0, 100, 250)).toBe(250);
    expect(blockSize(BLOB_ID_LIMIT - 30, 100, 30)).toBe(30);
    expect(blockSize(BLOB_ID_LIMIT - 30, 100, 31)).toBeUndefined();
    expect(blockSize(BLOB_ID_LIMIT, 100, 1)).toBeUndefined();
  });
});
