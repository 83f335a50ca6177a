/** Frames of a transfer over the bus, and their two ends. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRORS, type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import { FRAME_BYTES_MAX, FRAME_WINDOW_MAX } from "../../src/core/limits.ts";
import { SilenceWatch } from "../../src/core/silence-watch.ts";
import { decodeFrame, encodeFrame, FRAME_HEADER_BYTES, type Frame } from "../../src/data-plane/frame.ts";
import { FrameReceiver } from "../../src/data-plane/frame-receiver.ts";
import { FrameSender } from "../../src/data-plane/frame-sender.ts";
import { collectUntilError } from "../contract/data-plane.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const number = fc.oneof(fc.nat(20), fc.integer({ min: 0, max: 0xffff_ffff }));
const body = fc.uint8Array({ minLength: 1, maxLength: 200 });
const outcome = fc.option(fc.record({ index: fc.nat(), note: fc.string({ unit: "grapheme" }) }), { nil: undefined });
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ kind: fc.constant("bytes" as const), number, bytes: body }),
  fc.record({ kind: fc.constant("end" as const), count: number, outcome }),
  fc.record({ kind: fc.constant("credit" as const), upTo: number }),
  fc.record({ kind: fc.constant("waiting" as const) }),
);

const codeOf = (work: () => unknown): string => {
  try {
    return `no error, but ${JSON.stringify(work())}`;
  } catch (error) {
    if (error instanceof TroupeError) return error.code;
    throw error;
  }
};

describe("a frame", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(frame, (written) => {
        const read = decodeFrame(encodeFrame(written));
        expect({ ...read, ...(read.kind === "bytes" ? { bytes: [...read.bytes] } : {}) }).toEqual({
          ...written,
          ...(written.kind === "bytes" ? { bytes: [...written.bytes] } : {}),
        });
      }),
    );
  });

  it("carries an error with its code, words and plain facts; what cannot travel stays behind", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.dictionary(
          fc.string().filter((key) => !["__proto__", "prototype", "constructor"].includes(key)),
          fc.integer(),
        ),
        (code, detail, facts) => {
          const read = decodeFrame(encodeFrame({ kind: "failure", error: new TroupeError(code, detail, { facts }) }));
          expect(read).toMatchObject({ kind: "failure", error: { code, detail } });
          if (read.kind === "failure") expect(read.error.facts).toEqual(facts);
        },
      ),
    );
    const circular: Record<string, unknown> = { missing: "x".repeat(200_000) };
    circular["self"] = circular;
    for (const facts of [circular, { long: "x".repeat(200_000) }, { deep: JSON.parse("[".repeat(40) + "]".repeat(40)) as unknown }]) {
      const read = decodeFrame(encodeFrame({ kind: "failure", error: new TroupeError("DISK_FULL", "no room", { facts }) }));
      expect(read).toMatchObject({ kind: "failure", error: { code: "DISK_FULL", detail: "no room", facts: {} } });
    }
  });

  it("I20: anything else is refused with a code, whatever it claims, and nothing is allocated for it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodeFrame(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "MESSAGE_REFUSED" });
        }
      }),
      { numRuns: 2_000 },
    );
    const long = new Uint8Array(FRAME_HEADER_BYTES + FRAME_BYTES_MAX + 1).fill(1);
    const unfit = [
      [],
      [1],
      [1, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
      [5, 0, 0, 0, 1],
      [4, 255, 255, 255, 255, 1],
      [3, 0, 0, 0, 1],
      [3, 0, 0, 0, 0],
    ];
    for (const bytes of [long, ...unfit.map((list) => Uint8Array.from(list))])
      expect(codeOf(() => decodeFrame(bytes))).toBe("MESSAGE_REFUSED");
    for (const wrong of [-1, 2 ** 32, 2 ** 53, 0.5, Number.NaN])
      expect(codeOf(() => encodeFrame({ kind: "credit", upTo: wrong }))).toBe("MESSAGE_REFUSED");
  });

  it("of an error that this version does not know is INTERNAL, with what it said", () => {
    const known = encodeFrame({ kind: "failure", error: new TroupeError("BUSY", "why") });
    const unknown = Buffer.from(Buffer.from(known).toString("latin1").replace("BUSY", "NEWS"), "latin1");
    expect(decodeFrame(unknown)).toMatchObject({ error: { code: "INTERNAL", detail: expect.stringContaining("why") } });
  });
});

/** What happens to a frame on its way. */
type Fate = "arrives" | "lost" | "doubled" | "late";

