import { beforeEach, describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { SPAN_UPLOADS_KEPT, SPANS_FAILED_KEPT, SPANS_KEPT, SPANS_PER_NAME_KEPT } from "../../src/core/limits.ts";
import type { Span } from "../../src/core/span.ts";
import { SpanBook, type SpanStart } from "../../src/core/span-book.ts";
import { currentTrace, type Trace } from "../../src/core/trace.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

let clock: VirtualClock;
let book: SpanBook;
beforeEach(() => {
  clock = new VirtualClock();
  book = new SpanBook(clock, "one");
});

const TURN: SpanStart = { kind: "request", actor: "catalog", name: "catalog.upload" };
const HTTP: SpanStart = { kind: "http", actor: "gateway", name: "GET /files/:fileId", owner: "ann" };

/** A span from its beginning to its end at once. */
function add(start: Partial<SpanStart> = {}, outcome?: string, requestId?: string): void {
  book.begin({ ...TURN, ...start }, requestId).end(outcome);
}

describe("a span", () => {
  it("has its begin by the wall clock, how long it waited and took, and its outcome", async () => {
    clock.jumpWall(5_000);
    book = new SpanBook(clock, "one");
    const wallMs = clock.wallMs();
    await clock.advance(1.5);
    const span = book.begin({ ...TURN, uploadId: "u1" });
    await clock.advance(2.25);
    span.begun();
    await clock.advance(10);
    span.end("DISK_FULL");
    span.end();
    expect(book.find("u1").spans).toMatchObject([{ startMs: wallMs + 1.5, waitedMs: 2.25, durationMs: 12.25, outcome: "DISK_FULL" }]);
  });

  it("B2: that is under way is told without an end, by its upload, its trace and its request", () => {
    const span = book.begin({ ...HTTP, uploadId: "u1" }, "request1");
    for (const id of ["u1", "request1", span.traceId]) {
      const [told] = book.find(id).spans;
      expect(told).toMatchObject({ spanId: span.spanId, owner: "ann" });
      expect(told).not.toHaveProperty("durationMs");
      expect(told).not.toHaveProperty("outcome");
    }
  });

  it("without a parent begins a trace, which of an HTTP request is found by hand: the ID in hex", () => {
    expect(book.begin(HTTP, "V1StGXR8_Z5jdHi6").traceId).toBe(Buffer.from("V1StGXR8_Z5jdHi6").toString("hex"));
    expect(book.begin(HTTP, "short").traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set([book.begin(TURN).traceId, book.begin(TURN).traceId, new SpanBook(clock, "two").begin(TURN).traceId]).size).toBe(3);
  });

  it("with one is in its trace, and says under what", () => {
    const parent = book.begin(HTTP, "request1");
    const { traceId, spanId } = book.begin({ ...TURN, parent });
    expect(book.find("request1").spans).toEqual([
      expect.objectContaining({ traceId, spanId: parent.spanId }),
      expect.objectContaining({ traceId, spanId, parentId: parent.spanId, requestId: "request1" }),
    ]);
  });

  it("is the trace of its work, and ends with the code of what was thrown", async () => {
    let inside: Trace | undefined;
    await book.run(HTTP, async () => void (inside = currentTrace()), "request1");
    expect(inside).toMatchObject({ requestId: "request1", isSampled: true });
    await expect(book.run(HTTP, async () => Promise.reject(new TroupeError("FILE_NOT_FOUND")), "request2")).rejects.toThrow();
    await expect(book.run(HTTP, async () => Promise.reject(new Error("broken")), "request3")).rejects.toThrow("broken");
    expect(["request1", "request2", "request3"].map((id) => book.find(id).spans[0]?.outcome)).toEqual(["ok", "FILE_NOT_FOUND", "INTERNAL"]);
  });

  it("belongs to the upload that its answer names, the first time it is named", () => {
    const span = book.begin(TURN);
    span.of({ uploadId: 7 });
    span.of(null);
    span.of({ uploadId: "u1" });
    span.belongsTo("u2");
    span.end();
    expect([book.find("u1").spans.length, book.find("u2").spans.length]).toEqual([1, 0]);
  });

  it("that ends is told to whoever exports, whatever it belongs to", () => {
    const told: string[] = [];
    book.onEnd = ({ name, outcome }, isSampled) => void told.push(`${name} ${outcome} ${isSampled}`);
    add({ uploadId: "u1" });
    add({}, "DISK_FULL");
    expect(told).toEqual(["catalog.upload ok true", "catalog.upload DISK_FULL true"]);
  });
});

describe("B1: what is kept", () => {
  it("is of an upload the newest of each name, and beyond them numbers", async () => {
    for (let chunk = 0; chunk < 20; chunk += 1) {
      const span = book.begin({ ...TURN, name: "upload.chunk", actor: "upload", uploadId: "u1" });
      await clock.advance(chunk);
      span.end(chunk === 3 ? "CHUNK_CONFLICT" : undefined);
    }
    add({ name: "upload.merge", actor: "upload", uploadId: "u1" });
    const { spans, counts } = book.find("u1");
    expect(spans.map(({ durationMs }) => durationMs)).toEqual([12, 13, 14, 15, 16, 17, 18, 19, 0]);
    expect(spans.length).toBe(SPANS_PER_NAME_KEPT + 1);
    expect(counts).toEqual([{ actor: "upload", name: "upload.chunk", count: 20, failedCount: 1, totalMs: 190, maxMs: 19 }]);
  });

  it("is of so many uploads, the newest", () => {
    for (let index = 0; index < SPAN_UPLOADS_KEPT + 1; index += 1) add({ uploadId: `u${index}` });
    expect(["u0", "u1", `u${SPAN_UPLOADS_KEPT}`].map((id) => book.find(id).spans.length)).toEqual([0, 1, 1]);
  });

  it("is of everything else the newest", () => {
    for (let index = 0; index < SPANS_KEPT + 1; index += 1) add({}, undefined, `request${index}`);
    expect(["request0", "request1", `request${SPANS_KEPT}`].map((id) => book.find(id).spans.length)).toEqual([0, 1, 1]);
  });

  it("B3: is not pushed out by what failed of uploads that nobody has, nor by any failure", () => {
    add({ uploadId: "u1" });
    add({}, undefined, "request1");
    for (let index = 0; index < 3 * SPANS_KEPT; index += 1) add({ uploadId: `invented${index}` }, "UPLOAD_NOT_FOUND");
    expect([book.find("u1").spans.length, book.find("request1").spans.length]).toEqual([1, 1]);
    const kept = Array.from({ length: 3 * SPANS_KEPT }, (_, index) => book.find(`invented${index}`).spans.length).reduce((a, b) => a + b);
    expect(kept).toBe(SPANS_FAILED_KEPT);
  });

  it("B3: of an upload that is known has its failures, too", () => {
    add({ uploadId: "u1" });
    add({ uploadId: "u1" }, "DISK_FULL");
    expect(book.find("u1").spans.map(({ outcome }) => outcome)).toEqual(["ok", "DISK_FULL"]);
  });
});

it("B4: a look is not kept, nor what it sets going, nor is it told while it is under way", () => {
  const told: string[] = [];
  book.onEnd = ({ name }) => void told.push(name);
  add({ uploadId: "u1" });
  const look = book.begin({ ...HTTP, uploadId: "u1", isLook: true }, "request1");
  add({ uploadId: "u1", parent: look });
  const underWay = book.find("u1");
  look.end();
  expect(book.find("u1")).toEqual(underWay);
  expect([underWay.spans.length, book.find("request1").spans, told]).toEqual([1, [], ["catalog.upload"]]);
});

it("what began before the wall clock was set is told by the new time, before what began after", async () => {
  add({ uploadId: "u1", name: "first" });
  await clock.advance(5);
  clock.jumpWall(-3_600_000);
  add({ uploadId: "u1", name: "second" });
  const { spans } = book.find("u1");
  expect(spans.map(({ name, startMs }) => [name, clock.wallMs() - startMs])).toEqual([
    ["first", 5],
    ["second", 0],
  ]);
});

it("B3: what somebody is refused who has no such upload is no part of it: nothing is pushed out, nothing counted", () => {
  add({ uploadId: "u1" });
  for (let index = 0; index < 2 * SPANS_PER_NAME_KEPT; index += 1) add({ uploadId: "u1" }, "UPLOAD_NOT_FOUND", `stranger${index}`);
  expect(book.find("u1")).toMatchObject({ spans: [{ outcome: "ok" }], counts: [] });
  expect(book.find("stranger0").spans).toHaveLength(1);
});

describe("spans of traces", () => {
  it("are those of all of them, wherever they are kept, by their start", async () => {
    const request = book.begin(HTTP, "request1");
    const turns: Partial<SpanStart>[] = [{ uploadId: "u1" }, {}];
    for (const turn of turns) {
      await clock.advance(1);
      add({ ...turn, parent: request });
    }
    await clock.advance(1);
    add({ parent: request }, "DISK_FULL");
    add({}, undefined, "request2");
    const spans = book.ofTraces([request.traceId]);
    expect(spans.map(({ uploadId, outcome }: Span) => [uploadId, outcome])).toEqual([
      [undefined, undefined],
      ["u1", "ok"],
      [undefined, "ok"],
      [undefined, "DISK_FULL"],
    ]);
    expect(book.ofTraces([])).toEqual([]);
  });

  it("of an upload are found by the ID of the upload, the request and the trace", () => {
    const span = book.begin({ ...HTTP, uploadId: "u1" }, "request1");
    span.end();
    for (const id of ["u1", "request1", span.traceId]) expect(book.find(id).spans.map(({ spanId }) => spanId)).toEqual([span.spanId]);
    expect(book.find("request").spans).toEqual([]);
  });
});
