/** The host: turns, lanes, answers, crashes, passivation, stopping. */
import { describe, expect, it } from "vitest";
import type { Self } from "../../src/bus/actor.ts";
import { client } from "../../src/bus/client.ts";
import { decodeBody, encodeBody } from "../../src/bus/codec.ts";
import { DEAD_LETTER_REASONS, DeadLetters } from "../../src/bus/dead-letters.ts";
import { HEADERS } from "../../src/bus/headers.ts";
import { host } from "../../src/bus/host.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { DRAIN_MS_MAX, REPLY_BYTES_MAX, REPLY_ITEMS_MAX, REQUEST_TIMEOUT_MS_MAX, STOP_GRACE_MS } from "../../src/core/limits.ts";
import type { BusHeaders } from "../../src/core/ports/bus.ts";
import { settle } from "../support/virtual-clock.ts";
import { actor, chorus, ending, Theatre, whole } from "./theatre.ts";

const BOUNDS = { bytesMax: REPLY_BYTES_MAX, itemsMax: REPLY_ITEMS_MAX };
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A promise a test settles, for an effect or a turn that takes its time. */
const gate = <T = void>() => Promise.withResolvers<T>();

describe("a turn", () => {
  it("is one at a time, in the order of arrival", async () => {
    const theatre = new Theatre();
    const order: string[] = [];
    await theatre.host({
      work: async ({ id }) => {
        order.push(`begin ${id}`);
        await settle(1);
        order.push(`end ${id}`);
        return { id };
      },
    });
    await Promise.all([1, 2, 3].map((id) => theatre.player.work({ id })));
    expect(order).toEqual(["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
  });

  it("answers a thousand concurrent requests, each its own", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({});
    const ids = Array.from({ length: 1_000 }, (_, index) => index);
    const answers = await Promise.all(ids.map((id) => theatre.player.work({ id })));
    expect(answers.map((answer) => answer.id)).toEqual(ids);
    expect(hosted.statistics).toMatchObject({ turns: 1_000, crashes: 0, waiting: 0, deferred: 0, deadLetters: 0 });
  });

  it("ends with an effect's start: effects overlap, and answer when they end", async () => {
    const theatre = new Theatre();
    const effects = [gate<{ id: number }>(), gate<{ id: number }>()];
    const hosted = await theatre.host({ work: ({ id }, turn) => turn.later((effects[id] as (typeof effects)[number]).promise) });
    const calls = [theatre.player.work({ id: 0 }), theatre.player.work({ id: 1 })];
    await settle();
    expect(hosted.statistics).toMatchObject({ turns: 2, deferred: 2 });
    expect(await theatre.player.status({})).toEqual({ turns: 0 });
    effects[1]?.resolve({ id: 1 });
    expect(await calls[1]).toEqual({ id: 1 });
    expect(hosted.statistics.deferred).toBe(1);
    effects[0]?.resolve({ id: 0 });
    expect(await calls[0]).toEqual({ id: 0 });
  });

  it("that was posted goes ahead of waiting requests", async () => {
    const theatre = new Theatre();
    const order: string[] = [];
    const first = gate();
    let self: Self | undefined;
    await theatre.host(async (given) => {
      self = given;
      return {
        work: async ({ id }) => {
          if (id === 0) await first.promise;
          order.push(`work ${id}`);
          return { id };
        },
        status: () => {
          order.push("status");
          return { turns: 0 };
        },
      };
    });
    const begun = theatre.player.work({ id: 0 });
    await settle();
    const calls = [begun, ...[1, 2].map((id) => theatre.player.work({ id }))];
    const status = theatre.player.status({});
    await settle();
    self?.post("effect ended", () => void order.push("posted"));
    first.resolve();
    await Promise.all([...calls, status]);
    expect(order).toEqual(["work 0", "posted", "status", "work 1", "work 2"]);
  });

  it("that was posted never runs inside whoever posts it, be it another turn", async () => {
    const theatre = new Theatre();
    const order: string[] = [];
    let self: Self | undefined;
    await theatre.host(async (given) => {
      self = given;
      return {};
    });
    const outer = self as Self | undefined;
    outer?.post("outer", async () => {
      order.push("outer begins");
      outer.post("inner", () => void order.push("inner"));
      await settle(1);
      order.push("outer ends");
    });
    order.push("posted");
    await settle();
    expect(order).toEqual(["posted", "outer begins", "outer ends", "inner"]);
  });

  it("whose caller has given up is not begun", async () => {
    const theatre = new Theatre();
    const first = gate();
    const begun: number[] = [];
    const hosted = await theatre.host({
      work: async ({ id }) => {
        begun.push(id);
        if (id === 0) await first.promise;
        return { id };
      },
    });
    const calls = [theatre.player.work({ id: 0 }), theatre.player.work({ id: 1 }, { timeoutMs: 100 }), theatre.player.work({ id: 2 })].map(
      ending,
    );
    await theatre.clock.advance(100);
    first.resolve();
    expect(await Promise.all(calls)).toEqual(["ok", "DEADLINE_EXCEEDED", "ok"]);
    expect(begun).toEqual([0, 2]);
    expect(hosted.deadLetters()).toEqual([
      { subject: "test.player.p1.work", reason: DEAD_LETTER_REASONS.expired, atMs: theatre.clock.wallMs() },
    ]);
  });

  it("keeps its time from the message's header, within the longest that is waited", async () => {
    const theatre = new Theatre();
    const leftMs: number[] = [];
    await theatre.host({
      echo: ({ text }, turn) => {
        leftMs.push(turn.deadlineMs - theatre.clock.nowMs());
        return { text };
      },
    });
    const ask = (headers: BusHeaders) => theatre.callers.request("test.player.p1.echo", json({}), { timeoutMs: 1_000, headers });
    await ask({});
    await ask({ [HEADERS.timeout]: "70" });
    await ask({ [HEADERS.timeout]: "999999999999999" });
    expect(leftMs).toEqual([5_000, 70, REQUEST_TIMEOUT_MS_MAX]);
    for (const text of ["-1", "1e9", "", "x", "9".repeat(40)])
      expect((await ask({ [HEADERS.timeout]: text })).headers[HEADERS.errorCode], text).toBe("BAD_REQUEST");
  });
});

describe("a full actor", () => {
  it("answers BUSY at once, while its priority lane works", async () => {
    const theatre = new Theatre();
    const first = gate();
    const hosted = await theatre.host(
      {
        work: async ({ id }) => {
          await first.promise;
          return { id };
        },
      },
      { mailboxMax: 2 },
    );
    const begun = ending(theatre.player.work({ id: 0 }));
    await settle();
    const calls = [begun, ...[1, 2, 3].map((id) => ending(theatre.player.work({ id })))];
    expect(await calls[3]).toBe("BUSY");
    expect(hosted.statistics.waiting).toBe(2);
    const status = theatre.player.status({});
    await settle();
    expect(hosted.statistics.waiting).toBe(3);
    first.resolve();
    expect(await status).toEqual({ turns: 0 });
    expect(await Promise.all(calls)).toEqual(["ok", "ok", "ok", "BUSY"]);
  });

  it("starts no effect when too many are under way, and still tells its status", async () => {
    const theatre = new Theatre();
    const effect = gate<{ id: number }>();
    let begun = 0;
    await theatre.host(
      {
        work: (_, turn) => {
          begun += 1;
          return turn.later(effect.promise);
        },
      },
      { deferredMax: 2 },
    );
    const calls = [0, 1, 2].map((id) => ending(theatre.player.work({ id })));
    expect(await calls[2]).toBe("BUSY");
    expect(begun).toBe(2);
    expect(await ending(theatre.player.status({}))).toBe("ok");
    effect.resolve({ id: 1 });
    expect(await Promise.all(calls)).toEqual(["ok", "ok", "BUSY"]);
    expect(await ending(theatre.player.work({ id: 3 }))).toBe("ok");
  });
});

describe("an answer", () => {
  it("is JSON for a JSON question, msgpack otherwise", async () => {
    const theatre = new Theatre();
    await theatre.host({});
    const ask = (payload: Uint8Array) => theatre.callers.request("test.player.p1.echo", payload, { timeoutMs: 1_000 });
    const readable = await ask(json({ text: "ü" }));
    expect(new TextDecoder().decode(readable.payload)).toBe('{"text":"ü"}');
    expect(readable.headers[HEADERS.contentType]).toBe("application/json");
    const compact = await ask(encodeBody({ text: "x" }, "msgpack"));
    expect(compact.payload[0]).not.toBe(0x7b);
    expect(decodeBody(compact.payload, BOUNDS)).toEqual({ text: "x" });
    expect(new TextDecoder().decode((await ask(new Uint8Array(0))).payload)).toBe('{"text":"nothing"}');
  });

  it("with an error says so in headers for any micro-service client, and in the body in the format asked", async () => {
    const theatre = new Theatre();
    await theatre.host({
      echo: () => {
        throw new TroupeError("FILE_NOT_FOUND", `first line\r\nNats-Service-Error-Code: 200 ${"ü".repeat(1_000)}`, {
          facts: { fileId: "f" },
        });
      },
    });
    const reply = await theatre.callers.request("test.player.p1.echo", json({}), { timeoutMs: 1_000 });
    expect(reply.headers).toMatchObject({ [HEADERS.errorStatus]: "404", [HEADERS.errorCode]: "FILE_NOT_FOUND" });
    expect(reply.headers[HEADERS.error]).toMatch(/^first line Nats-Service-Error-Code: 200 ü+$/);
    expect(reply.headers[HEADERS.error]?.length).toBeLessThanOrEqual(256);
    expect(JSON.parse(new TextDecoder().decode(reply.payload))).toMatchObject({ code: "FILE_NOT_FOUND", facts: { fileId: "f" } });
    expect(theatre.complaints).toEqual([]);
  });

  it("I18: refuses what cannot be decoded or is not what the contract says, without a turn", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({});
    const ask = async (payload: Uint8Array, headers: BusHeaders = {}) =>
      (await theatre.callers.request("test.player.p1.work", payload, { timeoutMs: 1_000, headers })).headers[HEADERS.errorCode];
    expect(await ask(Uint8Array.from([0x81, 0xa1, 0x6b, 0xc7, 0, 0]))).toBe("MESSAGE_REFUSED");
    expect(await ask(json(JSON.parse('{"id":1,"__proto__":{}}')))).toBe("MESSAGE_REFUSED");
    expect(await ask(new Uint8Array(70_000))).toBe("MESSAGE_REFUSED");
    expect(await ask(json({}))).toBe("BAD_REQUEST");
    expect(await ask(json({ id: "1" }))).toBe("BAD_REQUEST");
    for (const owner of ["%", "", "a%00b", "x".repeat(300)])
      expect(await ask(json({ id: 1 }), { [HEADERS.principal]: owner }), owner).toBe("BAD_REQUEST");
    expect(hosted.statistics.turns).toBe(0);
    expect(await ask(json({ id: 1, extra: true }))).toBeUndefined();
  });

  it("to a question without a principal is given as to the local owner", async () => {
    const theatre = new Theatre();
    let owner = "";
    await theatre.host({
      echo: ({ text }, turn) => {
        owner = turn.principal.owner;
        return { text };
      },
    });
    await theatre.callers.request("test.player.p1.echo", json({}), { timeoutMs: 1_000 });
    expect(owner).toBe("local");
  });

  it("to a request the contract does not name is a typed error", async () => {
    const theatre = new Theatre();
    await theatre.host({});
    for (const verb of ["unknown", "toString", "__proto__"]) {
      expect((await theatre.callers.request(`test.player.p1.${verb}`, json({}), { timeoutMs: 1_000 })).headers[HEADERS.errorCode]).toBe(
        "NOT_FOUND",
      );
    }
  });

  it("that is not what the contract says never leaves: INTERNAL, and a line in the log", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({ work: () => ({ id: "wrong" }) as never, echo: ({ text }) => ({ text, secret: "dropped" }) });
    expect(await ending(theatre.player.work({ id: 1 }))).toBe("INTERNAL");
    expect(theatre.complaints).toHaveLength(1);
    expect(hosted.statistics.crashes).toBe(0);
    const reply = await theatre.callers.request("test.player.p1.echo", json({}), { timeoutMs: 1_000 });
    expect(new TextDecoder().decode(reply.payload)).toBe('{"text":"nothing"}');
  });

  it("too large for the bus becomes a typed error, and an error's facts stay behind when they are", async () => {
    const theatre = new Theatre();
    const text = "x".repeat(REPLY_BYTES_MAX);
    await theatre.host({
      echo: () => ({ text }),
      work: () => {
        throw new TroupeError("UNAVAILABLE", "too much to say", { facts: { text } });
      },
      status: () => {
        throw new TroupeError("UNAVAILABLE", "not plain data", { facts: { size: 10n ** 30n } });
      },
    });
    expect(await ending(theatre.player.echo({}))).toBe("PAYLOAD_TOO_LARGE");
    await expect(theatre.player.work({ id: 1 })).rejects.toMatchObject({ code: "UNAVAILABLE", detail: "too much to say", facts: {} });
    expect(await ending(theatre.callers.request("test.player.p1.status", json({}), { timeoutMs: 1_000 }))).toBe("ok");
    expect(await ending(theatre.player.status({}))).toBe("UNAVAILABLE");
  });

  it("with a code the contract does not declare is given, and noticed", async () => {
    const theatre = new Theatre();
    await theatre.host({
      work: () => {
        throw new TroupeError("DISK_FULL");
      },
    });
    expect(await ending(theatre.player.work({ id: 1 }))).toBe("DISK_FULL");
    expect(theatre.complaints).toEqual(["The contract does not declare that this request may answer DISK_FULL."]);
  });

  it("of an effect that failed unexpectedly is INTERNAL without its words, and no crash", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({
      work: (_, turn) => turn.later(Promise.reject(new Error("a secret"))),
      echo: (_, turn) => turn.later(Promise.reject(new TroupeError("FILE_NOT_FOUND"))),
    });
    const failure: unknown = await theatre.player.work({ id: 1 }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "INTERNAL" });
    expect(String(failure)).not.toContain("secret");
    expect(theatre.complaints).toHaveLength(1);
    expect(await ending(theatre.player.echo({}))).toBe("FILE_NOT_FOUND");
    expect(hosted.statistics.crashes).toBe(0);
  });

  it("I19: goes to an inbox only; a command whose answer would go elsewhere is not carried out", async () => {
    const theatre = new Theatre();
    const heard: string[] = [];
    const spy = theatre.medium.connect();
    for (const subject of ["test.command", "$JS.API.STREAM.DELETE.x", "_INBOXES.x", "_INBOX"])
      spy.subscribe(subject, (message) => void heard.push(message.subject));
    const deadLetters = new DeadLetters();
    const hosted = await theatre.host({}, { deadLetters });
    theatre.callers.publish("test.player.p1.work", json({ id: 1 }));
    for (const reply of ["test.command", "$JS.API.STREAM.DELETE.x", "_INBOXES.x", "_INBOX"])
      theatre.callers.publish("test.player.p1.work", json({ id: 1 }), { reply });
    await settle();
    expect(hosted.statistics).toMatchObject({ turns: 0, deadLetters: 5 });
    expect(heard).toEqual([]);
    expect(deadLetters.list().map((letter) => letter.reason)).toEqual([
      DEAD_LETTER_REASONS.noReply,
      ...new Array<string>(4).fill(DEAD_LETTER_REASONS.foreignReply),
    ]);
  });

  it("that the bus no longer takes is a dead letter", async () => {
    const theatre = new Theatre();
    const effect = gate<{ id: number }>();
    const hosted = await theatre.host({ work: (_, turn) => turn.later(effect.promise) });
    const call = ending(theatre.player.work({ id: 1 }, { timeoutMs: 50 }));
    await settle();
    theatre.bus.disconnect();
    effect.resolve({ id: 1 });
    await theatre.clock.advance(50);
    expect(await call).toBe("DEADLINE_EXCEEDED");
    expect(hosted.deadLetters().map((letter) => letter.reason)).toEqual([DEAD_LETTER_REASONS.unsent]);
  });
});

