import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALIKE_SHOWN, linesOf } from "../../src/cli/trace/span-tree.ts";
import { traceText } from "../../src/cli/trace/trace-text.ts";
import type { TracedSpan } from "../../src/client/inspection-answers.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const idOf = (number: number): string => number.toString(16).padStart(16, "0");

function span(number: number, fields: Partial<TracedSpan> = {}): TracedSpan {
  const start = { traceId: TRACE_ID, spanId: idOf(number), kind: "request", actor: "catalog", name: "catalog.file", nodeId: "n1" } as const;
  return { ...start, startMs: 1_000 + number, durationMs: 1, outcome: "ok", ...fields };
}
const under = (number: number): Partial<TracedSpan> => ({ parentId: idOf(number) });

describe("a tree of spans", () => {
  it("has each below what it was done for, in the order they began", () => {
    const spans = [
      span(3, { name: "c", ...under(1) }),
      span(1, { name: "a" }),
      span(2, { name: "b", ...under(1) }),
      span(4, { name: "d", ...under(2) }),
    ];
    expect(linesOf({ spans, counts: [] }).map(({ depth, spans: [first] }) => `${depth} ${first.name}`)).toEqual([
      "0 a",
      "1 b",
      "2 d",
      "1 c",
    ]);
  });

  it("F1: keeps what was done for something nobody remembers", () => {
    expect(linesOf({ spans: [span(1, under(99))], counts: [] })).toMatchObject([{ depth: 0 }]);
  });

  it("F2: folds what is alike with all below it, and sums it up", () => {
    const spans = [1, 2, 3, 4].flatMap((number) => [
      span(number, { name: "chunk", durationMs: number, outcome: number === 2 ? "CHUNK_CONFLICT" : "ok" }),
      span(10 + number, { name: "claim", ...under(number) }),
    ]);
    expect(linesOf({ spans, counts: [] }).map(({ depth, spans: [{ name }], folded }) => ({ depth, name, folded }))).toEqual([
      { depth: 0, name: "chunk", folded: { count: 4, failedCount: 1, totalMs: 10, maxMs: 4 } },
      { depth: 1, name: "claim", folded: { count: 4, failedCount: 0, totalMs: 4, maxMs: 1 } },
    ]);
    expect(linesOf({ spans: spans.filter(({ spanId }) => spanId <= idOf(ALIKE_SHOWN)), counts: [] })).toHaveLength(ALIKE_SHOWN);
  });

  it("F2: says how often it was where a process counted more than it kept", () => {
    const counted = { nodeId: "n1", actor: "catalog", name: "catalog.file", count: 1_000, failedCount: 2, totalMs: 5_000, maxMs: 70 };
    const [line] = linesOf({ spans: [span(1), span(2)], counts: [counted] });
    expect(line?.folded).toEqual({ count: 1_000, failedCount: 2, totalMs: 5_000, maxMs: 70 });
    const text = traceText({ id: "x", spans: [span(1), span(2)], counts: [counted], processes: [], isTruncated: false }, 120, 2_000);
    expect(text).toContain("catalog.file  x1000, the longest 70ms, 2 failed\n");
  });

  it("F1: loses no span, whatever the IDs pretend", () => {
    const some = fc.array(
      fc.record({ number: fc.nat(30), parent: fc.option(fc.nat(40), { nil: undefined }), name: fc.constantFrom("a", "b", "c") }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(some, (drawn) => {
        const unique = [...new Map(drawn.map((each) => [each.number, each])).values()];
        const spans = unique.map(({ number, parent, name }) => span(number, { name, ...(parent === undefined ? {} : under(parent)) }));
        const told = linesOf({ spans, counts: [] }).flatMap((line) => line.spans.map(({ spanId }) => spanId));
        expect(told.sort()).toEqual(spans.map(({ spanId }) => spanId).sort());
      }),
    );
  });
});

it("F2: numbers of a process are told once, and not where only a part of its spans stands", () => {
  const counted = { nodeId: "n1", actor: "catalog", name: "catalog.file", count: 1_000, failedCount: 2, totalMs: 5_000, maxMs: 70 };
  const parents = [span(1, { name: "a" }), span(2, { name: "b" })];
  const spans = [...parents, span(11, under(1)), span(12, under(1)), span(13, under(2)), span(14, under(2))];
  expect(linesOf({ spans, counts: [counted] }).flatMap(({ folded }) => folded?.count ?? [])).toEqual([2, 2]);
});

describe("a trace as text", () => {
  const report = (spans: TracedSpan[]) => ({ id: "x", spans, counts: [], processes: [], isTruncated: false });

  it("says what is under way, how it ended, and how long it waited", () => {
    const { durationMs: _, outcome: __, ...open } = span(1, { name: "upload.merge" });
    const text = traceText(report([open, span(2, { name: "b", waitedMs: 12, outcome: "DISK_FULL", ...under(1) })]), 120, 2_001);
    expect(text).toMatch(/\+0ms +1s {2}\[>{20}\] {2}n1 {2}upload\.merge {2}UNDER WAY\n/);
    expect(text).toMatch(/\+1ms +1ms {2}\[#\.{19}\] {2}n1 {4}b {2}waited 12ms, DISK_FULL\n/);
  });

  it("holds no line that a name of somebody else's could forge", () => {
    expect(traceText(report([span(1, { name: "a\nb\u001b[2J", nodeId: "n\n1" })]), 120, 2_000).split("\n")).toHaveLength(3);
  });
});
