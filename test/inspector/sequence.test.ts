/** Messages as lines between lanes: who asked whom, what is folded, and what is drawn of it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Element } from "../../src/inspector/element.ts";
import { elementText } from "../../src/inspector/element.ts";
import { type SequenceSpan, sequenceOf } from "../../src/inspector/sequence.ts";
import { paintSequence } from "../../src/inspector/sequence-paint.ts";

let made = 0;

function span(more: Partial<SequenceSpan> & Pick<SequenceSpan, "traceId" | "actor" | "name">): SequenceSpan {
  made += 1;
  return { spanId: `s${made}`, kind: "request", startMs: made, durationMs: 2, outcome: "ok", nodeId: "n1", ...more };
}

/** A request of a client, and the turns it caused. */
function exchange(traceId: string, name: string, steps: readonly string[], more: Partial<SequenceSpan> = {}): SequenceSpan[] {
  const root = span({ traceId, actor: "gateway", name, kind: "http", ...more });
  return [root, ...steps.map((step) => span({ traceId, parentId: root.spanId, actor: "upload", name: step, kind: "turn" }))];
}

const chunk = (traceId: string, more: Partial<SequenceSpan> = {}): SequenceSpan[] =>
  exchange(traceId, "PUT /api/v1/uploads/:uploadId/chunks/:index", ["upload#chunk.claim", "upload#chunk.counted"], more);

function texts(one: Element): string[] {
  return one.children.flatMap((child) => (typeof child === "string" ? [child] : texts(child)));
}
function classes(one: Element): string[] {
  return [one.attributes["class"] ?? "", ...one.children.flatMap((child) => (typeof child === "string" ? [] : classes(child)))];
}