describe("a crash", () => {
  /** An actor that counts its starts, crashes on `work` 0 and remembers its stops. */
  async function fragile(theatre: Theatre, failStarts: readonly number[] = [], restartsMax = 5) {
    const seen = { starts: 0, stops: [] as string[], selves: [] as Self[] };
    const hosted = await theatre.hostActivation(
      async (self) => {
        seen.starts += 1;
        seen.selves.push(self);
        if (failStarts.includes(seen.starts)) throw new TroupeError("DATABASE_UNAVAILABLE");
        const start = seen.starts;
        return {
          handlers: {
            ...whole.handlers,
            work: ({ id }) => {
              if (id === 0) throw new Error("broken by the test");
              return { id: start * 10 + id };
            },
          },
          stop: (reason) => void seen.stops.push(reason),
        };
      },
      { restartsMax },
    );
    return { hosted, seen };
  }

  it("answers INTERNAL to its caller and starts the actor again, while others' messages wait", async () => {
    const theatre = new Theatre();
    const { hosted, seen } = await fragile(theatre);
    const calls = [theatre.player.work({ id: 1 }), theatre.player.work({ id: 0 }), theatre.player.work({ id: 2 })];
    const endings = calls.map(ending);
    await settle();
    expect(await endings[1]).toBe("INTERNAL");
    expect(seen).toMatchObject({ starts: 1, stops: ["crashed"] });
    expect(seen.selves[0]?.signal.aborted).toBe(true);
    expect(hosted.statistics).toMatchObject({ crashes: 1, waiting: 1 });
    await theatre.clock.advance(50);
    expect(await calls[0]).toEqual({ id: 11 });
    expect(await calls[2]).toEqual({ id: 22 });
    expect(seen.selves[1]?.signal.aborted).toBe(false);
  });

  it("in a posted turn starts the actor again without waiting for a message", async () => {
    const theatre = new Theatre();
    const { hosted, seen } = await fragile(theatre);
    seen.selves[0]?.post("an effect", () => {
      throw new TroupeError("DISK_FAILED");
    });
    await theatre.clock.advance(50);
    expect(seen.starts).toBe(2);
    expect(hosted.statistics.crashes).toBe(1);
  });

  it("keeps results of the dead activation's effects from its successor", async () => {
    const theatre = new Theatre();
    const { hosted, seen } = await fragile(theatre);
    const ran: string[] = [];
    const old = seen.selves[0] as Self;
    old.post("crash", () => {
      old.post("posted before the crash", () => void ran.push("posted"));
      throw new Error("broken by the test");
    });
    await theatre.clock.advance(50);
    old.post("posted after the crash", () => void ran.push("posted"));
    await settle();
    expect(ran).toEqual([]);
    expect(hosted.deadLetters().map((letter) => letter.reason)).toEqual([DEAD_LETTER_REASONS.ended, DEAD_LETTER_REASONS.ended]);
    expect(await theatre.player.work({ id: 1 })).toEqual({ id: 21 });
  });

  it("is survived by a database that is away: the start is tried again with growing pauses", async () => {
    const theatre = new Theatre();
    const { seen } = await fragile(theatre, [2, 3, 4, 5, 6, 7, 8]);
    expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
    const patient = theatre.player.work({ id: 1 }, { timeoutMs: 60_000 });
    const impatient = ending(theatre.player.work({ id: 1 }, { timeoutMs: 100 }));
    await theatre.clock.advance(1_000);
    expect(await impatient).toBe("DEADLINE_EXCEEDED");
    expect(seen.starts).toBeLessThan(8);
    await theatre.clock.advance(30_000);
    expect(await patient).toEqual({ id: 91 });
  });

  it("after crash gives the actor up: it answers UNAVAILABLE at once", async () => {
    const theatre = new Theatre();
    const { hosted, seen } = await fragile(theatre, [], 2);
    for (let crash = 0; crash < 3; crash += 1) {
      const call = ending(theatre.player.work({ id: 0 }));
      const behind = ending(theatre.player.work({ id: 1 }));
      await theatre.clock.advance(500);
      expect(await call).toBe("INTERNAL");
      expect(await behind).toBe(crash < 2 ? "ok" : "UNAVAILABLE");
    }
    expect(await ending(theatre.player.status({}))).toBe("UNAVAILABLE");
    expect(seen.starts).toBe(3);
    expect(hosted.statistics.crashes).toBe(3);
    expect(theatre.complaints.at(-1)).toMatch(/given up/);
    await hosted.stop();
  });

  it("now and then is forgiven: only those within a minute count", async () => {
    const theatre = new Theatre();
    const { hosted } = await fragile(theatre, [], 1);
    for (let crash = 0; crash < 5; crash += 1) {
      expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
      await theatre.clock.advance(61_000);
    }
    expect(hosted.statistics.crashes).toBe(5);
    expect(await ending(theatre.player.work({ id: 1 }))).toBe("ok");
  });

  it("leaves the effects under way to answer their callers, with their signal aborted", async () => {
    const theatre = new Theatre();
    await theatre.host(async (self) => ({
      echo: (_, turn) =>
        turn.later(new Promise((_resolve, reject) => self.signal.addEventListener("abort", () => reject(self.signal.reason as Error)))),
      work: () => {
        throw new Error("broken by the test");
      },
    }));
    const waiting = ending(theatre.player.echo({}));
    expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
    expect(await waiting).toBe("UNAVAILABLE");
  });

  it("of a handler that had already begun an effect which fails is only that crash", async () => {
    const theatre = new Theatre();
    const unhandled: unknown[] = [];
    const listener = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", listener);
    const hosted = await theatre.host({
      work: (_, turn) => {
        turn.later(Promise.reject(new Error("the effect's")));
        throw new Error("the handler's");
      },
    });
    expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
    await settle();
    process.off("unhandledRejection", listener);
    expect(hosted.statistics.crashes).toBe(1);
    expect(unhandled).toEqual([]);
  });
});

