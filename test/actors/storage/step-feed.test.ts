/** What of a session's steps is published, on the bus inside a process and on a real nats-server. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { StepFeed } from "../../../src/actors/storage/step-feed.ts";
import type { InspectedSession } from "../../../src/actors/upload/ports.ts";
import { LoopbackMedium } from "../../../src/bus/loopback.ts";
import { connectNats, type NatsBus } from "../../../src/bus/nats.ts";
import { feedSubject, type MachineFeed, machineFeed } from "../../../src/core/inspection.ts";
import { FEED_MS, FEED_QUIET_MS } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Bus } from "../../../src/core/ports/bus.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { startTestNats, type TestNats } from "../../support/nats-server.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { settle, VirtualClock } from "../../support/virtual-clock.ts";

/** A session whose steps are numbers. */
class Session implements InspectedSession {
  steps = 0;
  state = "chunks.receiving";

  told(): never {
    throw new Error("nobody asked for the whole");
  }

  news(uploadId: string, after: number): MachineFeed {
    const numbers = Array.from({ length: this.steps }, (_, index) => index + 1).filter((number) => number > after);
    return {
      uploadId,
      atMs: 1,
      state: this.state,
      sinceMs: 1,
      openedMs: 1,
      context: {},
      effects: [],
      bodies: [],
      steps: numbers.map((number) => ({ first: number, last: number, fromMs: 1, atMs: 1, from: "a", to: "a", events: [], changes: [] })),
    };
  }
}

/** Every publication, as it leaves the node. */
function counted(bus: Bus, published: string[]): Bus {
  return {
    payloadBytesMax: bus.payloadBytesMax,
    nowMs: () => bus.nowMs(),
    publish: (subject, payload, options) => {
      published.push(subject);
      bus.publish(subject, payload, options);
    },
    subscribe: (subject, handler, options) => bus.subscribe(subject, handler, options),
    request: (subject, payload, options) => bus.request(subject, payload, options),
    requestMany: (subject, payload, options) => bus.requestMany(subject, payload, options),
    inbox: () => bus.inbox(),
    flush: () => bus.flush(),
    drain: () => bus.drain(),
  };
}

let server: TestNats;
beforeAll(async () => {
  server = await startTestNats();
});
afterAll(async () => await server?.[Symbol.asyncDispose]());

const KINDS = ["inside a process", "on a nats-server"] as const;