describe("a sequence", () => {
  it("goes from who asked to who was asked, request by request, in lanes that keep their order", () => {
    const create = span({ traceId: "t1", actor: "gateway", name: "POST /api/v1/uploads", kind: "http" });
    const place = span({ traceId: "t1", parentId: create.spanId, actor: "tracker", name: "tracker.place" });
    const open = span({ traceId: "t1", parentId: create.spanId, actor: "storage", name: "storage.createUpload" });
    const register = span({ traceId: "t1", parentId: open.spanId, actor: "catalog", name: "catalog.registerUpload" });
    const { lanes, blocks } = sequenceOf([register, open, create, place]);
    expect(lanes).toEqual(["client", "gateway", "tracker", "catalog", "storage"]);
    expect(blocks.flatMap(({ lines }) => lines.map(({ from, to, label, depth }) => [from, to, label, depth]))).toEqual([
      ["client", "gateway", "POST /uploads", 0],
      ["gateway", "tracker", "place", 1],
      ["gateway", "storage", "createUpload", 1],
      ["storage", "catalog", "registerUpload", 2],
    ]);
  });

  it("folds requests that went the same way into one block, and no others", () => {
    const spans = [...chunk("a"), ...chunk("b"), ...chunk("c"), ...exchange("d", "GET /files/:fileId", []), ...chunk("e")];
    expect(sequenceOf(spans).blocks.map(({ count }) => count)).toEqual([3, 1, 1]);
    const failed = [...chunk("f"), ...chunk("g", { outcome: "CHUNK_CONFLICT" }), ...chunk("h")];
    const { blocks } = sequenceOf(failed);
    expect(blocks.map(({ count, lines }) => [count, lines[0]?.fault])).toEqual([
      [1, undefined],
      [1, "CHUNK_CONFLICT"],
      [1, undefined],
    ]);
  });

  it("counts with a block also those that are no longer kept", () => {
    const counts = [{ name: "PUT /api/v1/uploads/:uploadId/chunks/:index", count: 512 }];
    expect(sequenceOf([...chunk("a"), ...chunk("b")], counts).blocks.map(({ count }) => count)).toEqual([512]);
  });

  it("makes one block of requests of which parts are forgotten, beside those that failed or are under way", () => {
    const counts = [{ name: "PUT /api/v1/uploads/:uploadId/chunks/:index", count: 20 }];
    const [root, ...rest] = chunk("f");
    const open = { ...(root as SequenceSpan), traceId: "g", spanId: "open", durationMs: undefined, outcome: undefined };
    const forgotten = chunk("z").filter((_, index) => index !== 1);
    const spans = [
      ...forgotten,
      ...chunk("b"),
      ...chunk("c", { outcome: "CHUNK_CONFLICT" }),
      ...chunk("d"),
      root as SequenceSpan,
      ...rest,
      open,
    ];
    const { blocks } = sequenceOf(spans, counts);
    expect(blocks.map(({ count, lines }) => [count, lines.length, lines[0]?.fault ?? (lines[0]?.isUnderWay ? "open" : "fine")])).toEqual([
      [19, 3, "fine"],
      [1, 1, "open"],
      [1, 3, "CHUNK_CONFLICT"],
    ]);
  });

  it("folds equal steps in a row, and keeps what went wrong apart", () => {
    const root = span({ traceId: "t", actor: "gateway", name: "POST /api/v1/uploads/:uploadId/merge", kind: "http" });
    const step = (outcome?: string): SequenceSpan =>
      span({
        traceId: "t",
        parentId: root.spanId,
        actor: "upload",
        name: "upload#step",
        kind: "turn",
        ...(outcome === undefined ? {} : { outcome }),
      });
    const { blocks } = sequenceOf([root, step(), step(), step("DISK_FULL"), step()]);
    expect(blocks[0]?.lines.slice(1).map(({ count, fault }) => [count, fault])).toEqual([
      [2, undefined],
      [1, "DISK_FULL"],
      [1, undefined],
    ]);
  });

  it("has those too that have each other as parents, and all in the order of their beginnings", () => {
    const circle = [
      span({ traceId: "c", spanId: "1111111111111111", parentId: "2222222222222222", actor: "catalog", name: "catalog.a", startMs: 90 }),
      span({ traceId: "c", spanId: "2222222222222222", parentId: "1111111111111111", actor: "catalog", name: "catalog.b", startMs: 91 }),
    ];
    const { blocks } = sequenceOf([...circle, span({ traceId: "d", actor: "catalog", name: "catalog.c", startMs: 50 })]);
    expect(blocks.map(({ lines }) => lines.map(({ label }) => label))).toEqual([["c"], ["a", "b"]]);
  });

  it("marks what is under way", () => {
    const merge = span({ traceId: "t", actor: "gateway", name: "POST /api/v1/uploads/:uploadId/merge", kind: "http" });
    const open = { ...merge, durationMs: undefined, outcome: undefined };
    const sequence = sequenceOf([open]);
    expect(sequence.blocks.map(({ lines }) => lines.map(({ isUnderWay }) => isUnderWay))).toEqual([[true]]);
    const picture = paintSequence(sequence, (ms) => `${ms} ms`);
    expect(texts(picture)).toContain("under way");
    expect(classes(picture)).toContain("message http open");
  });

  it("begins in its own lane what nobody is known to have asked for", () => {
    const { blocks } = sequenceOf([span({ traceId: "t", parentId: "gone", actor: "catalog", name: "catalog.claimUpload" })]);
    expect(blocks[0]?.lines.map(({ from, to }) => [from, to])).toEqual([["catalog", "catalog"]]);
  });

  it("is bounded, and says how much it leaves out", () => {
    const spans = Array.from({ length: 300 }, (_, index) => exchange(`t${index}`, `GET /a/${index}`, ["upload#look"])).flat();
    const { blocks, leftOutCount } = sequenceOf(spans);
    expect(blocks.reduce((sum, { lines }) => sum + lines.length, 0)).toBe(400);
    expect(leftOutCount).toBe(200);
  });

  it("is drawn whatever it holds, as markup that is well formed", () => {
    const anySpan = fc.record({
      traceId: fc.constantFrom("a", "b", "c"),
      spanId: fc.constantFrom("1", "2", "3", "4", "5"),
      parentId: fc.option(fc.constantFrom("1", "2", "9"), { nil: undefined }),
      kind: fc.constantFrom("http", "request", "turn", "effect"),
      actor: fc.constantFrom("gateway", "catalog", "upload", "elsewhere"),
      name: fc.oneof(fc.string(), fc.constant("catalog.commitFile")),
      startMs: fc.nat(),
      durationMs: fc.option(fc.nat(), { nil: undefined }),
      outcome: fc.option(fc.constantFrom("ok", "DISK_FULL"), { nil: undefined }),
      nodeId: fc.constantFrom("n1", "n2"),
    });
    fc.assert(
      fc.property(fc.uniqueArray(anySpan, { selector: ({ spanId }) => spanId, maxLength: 5 }), (spans) => {
        const sequence = sequenceOf(spans);
        const text = elementText(paintSequence(sequence, (ms) => `${ms} ms`));
        expect(text).not.toMatch(/NaN|undefined/);
        expect(
          sequence.blocks
            .flatMap(({ lines }) => lines)
            .every(({ from, to }) => sequence.lanes.includes(from) && sequence.lanes.includes(to)),
        ).toBe(true);
      }),
    );
  });
});