describe("starting", () => {
  it("fails with the actor's own error, and nothing listens then", async () => {
    const theatre = new Theatre();
    await expect(theatre.hostActivation(() => Promise.reject(new TroupeError("DIRECTORY_IN_USE")))).rejects.toMatchObject({
      code: "DIRECTORY_IN_USE",
    });
    expect(theatre.medium.receiverCount).toBe(0);
  });

  it("on a closed bus stops the activation again", async () => {
    const theatre = new Theatre();
    const stops: string[] = [];
    theatre.bus.disconnect();
    await expect(theatre.hostActivation(async () => ({ ...whole, stop: (reason) => void stops.push(reason) }))).rejects.toMatchObject({
      code: "BUS_UNAVAILABLE",
    });
    expect(stops).toEqual(["stopped"]);
  });

  it("runs what the start has posted, once it has started", async () => {
    const theatre = new Theatre();
    const order: string[] = [];
    await theatre.host(async (self) => {
      self.post("recover", () => void order.push("posted"));
      await settle();
      order.push("started");
      return {};
    });
    await settle();
    expect(order).toEqual(["started", "posted"]);
  });

  it("outside the queue hears what goes to all, and the rest after it has joined", async () => {
    const theatre = new Theatre();
    const hosted = await host(
      theatre.bus,
      chorus,
      {},
      theatre.ports,
      async () => ({ handlers: { roll: () => ({ name: "a" }), one: () => ({ name: "a" }) } }),
      { joinQueueLater: true },
    );
    const all = client(theatre.callers, chorus).roll({}, { timeoutMs: 50 });
    await theatre.clock.advance(50);
    expect(await all).toEqual([{ ok: true, output: { name: "a" } }]);
    expect(await ending(client(theatre.callers, chorus).one({}))).toBe("UNAVAILABLE");
    hosted.joinQueue();
    hosted.joinQueue();
    expect(await client(theatre.callers, chorus).one({})).toEqual({ name: "a" });
    await hosted.stop();
    expect(theatre.medium.receiverCount).toBe(0);
  });

  it("of two hosts of a contract gives each request to one of them", async () => {
    const theatre = new Theatre();
    const turns = { a: 0, b: 0 };
    for (const name of ["a", "b"] as const) {
      await host(theatre.medium.connect(), chorus, {}, theatre.ports, async () => ({
        handlers: {
          roll: () => ({ name }),
          one: () => {
            turns[name] += 1;
            return { name };
          },
        },
      }));
    }
    const caller = client(theatre.callers, chorus);
    await Promise.all(Array.from({ length: 100 }, () => caller.one({})));
    expect(turns.a + turns.b).toBe(100);
    expect(Math.min(turns.a, turns.b)).toBeGreaterThan(20);
  });
});