describe.each(KINDS)("the steps of a session, on the bus %s", (kind) => {
  let clock: VirtualClock;
  let node: Bus;
  let other: Bus;
  let feed: StepFeed;
  let session: Session | undefined;
  let published: string[];
  let end: () => Promise<void>;

  beforeEach(async () => {
    clock = new VirtualClock();
    published = [];
    session = new Session();
    const random = new SeededRandom(3);
    if (kind === "inside a process") {
      const medium = new LoopbackMedium({ clock, random });
      [node, other] = [medium.connect(), medium.connect()];
      end = async () => undefined;
    } else {
      const connect = async (name: string): Promise<NatsBus> =>
        await connectNats({ servers: [server.url], name, inboxPrefix: `_INBOX_${name}`, clock: new SystemClock(), log: SILENT_LOG });
      const buses = [await connect("node"), await connect("other")] as const;
      [node, other] = buses;
      end = async () => {
        for (const bus of buses) await bus.disconnect();
      };
    }
    feed = new StepFeed({ bus: counted(node, published), clock, log: SILENT_LOG }, () => session);
    await node.flush();
    return async () => {
      feed.stop();
      await end();
    };
  });

  const step = (count = 1): void => {
    for (let index = 0; index < count; index += 1) {
      (session as Session).steps += 1;
      feed.changed("u1");
    }
  };
  /** Time passes, and the bus brings what was said. */
  const pass = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs <= ms; passedMs += FEED_MS) {
      if (passedMs > 0) await clock.advance(FEED_MS);
      for (const bus of [node, other, node]) await bus.flush();
      await settle();
    }
  };
  const listen = async (subject: string): Promise<MachineFeed[]> => {
    const heard: MachineFeed[] = [];
    other.subscribe(subject, ({ payload }) => void heard.push(machineFeed.parse(JSON.parse(Buffer.from(payload).toString()))));
    await other.flush();
    return heard;
  };

  it("F1: are told to nobody when nobody listens: one short message asks, now and then", async () => {
    for (let round = 0; round < 2 * (FEED_QUIET_MS / FEED_MS); round += 1) {
      step(10);
      await pass(FEED_MS);
    }
    expect(published.length).toBeGreaterThan(0);
    expect(published.length).toBeLessThanOrEqual(3);
  });

  it("reach a plain subscriber who has asked for nothing, from the first one on that is kept", async () => {
    const heard = await listen("troupe.v1.inspect.>");
    step(3);
    await pass(FEED_MS);
    await pass(FEED_MS);
    expect(heard.flatMap(({ steps }) => steps.map(({ last }) => last))).toEqual([1, 2, 3]);
    step(2);
    await pass(FEED_MS);
    expect(heard.flatMap(({ steps }) => steps.map(({ last }) => last))).toEqual([1, 2, 3, 4, 5]);
    expect(heard.every(({ uploadId }) => uploadId === "u1")).toBe(true);
  });

  it("are told from the first again of a session that was started anew", async () => {
    const heard = await listen(feedSubject("upload", "u1"));
    step(3);
    await pass(2 * FEED_MS);
    session = new Session();
    step(2);
    await pass(FEED_MS);
    expect(heard.at(-1)?.steps.map(({ last }) => last)).toEqual([1, 2]);
  });

  it("F2: that happen within a moment are one message", async () => {
    const heard = await listen(feedSubject("upload", "u1"));
    step();
    await pass(2 * FEED_MS);
    const before = heard.length;
    step(500);
    await pass(FEED_MS);
    expect(heard.length).toBe(before + 1);
    await pass(10 * FEED_MS);
    expect(heard.length).toBe(before + 1);
  });

  it("F1: reach whoever looks and listens within a moment, though nobody had listened just before", async () => {
    step();
    await pass(2 * FEED_MS);
    step();
    await pass(FEED_MS);
    expect(published.length).toBe(1);
    const heard = await listen(feedSubject("upload", "u1"));
    feed.looked("u1");
    step();
    await pass(FEED_MS);
    expect(heard.at(-1)?.steps.at(-1)?.last).toBe(3);
  });

  it("F1: reach whoever only listens after a while", async () => {
    step();
    await pass(2 * FEED_MS);
    const heard = await listen(feedSubject("upload", "u1"));
    step();
    await pass(FEED_MS);
    expect(heard).toEqual([]);
    await pass(FEED_QUIET_MS);
    step();
    await pass(2 * FEED_MS);
    expect(heard.at(-1)?.steps.at(-1)?.last).toBe(3);
  });

  it("are not told any more when the last has gone", async () => {
    const heard: unknown[] = [];
    const subscription = other.subscribe(feedSubject("upload", "u1"), () => void heard.push(1));
    await other.flush();
    step();
    await pass(2 * FEED_MS);
    subscription.unsubscribe();
    await other.flush();
    const before = published.length;
    for (let round = 0; round < 10; round += 1) {
      step();
      await pass(FEED_MS);
    }
    expect(heard.length).toBeGreaterThan(0);
    expect(published.length).toBe(before + 1);
  });

  it("that are the last of a session are told at once, also to who has just looked for the first time", async () => {
    step();
    await pass(2 * FEED_MS);
    const heard = await listen(feedSubject("upload", "u1"));
    feed.looked("u1");
    (session as Session).state = "merged";
    step();
    feed.ended("u1");
    session = undefined;
    await pass(0);
    expect(heard.map(({ state, steps }) => [state, steps.at(-1)?.last])).toEqual([["merged", 2]]);
    await pass(FEED_QUIET_MS);
    expect(heard.length).toBe(1);
  });
});
