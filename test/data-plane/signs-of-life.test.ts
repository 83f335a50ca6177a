/** Bodies that may fall silent: records, and signs of life between blocks. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SIGN_OF_LIFE_MS } from "../../src/core/limits.ts";
import { fromRecords, inRecords, withSignsOfLife } from "../../src/data-plane/signs-of-life.ts";
import { codeOf, collect } from "../contract/data-plane.ts";
import { piecesOf } from "../support/troupe.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

async function* streamOf(blocks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* blocks;
}

describe("a body in records", () => {
  const blocks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 });

  it("is the same bytes, whatever blocks they travel in, and however often its sender says that it is there", async () => {
    await fc.assert(
      fc.asyncProperty(blocks, fc.integer({ min: 1, max: 30 }), async (body, pieceBytes) => {
        const wire = await collect(inRecords(streamOf(body)));
        expect((await collect(fromRecords(piecesOf(wire, pieceBytes)))).equals(Buffer.concat(body))).toBe(true);
      }),
    );
  });

  it("F18: that ends within a record is refused", async () => {
    const wire = await collect(inRecords(streamOf([Buffer.from("abc"), Buffer.from("defg")])));
    const ends = Array.from({ length: wire.length + 1 }, (_, end) => end);
    const whole: number[] = [];
    for (const end of ends) {
      const read = collect(fromRecords(piecesOf(wire.subarray(0, end), 5)));
      if (end === 0 || end === 7 || end === wire.length) await read.then(() => whole.push(end));
      else expect(await codeOf(read), String(end)).toBe("BAD_REQUEST");
    }
    expect(whole).toEqual([0, 7, 15]);
  });
});

describe("signs of life", () => {
  it("come while the source is silent, and at no other time; the source's blocks and its error come in their order", async () => {
    const clock = new VirtualClock();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const source = (async function* () {
      yield Buffer.from("a");
      yield Buffer.from("b");
      await gates[0]?.promise;
      yield Buffer.from("c");
      await gates[1]?.promise;
      throw new Error("broken off");
    })();
    const seen: string[] = [];
    const over = (async () => {
      for await (const block of withSignsOfLife(source, clock)) seen.push(Buffer.from(block).toString());
    })().catch((error: Error) => seen.push(error.message));
    await clock.advance(3 * SIGN_OF_LIFE_MS);
    expect(seen).toEqual(["a", "b", "", "", ""]);
    gates[0]?.resolve();
    await clock.advance(SIGN_OF_LIFE_MS - 1);
    expect(seen.slice(5)).toEqual(["c"]);
    gates[1]?.resolve();
    await over;
    expect(seen.slice(6)).toEqual(["broken off"]);
    expect(clock.timerCount).toBe(0);
  });

  it("end with their reader, who lets the source go", async () => {
    const clock = new VirtualClock();
    let isLetGo = false;
    const source: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => source,
      next: () => new Promise(() => undefined),
      return: async () => {
        isLetGo = true;
        return { done: true, value: undefined };
      },
    };
    const signs = withSignsOfLife(source, clock);
    const first = signs.next();
    await clock.advance(SIGN_OF_LIFE_MS);
    expect((await first).value).toHaveLength(0);
    await signs.return();
    await settle();
    expect([isLetGo, clock.timerCount]).toEqual([true, 0]);
  });
});