describe("passivation", () => {
  it("stops an idle activation, and the next message starts another", async () => {
    const theatre = new Theatre();
    const events: string[] = [];
    const hosted = await theatre.hostActivation(
      async (self) => {
        events.push("start");
        self.signal.addEventListener("abort", () => events.push("abort"));
        return { ...whole, stop: (reason) => void events.push(reason) };
      },
      { passivateAfterMs: 1_000 },
    );
    await theatre.clock.advance(900);
    await theatre.player.status({});
    await theatre.clock.advance(900);
    expect(events).toEqual(["start"]);
    await theatre.clock.advance(100);
    expect(events).toEqual(["start", "abort", "passivated"]);
    expect(theatre.clock.timerCount).toBe(0);
    expect(await theatre.player.work({ id: 7 })).toEqual({ id: 7 });
    expect(events).toEqual(["start", "abort", "passivated", "start"]);
    await hosted.stop();
    expect(events.slice(4)).toEqual(["abort", "stopped"]);
    expect(theatre.clock.timerCount).toBe(0);
  });

  it("waits for effects under way", async () => {
    const theatre = new Theatre();
    const effect = gate<{ id: number }>();
    const stops: string[] = [];
    await theatre.hostActivation(
      async () => ({
        handlers: { ...whole.handlers, work: (_, turn) => turn.later(effect.promise) },
        stop: (reason) => void stops.push(reason),
      }),
      { passivateAfterMs: 1_000 },
    );
    const call = theatre.player.work({ id: 1 }, { timeoutMs: 60_000 });
    await theatre.clock.advance(5_000);
    expect(stops).toEqual([]);
    effect.resolve({ id: 1 });
    await call;
    await theatre.clock.advance(1_000);
    expect(stops).toEqual(["passivated"]);
  });

  it("keeps a message that comes while the activation stops for the next one", async () => {
    const theatre = new Theatre();
    const stopping = gate();
    let starts = 0;
    await theatre.hostActivation(
      async () => {
        starts += 1;
        return { ...whole, stop: () => stopping.promise };
      },
      { passivateAfterMs: 1_000 },
    );
    await theatre.clock.advance(1_000);
    const call = theatre.player.work({ id: 5 });
    await settle();
    expect(starts).toBe(1);
    stopping.resolve();
    expect(await call).toEqual({ id: 5 });
    expect(starts).toBe(2);
  });

  it("is not brought on by a message that is no request", async () => {
    const theatre = new Theatre();
    let starts = 0;
    await theatre.hostActivation(
      async () => {
        starts += 1;
        return whole;
      },
      { passivateAfterMs: 1_000 },
    );
    await theatre.clock.advance(1_000);
    theatre.callers.publish("test.player.p1.work", json({ id: 1 }));
    await theatre.callers.request("test.player.p1.work", json({ id: "no" }), { timeoutMs: 100 });
    await settle();
    expect(starts).toBe(1);
  });
});

