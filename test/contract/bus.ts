/**
 * What every adapter of the Bus port keeps. Run against each: `describeBus("loopback", open)`.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import type { Bus, BusMessage } from "../../src/core/ports/bus.ts";

/** One medium, or one server, for one test. */
export interface BusHarness {
  /** Another connection to the same medium. */
  connect(): Promise<Bus>;
  /** Lets this much time pass where time is virtual; nothing where it passes by itself. */
  pass(timeMs: number): Promise<void>;
  close(): Promise<void>;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const words = (message: BusMessage): string => new TextDecoder().decode(message.payload);

/** A rejection as a value, so that nothing is unhandled while time passes. */
function outcome<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const ended = await outcome(promise);
  return "error" in ended && ended.error instanceof TroupeError ? ended.error.code : `no error but ${JSON.stringify(ended)}`;
}

function codeThrown(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof TroupeError) return error.code;
    throw error;
  }
  return "nothing was thrown";
}

/** Collects what a subscription hears, and waits until it is as much as expected. */
class Listener {
  readonly messages: BusMessage[] = [];
  #waiting: { count: number; resolve: () => void } | undefined;

  readonly hear = (message: BusMessage): void => {
    this.messages.push(message);
    if (this.#waiting !== undefined && this.messages.length >= this.#waiting.count) this.#waiting.resolve();
  };

  async until(count: number): Promise<BusMessage[]> {
    if (this.messages.length < count) await new Promise<void>((resolve) => (this.#waiting = { count, resolve }));
    return this.messages;
  }
}

export function describeBus(name: string, open: () => Promise<BusHarness>): void {
  describe(`the ${name} bus`, () => {
    let harness: BusHarness;
    let bus: Bus;
    let other: Bus;

    beforeEach(async () => {
      harness = await open();
      bus = await harness.connect();
      other = await harness.connect();
    });
    afterEach(async () => {
      await harness.close();
    });

    /** Everything subscribed so far is heard, and everything published so far was delivered to the handlers' queues. */
    async function exchanged(): Promise<void> {
      await bus.flush();
      await other.flush();
      await bus.flush();
    }

    it("answers a request of another connection", async () => {
      other.subscribe("test.echo", (message) => other.publish(message.reply ?? "", text(`${words(message)}!`)));
      await other.flush();
      expect(words(await bus.request("test.echo", text("hello"), { timeoutMs: 2_000 }))).toBe("hello!");
    });

    it("answers a request of the same connection", async () => {
      bus.subscribe("test.self", (message) => bus.publish(message.reply ?? "", message.payload));
      expect(words(await bus.request("test.self", text("me"), { timeoutMs: 2_000 }))).toBe("me");
    });

    it("gives requests inboxes below _INBOX. that differ from each other", async () => {
      const replies: string[] = [];
      other.subscribe("test.inbox", (message) => {
        replies.push(message.reply ?? "");
        other.publish(message.reply ?? "", text(""));
      });
      await other.flush();
      await Promise.all([1, 2, 3].map(() => bus.request("test.inbox", text(""), { timeoutMs: 2_000 })));
      expect(replies.every((reply) => reply.startsWith("_INBOX."))).toBe(true);
      expect(new Set(replies).size).toBe(3);
    });

    it("gives fresh inboxes that hear what is sent to them, beside the answers to requests", async () => {
      const inboxes = [bus.inbox(), bus.inbox()];
      expect(new Set(inboxes).size).toBe(2);
      const listener = new Listener();
      bus.subscribe(inboxes[0] ?? "", listener.hear);
      other.subscribe("test.stream", (message) => {
        other.publish(inboxes[0] ?? "", text("first"));
        other.publish(inboxes[0] ?? "", text("second"));
        other.publish(message.reply ?? "", text("answer"));
      });
      await exchanged();
      expect(words(await bus.request("test.stream", text(""), { timeoutMs: 2_000 }))).toBe("answer");
      expect((await listener.until(2)).map(words)).toEqual(["first", "second"]);
    });

    it("tells whoever publishes with a reply subject of its own that nobody heard it", async () => {
      const listeners = [new Listener(), new Listener()];
      const inboxes = [bus.inbox(), other.inbox()];
      bus.subscribe(inboxes[0] ?? "", (listeners[0] as Listener).hear);
      other.subscribe(inboxes[1] ?? "", (listeners[1] as Listener).hear);
      await exchanged();
      // Nobody but the publisher is told.
      for (const reply of inboxes) bus.publish("test.nobody", text("x"), { reply });
      expect(await listeners[0]?.until(1)).toMatchObject([{ subject: inboxes[0], headers: {}, payload: text("") }]);
      await exchanged();
      expect(listeners[1]?.messages).toEqual([]);
    });

    it("keeps a thousand concurrent requests and their answers apart", async () => {
      other.subscribe("test.many", (message) => other.publish(message.reply ?? "", message.payload));
      await other.flush();
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, (_, index) => bus.request("test.many", text(`${index}`), { timeoutMs: 20_000 })),
      );
      expect(answers.map(words)).toEqual(Array.from({ length: 1_000 }, (_, index) => `${index}`));
    });

    it("never delivers inside publish", async () => {
      const listener = new Listener();
      bus.subscribe("test.later", listener.hear);
      await bus.flush();
      bus.publish("test.later", text("x"));
      expect(listener.messages).toHaveLength(0);
      await listener.until(1);
    });

    it("delivers a message to every subscription, and to one member of each queue group", async () => {
      const alone = [new Listener(), new Listener()];
      const group = [new Listener(), new Listener(), new Listener()];
      const second = new Listener();
      for (const [index, listener] of alone.entries()) (index === 0 ? bus : other).subscribe("test.all", listener.hear);
      for (const [index, listener] of group.entries()) (index === 0 ? bus : other).subscribe("test.all", listener.hear, { queue: "one" });
      other.subscribe("test.*", second.hear, { queue: "two" });
      await exchanged();
      for (let index = 0; index < 60; index += 1) bus.publish("test.all", text(`${index}`));
      for (const listener of [...alone, second]) expect(await listener.until(60)).toHaveLength(60);
      await exchanged();
      expect(group.reduce((sum, listener) => sum + listener.messages.length, 0)).toBe(60);
      expect(group.every((listener) => listener.messages.length > 0)).toBe(true);
    });

    it("keeps the order of one publisher's messages, also when the handler takes its time", async () => {
      const heard: string[] = [];
      const done = Promise.withResolvers<void>();
      other.subscribe("test.order", async (message) => {
        await Promise.resolve();
        heard.push(words(message));
        if (heard.length === 200) done.resolve();
      });
      await other.flush();
      for (let index = 0; index < 200; index += 1) bus.publish("test.order", text(`${index}`));
      await done.promise;
      expect(heard).toEqual(Array.from({ length: 200 }, (_, index) => `${index}`));
    });

    it("hands the next message over only when the handler has ended", async () => {
      let running = 0;
      let most = 0;
      let count = 0;
      const done = Promise.withResolvers<void>();
      other.subscribe("test.single", async () => {
        running += 1;
        most = Math.max(most, running);
        await other.flush();
        running -= 1;
        count += 1;
        if (count === 10) done.resolve();
      });
      await other.flush();
      for (let index = 0; index < 10; index += 1) bus.publish("test.single", text(""));
      await done.promise;
      expect(most).toBe(1);
    });

    it("hears wildcards: * is one token, > is one or more", async () => {
      const heard: Record<string, Listener> = {
        "w.*.c": new Listener(),
        "w.>": new Listener(),
        "*.b.c": new Listener(),
        "w.b": new Listener(),
      };
      for (const [pattern, listener] of Object.entries(heard)) other.subscribe(pattern, listener.hear);
      await other.flush();
      for (const subject of ["w", "w.b", "w.b.c", "w.x.c", "w.b.c.d"]) bus.publish(subject, text(""));
      await heard["w.>"]?.until(4);
      await exchanged();
      const subjects = Object.fromEntries(
        Object.entries(heard).map(([pattern, listener]) => [pattern, listener.messages.map((message) => message.subject)]),
      );
      expect(subjects).toEqual({
        "w.*.c": ["w.b.c", "w.x.c"],
        "w.>": ["w.b", "w.b.c", "w.x.c", "w.b.c.d"],
        "*.b.c": ["w.b.c"],
        "w.b": ["w.b"],
      });
    });

    it("carries headers there and back, case kept, and none when there are none", async () => {
      let received: BusMessage | undefined;
      other.subscribe("test.headers", (message) => {
        received = message;
        other.publish(message.reply ?? "", text(""), { headers: { "Nats-Service-Error": "it broke: väl" } });
      });
      await other.flush();
      const reply = await bus.request("test.headers", text(""), {
        timeoutMs: 2_000,
        headers: { "Troupe-Principal": "a%20b", "x-lower": "1" },
      });
      expect(received?.headers).toEqual({ "Troupe-Principal": "a%20b", "x-lower": "1" });
      expect(reply.headers).toEqual({ "Nats-Service-Error": "it broke: väl" });
      const listener = new Listener();
      other.subscribe("test.bare", listener.hear);
      await other.flush();
      bus.publish("test.bare", text(""));
      expect((await listener.until(1))[0]?.headers).toEqual({});
    });

    it("refuses headers that would break the frame", () => {
      for (const headers of [
        { "a b": "x" },
        { "a:": "x" },
        { "": "x" },
        { a: "x\r\ny: z" },
        { a: "x\ny" },
        { a: "\u0000" },
        { "a\r\nb": "x" },
        { ä: "x" },
      ]) {
        expect(
          codeThrown(() => bus.publish("test.x", text(""), { headers })),
          JSON.stringify(headers),
        ).toBe("BAD_REQUEST");
      }
    });

    it("says at once that nobody listens", async () => {
      const ended = await outcome(bus.request("test.nobody", text(""), { timeoutMs: 60_000 }));
      expect(ended).toMatchObject({ error: { code: "UNAVAILABLE", facts: { noResponders: true } } });
      expect(await bus.requestMany("test.nobody", text(""), { timeoutMs: 60_000 })).toEqual([]);
      const unplayed = await outcome(bus.request("troupe.v1.tracker.place", text(""), { timeoutMs: 60_000 }));
      expect(unplayed).toMatchObject({ error: { detail: "No process with the role tracker answers; is one started?" } });
    });

    it("gives up at the deadline, and a late answer is nobody's", async () => {
      const asked = new Listener();
      other.subscribe("test.silent", asked.hear);
      await other.flush();
      const ended = codeOf(bus.request("test.silent", text(""), { timeoutMs: 100 }));
      await asked.until(1);
      await harness.pass(200);
      expect(await ended).toBe("DEADLINE_EXCEEDED");
      other.publish(asked.messages[0]?.reply ?? "", text("late"));
      await exchanged();
    });

    it("gives up when the signal says so, before and while it waits", async () => {
      const asked = new Listener();
      other.subscribe("test.silent", asked.hear);
      await other.flush();
      expect(await codeOf(bus.request("test.silent", text(""), { timeoutMs: 60_000, signal: AbortSignal.abort() }))).toBe("CANCELLED");
      const controller = new AbortController();
      const one = codeOf(bus.request("test.silent", text(""), { timeoutMs: 60_000, signal: controller.signal }));
      const many = codeOf(bus.requestMany("test.silent", text(""), { timeoutMs: 60_000, signal: controller.signal }));
      await asked.until(2);
      controller.abort();
      expect([await one, await many]).toEqual(["CANCELLED", "CANCELLED"]);
    });

    it("collects the answers of all that hear, until as many as wanted", async () => {
      for (const word of ["a", "b", "c"]) other.subscribe("test.roll", (message) => other.publish(message.reply ?? "", text(word)));
      await other.flush();
      const replies = await bus.requestMany("test.roll", text(""), { timeoutMs: 60_000, repliesMax: 3 });
      expect(replies.map(words).sort()).toEqual(["a", "b", "c"]);
      expect(await bus.requestMany("test.roll", text(""), { timeoutMs: 60_000, repliesMax: 2 })).toHaveLength(2);
    });

    it("collects the answers that come in time", async () => {
      const asked = new Listener();
      other.subscribe("test.roll", (message) => other.publish(message.reply ?? "", text("quick")));
      other.subscribe("test.roll", asked.hear);
      await other.flush();
      const replies = outcome(bus.requestMany("test.roll", text(""), { timeoutMs: 1_000 }));
      await asked.until(1);
      await harness.pass(1_100);
      expect(await replies).toMatchObject({ value: [{ payload: text("quick") }] });
    });

    it("refuses a payload larger than the bus carries, and carries the largest", async () => {
      const listener = new Listener();
      other.subscribe("test.large", listener.hear);
      await other.flush();
      const large = new Uint8Array(bus.payloadBytesMax + 1).fill(7);
      expect(codeThrown(() => bus.publish("test.large", large))).toBe("PAYLOAD_TOO_LARGE");
      expect(await codeOf(bus.request("test.large", large, { timeoutMs: 60_000 }))).toBe("PAYLOAD_TOO_LARGE");
      expect(codeThrown(() => bus.publish("test.large", large.subarray(1), { headers: { a: "b" } }))).toBe("PAYLOAD_TOO_LARGE");
      bus.publish("test.large", large.subarray(1));
      expect((await listener.until(1))[0]?.payload.length).toBe(bus.payloadBytesMax);
    });

    it("shares no bytes between sender and receivers", async () => {
      const changed = Promise.withResolvers<void>();
      const first = new Listener();
      other.subscribe("test.bytes", (message) => {
        message.payload.fill(0);
        changed.resolve();
      });
      other.subscribe("test.bytes", first.hear);
      await other.flush();
      const sent = Buffer.from("original");
      bus.publish("test.bytes", sent);
      sent.fill(1);
      await changed.promise;
      await first.until(1);
      expect(words(first.messages[0] as BusMessage)).toBe("original");
      expect(sent.every((byte) => byte === 1)).toBe(true);
    });

    it("drops and counts what finds the handler's queue full, and delivers the rest", async () => {
      const gate = Promise.withResolvers<void>();
      const listener = new Listener();
      const subscription = other.subscribe(
        "test.pressure",
        async (message) => {
          listener.hear(message);
          await gate.promise;
        },
        { pendingMax: 5 },
      );
      await other.flush();
      bus.publish("test.pressure", text("first"));
      await listener.until(1);
      for (let index = 0; index < 20; index += 1) bus.publish("test.pressure", text(`${index}`));
      await exchanged();
      expect(subscription.dropped).toBe(15);
      gate.resolve();
      await listener.until(6);
      expect(listener.messages.map(words)).toEqual(["first", "0", "1", "2", "3", "4"]);
    });

    it("goes on with the next message when a handler throws, at once or later", async () => {
      const listener = new Listener();
      other.subscribe("test.throw", (message) => {
        listener.hear(message);
        if (words(message) === "sync") throw new Error("thrown by the test");
        return words(message) === "async" ? Promise.reject(new Error("rejected by the test")) : undefined;
      });
      await other.flush();
      for (const word of ["sync", "async", "fine"]) bus.publish("test.throw", text(word));
      expect((await listener.until(3)).map(words)).toEqual(["sync", "async", "fine"]);
    });

    it("delivers nothing to a subscription that was ended, waiting messages included", async () => {
      const gate = Promise.withResolvers<void>();
      const ended = new Listener();
      const kept = new Listener();
      const subscription = other.subscribe("test.end", async (message) => {
        ended.hear(message);
        await gate.promise;
      });
      other.subscribe("test.end", kept.hear);
      await other.flush();
      for (const word of ["1", "2", "3"]) bus.publish("test.end", text(word));
      await kept.until(3);
      subscription.unsubscribe();
      subscription.unsubscribe();
      gate.resolve();
      bus.publish("test.end", text("4"));
      await kept.until(4);
      await exchanged();
      expect(ended.messages.map(words)).toEqual(["1"]);
    });

    it("drains a subscription: what waits is handled, nothing new comes", async () => {
      const gate = Promise.withResolvers<void>();
      const listener = new Listener();
      const kept = new Listener();
      const subscription = other.subscribe("test.drain", async (message) => {
        listener.hear(message);
        await gate.promise;
      });
      other.subscribe("test.drain", kept.hear);
      await other.flush();
      for (const word of ["1", "2", "3"]) bus.publish("test.drain", text(word));
      await kept.until(3);
      const drained = subscription.drain();
      await exchanged();
      bus.publish("test.drain", text("4"));
      await kept.until(4);
      gate.resolve();
      await drained;
      expect(listener.messages.map(words)).toEqual(["1", "2", "3"]);
    });

    it("drains a connection: its handlers still answer, then everything is refused", async () => {
      const gate = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      other.subscribe("test.goodbye", async (message) => {
        asked.resolve();
        await gate.promise;
        other.publish(message.reply ?? "", text("answered"));
      });
      await other.flush();
      const reply = bus.request("test.goodbye", text(""), { timeoutMs: 60_000 });
      await asked.promise;
      const drained = other.drain();
      expect(codeThrown(() => other.subscribe("test.x", () => undefined))).toBe("BUS_UNAVAILABLE");
      gate.resolve();
      await drained;
      expect(words(await reply)).toBe("answered");
      expect(codeThrown(() => other.publish("test.x", text("")))).toBe("BUS_UNAVAILABLE");
      expect(codeThrown(() => other.subscribe("test.x", () => undefined))).toBe("BUS_UNAVAILABLE");
      expect(await codeOf(other.request("test.x", text(""), { timeoutMs: 60_000 }))).toBe("BUS_UNAVAILABLE");
      expect(await codeOf(other.flush())).toBe("BUS_UNAVAILABLE");
      expect(await codeOf(bus.request("test.goodbye", text(""), { timeoutMs: 60_000 }))).toBe("UNAVAILABLE");
    });

    it("ends a connection's open requests when it is drained", async () => {
      const asked = new Listener();
      other.subscribe("test.silent", asked.hear);
      await other.flush();
      const open = codeOf(bus.request("test.silent", text(""), { timeoutMs: 60_000 }));
      await asked.until(1);
      await bus.drain();
      expect(await open).toBe("BUS_UNAVAILABLE");
    });

    it("I16: refuses subjects that are not one, before anything is sent", async () => {
      const everything = new Listener();
      other.subscribe(">", everything.hear);
      await other.flush();
      const long = `a.${"b".repeat(4096)}`;
      for (const subject of ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", ">", "*", "a*b", "a\tb", "a\r\nPUB b 0", "a\u0000", "ä", long]) {
        expect(
          codeThrown(() => bus.publish(subject, text(""))),
          JSON.stringify(subject),
        ).toBe("BAD_IDENTITY");
        expect(await codeOf(bus.request(subject, text(""), { timeoutMs: 60_000 })), JSON.stringify(subject)).toBe("BAD_IDENTITY");
        expect(
          codeThrown(() => bus.publish("test.x", text(""), { reply: subject })),
          JSON.stringify(subject),
        ).toBe("BAD_IDENTITY");
      }
      for (const pattern of ["", "a..b", ">.a", "a.>.b", "a b", "a*", "a.b>", "a\n", long]) {
        expect(
          codeThrown(() => bus.subscribe(pattern, () => undefined)),
          JSON.stringify(pattern),
        ).toBe("BAD_IDENTITY");
      }
      for (const queue of ["", "a b", "a.b", "*", "a\r\n"]) {
        expect(
          codeThrown(() => bus.subscribe("test.x", () => undefined, { queue })),
          JSON.stringify(queue),
        ).toBe("BAD_IDENTITY");
      }
      await exchanged();
      expect(everything.messages).toEqual([]);
    });

    it("carries any bytes unchanged", async () => {
      other.subscribe("test.any", (message) => other.publish(message.reply ?? "", message.payload));
      await other.flush();
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
          expect(new Uint8Array((await bus.request("test.any", bytes, { timeoutMs: 10_000 })).payload)).toEqual(bytes);
        }),
        { numRuns: 50 },
      );
    });
  });
}
