import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { currentTrace, inTrace, newTraceParent, readTrace, type Trace, traceParent } from "../../src/core/trace.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const TRACE: Trace = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  isSampled: true,
  requestId: "r-1",
  isLook: false,
};

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length }).filter((text) => /[^0]/.test(text));

describe("a header traceparent", () => {
  it("says what was written", () => {
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, isSampled) => {
        expect(readTrace(traceParent({ traceId, spanId, isSampled, requestId: undefined }), "r-1")).toEqual({
          traceId,
          spanId,
          isSampled,
          requestId: "r-1",
          isLook: false,
        });
      }),
    );
  });

  it("of a trace that begins is another each time, and wanted", () => {
    const random = new SeededRandom(1);
    const traces = [1, 2].map(() => readTrace(newTraceParent(random), undefined));
    expect(traces.map((trace) => trace?.isSampled)).toEqual([true, true]);
    expect(new Set(traces.map((trace) => trace?.traceId)).size).toBe(2);
  });

  it("of a later version says the same by its first four fields", () => {
    expect(readTrace("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more", undefined)).toEqual({
      ...TRACE,
      requestId: undefined,
    });
  });

  it.each([
    "",
    "00",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
    " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  ])("that is malformed says nothing: %j", (text) => {
    expect(readTrace(text, "r-1")).toBeUndefined();
  });

  it("keeps its trace beside a request ID that is none", () => {
    for (const requestId of ["", "a b", "x".repeat(65), "a\nb"])
      expect(readTrace(traceParent(TRACE), requestId)).toEqual({ ...TRACE, requestId: undefined });
  });
});

describe("the trace of the work", () => {
  it("is there in all that it sets going, and not beside it", async () => {
    const { promise: timer, resolve } = Promise.withResolvers<Trace | undefined>();
    const inside = inTrace(TRACE, async () => {
      new SystemClock().setTimer(0, () => resolve(currentTrace()));
      await null;
      return currentTrace();
    });
    expect([currentTrace(), await inside, currentTrace(), await timer]).toEqual([undefined, TRACE, undefined, TRACE]);
  });

  it("T2: is none for what serves many", () => {
    inTrace(TRACE, () => inTrace(undefined, () => expect(currentTrace()).toBeUndefined()));
  });
});
