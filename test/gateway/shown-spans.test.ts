import { expect, it } from "vitest";
import type { Span } from "../../src/core/span.ts";
import { shownTo } from "../../src/gateway/inspecting/shown-spans.ts";

const TRACES = { one: "1".repeat(32), two: "2".repeat(32) };

function span(spanId: string, fields: Partial<Span> = {}): Span {
  return { traceId: TRACES.one, spanId, kind: "request", actor: "catalog", name: "catalog.file", startMs: 1, ...fields };
}
const request = (spanId: string, owner: string, name = "GET /files/:fileId"): Span =>
  span(spanId, { kind: "http", actor: "gateway", name, owner });
const below = (spanId: string, parentId: string, fields: Partial<Span> = {}): Span => span(spanId, { parentId, ...fields });

function shown(owner: string, spans: readonly Span[], looking: { isOwnUpload?: boolean; isAlone?: boolean } = {}): string[] {
  const found = new Map(spans.map((each) => [each.spanId, each]));
  return spans.filter(shownTo({ owner, isOwnUpload: false, isAlone: false, ...looking }, found)).map(({ spanId }) => spanId);
}

it("S1: each sees what his own requests did, also behind the bytes' own exchanges between processes", () => {
  const spans = [
    request("a", "ann"),
    below("a1", "a", { kind: "http", actor: "storage", name: "PUT /chunks/:uploadId/:index" }),
    below("a2", "a1"),
    request("b", "bob"),
    below("b1", "b"),
  ];
  expect(shown("ann", spans)).toEqual(["a", "a1", "a2"]);
  expect(shown("bob", spans)).toEqual(["b", "b1"]);
  expect(shown("eve", spans, { isOwnUpload: true })).toEqual([]);
  expect(shown("ann", spans, { isAlone: true })).toHaveLength(5);
});

it("S2: what nobody's request is known of is seen with the upload, or by who has the only requests of its trace", () => {
  const turn = span("t", { kind: "turn", name: "upload#tail.sealed" });
  expect(shown("ann", [turn])).toEqual([]);
  expect(shown("ann", [turn], { isOwnUpload: true })).toEqual(["t"]);
  expect(shown("ann", [request("a", "ann"), turn])).toEqual(["a", "t"]);
  expect(shown("ann", [request("a", "ann"), request("b", "bob"), turn], { isOwnUpload: true })).toEqual(["a"]);
  const elsewhere = span("e", { traceId: TRACES.two });
  expect(shown("ann", [request("a", "ann"), elsewhere])).toEqual(["a"]);
});

it("parents that go in a circle end nowhere", () => {
  expect(shown("ann", [below("x", "y"), below("y", "x")])).toEqual([]);
});