describe("stopping", () => {
  it("answers what was accepted, waits for its effects, and hears nothing more", async () => {
    const theatre = new Theatre();
    const turn = gate();
    const effect = gate<{ text: string }>();
    const stops: string[] = [];
    const hosted = await theatre.hostActivation(async () => ({
      handlers: {
        ...whole.handlers,
        work: async ({ id }) => {
          await turn.promise;
          return { id };
        },
        echo: (_, context) => context.later(effect.promise),
      },
      stop: (reason) => void stops.push(reason),
    }));
    const calls = [theatre.player.echo({}), theatre.player.work({ id: 1 }), theatre.player.work({ id: 2 })].map(ending);
    await settle();
    const stopped = hosted.stop();
    expect(hosted.stop()).toBe(stopped);
    await settle();
    expect(await ending(theatre.player.work({ id: 3 }))).toBe("UNAVAILABLE");
    turn.resolve();
    await settle();
    expect(stops).toEqual([]);
    effect.resolve({ text: "done" });
    await stopped;
    expect(await Promise.all(calls)).toEqual(["ok", "ok", "ok"]);
    expect(stops).toEqual(["stopped"]);
    expect(theatre.clock.timerCount).toBe(0);
    expect(theatre.medium.receiverCount).toBe(0);
  });

  it("tells effects that do not end to end, after a grace, and still handles what they post", async () => {
    const theatre = new Theatre();
    let handed = 0;
    const hosted = await theatre.host(async (self) => ({
      work: (_, turn) =>
        turn.later(
          new Promise((_resolve, reject) => {
            self.signal.addEventListener("abort", () => {
              self.post("given up", () => {
                handed += 1;
                reject(self.signal.reason as Error);
              });
            });
          }),
        ),
    }));
    const call = ending(theatre.player.work({ id: 1 }, { timeoutMs: 60_000 }));
    await settle();
    const stopped = hosted.stop();
    await theatre.clock.advance(STOP_GRACE_MS - 1);
    expect(hosted.statistics.deferred).toBe(1);
    await theatre.clock.advance(1);
    await stopped;
    expect(await call).toBe("STOPPING");
    expect(handed).toBe(1);
  });

  it("ends in time even when an effect or a turn never does", async () => {
    const theatre = new Theatre();
    const stops: string[] = [];
    const hosted = await theatre.hostActivation(async () => ({
      handlers: {
        ...whole.handlers,
        echo: (_, turn) => turn.later(new Promise(() => undefined)),
        work: () => new Promise(() => undefined),
      },
      stop: (reason) => void stops.push(reason),
    }));
    const effect = ending(theatre.player.echo({}, { timeoutMs: 60_000 }));
    const turn = ending(theatre.player.work({ id: 1 }, { timeoutMs: 60_000 }));
    await settle();
    const stopped = hosted.stop();
    await theatre.clock.advance(DRAIN_MS_MAX);
    await stopped;
    expect(stops).toEqual(["stopped"]);
    expect(await effect).toBe("STOPPING");
    await theatre.clock.advance(60_000);
    expect(await turn).toBe("DEADLINE_EXCEEDED");
    expect(theatre.complaints).toHaveLength(2);
  });

  it("in the middle of a restart's pause answers STOPPING to those who wait", async () => {
    const theatre = new Theatre();
    let starts = 0;
    const hosted = await theatre.host(async () => {
      starts += 1;
      return {
        work: () => {
          throw new Error("broken by the test");
        },
      };
    });
    expect(await ending(theatre.player.work({ id: 1 }))).toBe("INTERNAL");
    const waiting = ending(theatre.player.echo({}));
    await settle();
    await hosted.stop();
    expect(await waiting).toBe("STOPPING");
    expect(starts).toBe(1);
  });

  it("ends an activation that was still starting, as soon as it has started", async () => {
    const theatre = new Theatre();
    const slow = gate();
    const stops: string[] = [];
    let starts = 0;
    const hosted = await theatre.hostActivation(async (self) => {
      starts += 1;
      if (starts === 2) await slow.promise;
      if (starts === 1) {
        self.post("crash", () => {
          throw new Error("broken by the test");
        });
      }
      const name = `activation ${starts}`;
      return { ...whole, stop: (reason) => void stops.push(`${name} ${reason}`) };
    });
    await theatre.clock.advance(50);
    expect(starts).toBe(2);
    const stopped = hosted.stop();
    await theatre.clock.advance(DRAIN_MS_MAX);
    await stopped;
    expect(stops).toEqual(["activation 1 crashed"]);
    slow.resolve();
    await settle();
    expect(stops).toEqual(["activation 1 crashed", "activation 2 stopped"]);
    expect(starts).toBe(2);
  });

  it("logs a stop of the actor's that fails", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.hostActivation(async () => ({ ...whole, stop: () => Promise.reject(new Error("broken by the test")) }));
    await hosted.stop();
    expect(theatre.complaints).toEqual(["The actor's stop failed."]);
  });

  it("answers on the subject again when another host has taken it over", async () => {
    const theatre = new Theatre();
    await (await theatre.host({})).stop();
    expect(await ending(theatre.player.status({}))).toBe("UNAVAILABLE");
    await host(theatre.medium.connect(), actor, { playerId: "p1" }, theatre.ports, async () => whole);
    expect(await ending(theatre.player.status({}))).toBe("ok");
  });
});
