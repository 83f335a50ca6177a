import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkLedger } from "../../../src/actors/upload/chunk-ledger.ts";
import { CHUNK_COUNT_MAX } from "../../../src/core/limits.ts";

const code = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
};

describe("the ledger of chunks", () => {
  it("F19: gives an index to one writer at a time, in any order of claims, releases and receipts", () => {
    const step = fc.record({ index: fc.nat(9), act: fc.constantFrom("claim", "release", "receive") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ledger = new ChunkLedger({ chunkBytes: 10, sizeBytes: 95 });
        const writers = new Set<number>();
        const received = new Set<number>();
        for (const { index, act } of steps) {
          if (act === "claim") {
            const expected = received.has(index) ? "compare-received" : writers.has(index) ? "compare-in-flight" : "write";
            expect(ledger.claim(index)).toBe(expected);
            if (expected === "write") writers.add(index);
          } else if (writers.has(index)) {
            if (act === "release") ledger.release(index);
            else {
              ledger.receive(index, index === 9 ? 5 : 10, index);
              received.add(index);
            }
            writers.delete(index);
          }
        }
        expect(ledger.receivedCount).toBe(received.size);
        expect(ledger.inFlightCount).toBe(writers.size);
        const missing = ledger
          .missing(100)
          .ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, offset) => first + offset));
        expect(missing).toEqual(Array.from({ length: 10 }, (_, index) => index).filter((index) => !received.has(index)));
        const prefix = missing[0] ?? 10;
        expect(ledger.prefixBytes).toBe(prefix === 10 ? 95 : prefix * 10);
        expect(ledger.completeBytes).toBe(received.size === 10 && writers.size === 0 ? 95 : undefined);
      }),
    );
  });

  it("takes exactly a chunk's length, and the rest for the last one", () => {
    const ledger = new ChunkLedger({ chunkBytes: 10, sizeBytes: 25 });
    expect(ledger.lengthsOf(1)).toEqual({ minBytes: 10, maxBytes: 10 });
    expect(ledger.lengthsOf(2)).toEqual({ minBytes: 5, maxBytes: 5 });
    for (const index of [3, -1, 1.5, Number.NaN, 2 ** 53]) expect(code(() => ledger.lengthsOf(index))).toBe("CHUNK_OUT_OF_RANGE");
  });

  it("lets one chunk be short while the size is unknown, and it is the last", () => {
    const ledger = new ChunkLedger({ chunkBytes: 10 });
    ledger.claim(0);
    ledger.claim(1);
    ledger.claim(2);
    ledger.seal(1, 4);
    expect(code(() => ledger.seal(2, 10))).toBe("CHUNK_OUT_OF_RANGE");
    expect(code(() => ledger.claim(3))).toBe("CHUNK_OUT_OF_RANGE");
    expect(code(() => ledger.seal(0, 4))).toBe("CHUNK_LENGTH");
    ledger.release(2);
    ledger.receive(1, 4, 0);
    expect(ledger.completeBytes).toBeUndefined();
    ledger.receive(0, 10, 0);
    expect(ledger.completeBytes).toBe(14);
  });

  it("forgets which chunk was short when its writer gives up", () => {
    const ledger = new ChunkLedger({ chunkBytes: 10 });
    ledger.claim(0);
    ledger.seal(0, 4);
    ledger.release(0);
    ledger.claim(0);
    ledger.seal(0, 10);
    ledger.receive(0, 10, 0);
    ledger.claim(1);
    expect(ledger.completeBytes).toBeUndefined();
  });

  it("lists at most as many ranges as asked, and says when there are more", () => {
    const ledger = new ChunkLedger({ chunkBytes: 1, sizeBytes: CHUNK_COUNT_MAX });
    for (let index = 1; index < CHUNK_COUNT_MAX; index += 2) {
      ledger.claim(index);
      ledger.receive(index, 1, index);
    }
    const { ranges, isTruncated } = ledger.missing(1000);
    expect(ranges.length).toBe(1000);
    expect(ranges[999]).toEqual([1998, 1998]);
    expect(isTruncated).toBe(true);
  });
});