/** A sender and a receiver with a way between them that treats the n-th message of the sender as it is told. */
async function transfer(blocks: readonly Uint8Array[], fates: ReadonlyMap<number, Fate>, payloadBytesMax: number) {
  const clock = new VirtualClock();
  const watches = [1_000, 1_000].map((silenceMs) => new SilenceWatch(clock, silenceMs, undefined));
  const [sending, receiving] = watches as [SilenceWatch, SilenceWatch];
  let inFlight = 0;
  let inFlightMax = 0;
  let sequence = 0;
  let held: Frame | undefined;
  const sender = new FrameSender({
    payloadBytesMax,
    credit: FRAME_WINDOW_MAX,
    watch: sending,
    publish: (payload) => {
      const sent = decodeFrame(payload);
      if (sent.kind === "bytes") inFlightMax = Math.max(inFlightMax, ++inFlight);
      const fate = fates.get(sequence++) ?? "arrives";
      const late = held;
      held = undefined;
      if (fate === "late") held = sent;
      else if (fate !== "lost") for (let time = 0; time < (fate === "doubled" ? 2 : 1); time += 1) hear(sent);
      if (late !== undefined) hear(late);
    },
  });
  const receiver = new FrameReceiver({ allow: (upTo) => sender.allow(upTo), watch: receiving });
  const hear = (heard: Frame): void => {
    if (heard.kind === "bytes") receiver.take(heard.number, heard.bytes);
    if (heard.kind === "end") receiver.end(heard.count);
  };
  for (const [watch, end] of [
    [sending, sender],
    [receiving, receiver],
  ] as const)
    watch.signal.addEventListener("abort", () => end.fail(watch.signal.reason));
  const sent = (async () => {
    for (const block of blocks) await sender.send(block);
    sender.end();
  })().catch(() => undefined);
  const iterator: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const result = await receiver.next();
        inFlight -= 1;
        return result;
      },
    }),
  };
  const collecting = collectUntilError(iterator);
  await clock.advance(5_000);
  const outcome = await collecting;
  await sent;
  for (const watch of watches) watch.end();
  return { ...outcome, inFlightMax };
}

describe("a transfer in frames", () => {
  const blocks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 40 });
  const fates = fc
    .array(fc.tuple(fc.nat(60), fc.constantFrom<Fate>("lost", "doubled", "late")), { maxLength: 3 })
    .map((entries) => new Map(entries));

  it("gives the bytes that were sent, with no more frames on their way than the window has", async () => {
    await fc.assert(
      fc.asyncProperty(blocks, fc.integer({ min: 6, max: 40 }), async (sent, payloadBytesMax) => {
        const { bytes, error, inFlightMax } = await transfer(sent, new Map(), payloadBytesMax);
        expect(error).toBeUndefined();
        expect(bytes.equals(Buffer.concat(sent))).toBe(true);
        expect(inFlightMax).toBeLessThanOrEqual(FRAME_WINDOW_MAX);
      }),
      { numRuns: 50 },
    );
  });

  it("F11: a frame that is lost, comes twice or comes late costs the transfer, never a byte", async () => {
    await fc.assert(
      fc.asyncProperty(blocks, fates, async (sent, treatment) => {
        const { bytes, error } = await transfer(sent, treatment, 30);
        const whole = Buffer.concat(sent);
        expect(bytes.equals(whole.subarray(0, bytes.length))).toBe(true);
        if (error === undefined) expect(bytes).toHaveLength(whole.length);
        else expect(error).toBeInstanceOf(TroupeError);
      }),
      { numRuns: 100 },
    );
  });

  describe("whose sender cannot be allowed more", () => {
    const lost = new TroupeError("BUS_UNAVAILABLE");
    const HALF = FRAME_WINDOW_MAX / 2;

    function deafSender() {
      const watch = new SilenceWatch(new VirtualClock(), 1_000, undefined);
      const allow = (): void => {
        throw lost;
      };
      return { watch, receiver: new FrameReceiver({ allow, watch }) };
    }

    it("gives a reader that waited its frame, then the reason", async () => {
      const { watch, receiver } = deafSender();
      for (let index = 0; index < HALF; index += 1) {
        const waiting = receiver.next();
        receiver.take(index, Uint8Array.of(index));
        expect(await waiting).toEqual({ done: false, value: Uint8Array.of(index) });
      }
      await expect(receiver.next()).rejects.toBe(lost);
      watch.end();
    });

    it("gives a reader that came later its frame, then the reason instead of the frames that wait", async () => {
      const { watch, receiver } = deafSender();
      for (let index = 0; index < FRAME_WINDOW_MAX; index += 1) receiver.take(index, Uint8Array.of(index));
      for (let index = 0; index < HALF; index += 1) expect(await receiver.next()).toEqual({ done: false, value: Uint8Array.of(index) });
      await expect(receiver.next()).rejects.toBe(lost);
      watch.end();
    });

    it("loses nothing when it has sent everything already", async () => {
      const { watch, receiver } = deafSender();
      for (let index = 0; index < FRAME_WINDOW_MAX; index += 1) receiver.take(index, Uint8Array.of(index));
      receiver.end(FRAME_WINDOW_MAX);
      for (let index = 0; index < FRAME_WINDOW_MAX; index += 1)
        expect(await receiver.next()).toMatchObject({ value: Uint8Array.of(index) });
      expect(await receiver.next()).toEqual({ done: true, value: undefined });
      watch.end();
    });
  });

  it("has no more frames on their way than a window, however many the receiver allows", async () => {
    const watch = new SilenceWatch(new VirtualClock(), 1_000, undefined);
    let sentCount = 0;
    const sender = new FrameSender({ payloadBytesMax: 30, credit: 1, watch, publish: () => (sentCount += 1) });
    const lost = new TroupeError("UNAVAILABLE");
    const sending = sender.send(new Uint8Array(10_000)).catch((error: unknown) => error);
    sender.allow(0xffff_ffff);
    for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
    expect(sentCount).toBe(1 + FRAME_WINDOW_MAX);
    sender.fail(lost);
    expect(await sending).toBe(lost);
    watch.end();
  });

  it("is given up by a receiver that gets more than it asked for", async () => {
    const watch = new SilenceWatch(new VirtualClock(), 1_000, undefined);
    const receiver = new FrameReceiver({ allow: () => undefined, watch });
    for (let index = 0; index <= FRAME_WINDOW_MAX; index += 1) receiver.take(index, Uint8Array.of(1));
    await expect(receiver.next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    watch.end();
  });
});
