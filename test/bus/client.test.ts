/** The typed client, against a real host and against answers no host would give. */
import { describe, expect, it } from "vitest";
import { client, isNoResponders, SYSTEM_OWNER } from "../../src/bus/client.ts";
import { encodeBody } from "../../src/bus/codec.ts";
import { HEADERS } from "../../src/bus/headers.ts";
import { host } from "../../src/bus/host.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { REQUEST_FIRST_TRY_PERCENT } from "../../src/core/limits.ts";
import type { BusHeaders } from "../../src/core/ports/bus.ts";
import { sleep } from "../../src/core/ports/clock.ts";
import { currentTrace, inTrace } from "../../src/core/trace.ts";
import { actor, chorus, ending, Theatre } from "./theatre.ts";

/** Something on the actor's subject that answers with these bytes and headers. */
function impostor(theatre: Theatre, payload: Uint8Array, headers: BusHeaders = {}): void {
  theatre.bus.subscribe("test.player.p1.*", (message) => theatre.bus.publish(message.reply ?? "", payload, { headers }));
}

describe("a client", () => {
  it("gets a validated answer, defaults of the request filled in by the host", async () => {
    const theatre = new Theatre();
    await theatre.host({});
    expect(await theatre.player.echo({ text: "hello" })).toEqual({ text: "hello" });
    expect(await theatre.player.echo({})).toEqual({ text: "nothing" });
  });

  it("sends nothing that the contract does not allow", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({});
    expect(await ending(theatre.player.work({ id: 1.5 }))).toBe("BAD_REQUEST");
    expect(await ending(theatre.player.echo({ text: "x".repeat(70_000) }))).toBe("PAYLOAD_TOO_LARGE");
    expect(hosted.statistics.turns).toBe(0);
  });

  it("I16: refuses an identity before a subject is built", () => {
    const theatre = new Theatre();
    for (const playerId of ["*", ">", "a.b", "..", "", "a b", "a\r\n", "x".repeat(4096)]) {
      expect(() => client(theatre.callers, actor, { playerId }), JSON.stringify(playerId)).toThrow(
        expect.objectContaining({ code: "BAD_IDENTITY" }),
      );
    }
  });

  it("carries principal, trace, request and deadline", async () => {
    const theatre = new Theatre();
    const seen: unknown[] = [];
    await theatre.host({
      echo: ({ text }, turn) => {
        const { traceId, requestId, isLook } = currentTrace() ?? {};
        seen.push({ owner: turn.principal.owner, traceId, requestId, isLook, leftMs: turn.deadlineMs - theatre.clock.nowMs() });
        return { text };
      },
    });
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const trace = { traceId, spanId: "b7ad6b7169203331", isSampled: true, requestId: "request-1" };
    await inTrace(trace, () => theatre.player.echo({}, { principal: { owner: "Zoë 100%" }, timeoutMs: 1_234.5 }));
    await inTrace({ ...trace, isLook: true }, () => theatre.player.echo({}));
    await theatre.player.echo({});
    expect(seen).toEqual([
      { owner: "Zoë 100%", traceId, requestId: "request-1", isLook: false, leftMs: 1_235 },
      { owner: SYSTEM_OWNER, traceId, requestId: "request-1", isLook: true, leftMs: 5_000 },
      // Without a caller's, it begins one.
      { owner: SYSTEM_OWNER, traceId: expect.stringMatching(/^[0-9a-f]{32}$/), requestId: undefined, isLook: false, leftMs: 5_000 },
    ]);
  });

  it("gets a typed error with its detail and facts", async () => {
    const theatre = new Theatre();
    await theatre.host({
      echo: () => {
        throw new TroupeError("FILE_NOT_FOUND", "No file\r\nof that name.", { facts: { missing: [[0, 3]] } });
      },
    });
    await expect(theatre.player.echo({})).rejects.toMatchObject({
      code: "FILE_NOT_FOUND",
      detail: "No file\r\nof that name.",
      facts: { missing: [[0, 3]] },
    });
  });

  it("knows nobody listens, and does not take an actor's own failed question for it", async () => {
    const theatre = new Theatre();
    expect(isNoResponders(await theatre.player.echo({}).catch((error: unknown) => error))).toBe(true);
    await theatre.host({ echo: async () => ({ text: (await client(theatre.bus, chorus).one({})).name }) });
    const relayed: unknown = await theatre.player.echo({}).catch((error: unknown) => error);
    expect(relayed).toMatchObject({ code: "UNAVAILABLE" });
    expect(isNoResponders(relayed)).toBe(false);
  });

  it("gets every answer of those that all hear, errors among them", async () => {
    const theatre = new Theatre();
    const names = ["a", "b", "c"];
    for (const name of names) {
      await host(theatre.medium.connect(), chorus, {}, theatre.ports, async () => ({
        handlers: {
          roll: () => {
            if (name === "b") throw new TroupeError("NODE_NOT_FOUND");
            return { name };
          },
          one: () => ({ name }),
        },
      }));
    }
    const all = client(theatre.callers, chorus).roll({}, { timeoutMs: 50 });
    await theatre.clock.advance(60);
    const answers = await all;
    expect(answers.map((answer) => (answer.ok ? answer.output.name : answer.error.code)).sort()).toEqual(["NODE_NOT_FOUND", "a", "c"]);
    expect(names).toContain((await client(theatre.callers, chorus).one({})).name);
  });

  it("reports an answer the contract does not allow, or that cannot be read, as INTERNAL", async () => {
    for (const payload of [
      encodeBody({ text: 5 }, "msgpack"),
      encodeBody({}, "json"),
      Uint8Array.from([0xc1]),
      new Uint8Array(0),
      Buffer.from('{"__proto__":{}}'),
    ]) {
      const theatre = new Theatre();
      impostor(theatre, payload);
      expect(await ending(theatre.player.echo({}))).toBe("INTERNAL");
    }
  });

  it("understands errors of other programs and other versions", async () => {
    const cases: [Uint8Array, BusHeaders, string][] = [
      [new Uint8Array(0), { [HEADERS.error]: "odd", [HEADERS.errorCode]: "SOMETHING_NEW" }, "INTERNAL"],
      [new Uint8Array(0), { [HEADERS.error]: "odd", [HEADERS.errorCode]: "toString" }, "INTERNAL"],
      [new Uint8Array(0), { [HEADERS.error]: "odd" }, "INTERNAL"],
      [new Uint8Array(0), { [HEADERS.error]: "gone", [HEADERS.errorCode]: "FILE_NOT_FOUND" }, "FILE_NOT_FOUND"],
      [encodeBody({ detail: 5, facts: [1] }, "json"), { [HEADERS.error]: "gone", [HEADERS.errorCode]: "FILE_NOT_FOUND" }, "FILE_NOT_FOUND"],
      [Uint8Array.from([0xc1]), { [HEADERS.error]: "gone", [HEADERS.errorCode]: "FILE_NOT_FOUND" }, "INTERNAL"],
    ];
    for (const [payload, headers, code] of cases) {
      const theatre = new Theatre();
      impostor(theatre, payload, headers);
      expect(await ending(theatre.player.echo({}))).toBe(code);
    }
  });

  it("gives up at its deadline or when told to", async () => {
    const theatre = new Theatre();
    theatre.bus.subscribe("test.player.p1.*", () => undefined);
    const late = ending(theatre.player.echo({}, { timeoutMs: 100 }));
    await theatre.clock.advance(100);
    expect(await late).toBe("DEADLINE_EXCEEDED");
    const controller = new AbortController();
    const cancelled = ending(theatre.player.echo({}, { signal: controller.signal }));
    controller.abort();
    expect(await cancelled).toBe("CANCELLED");
  });

  describe("of a request that may be asked twice", () => {
    const again = { ...chorus, requests: { ...chorus.requests, one: { ...chorus.requests.one, repeatable: true } } };
    const TIMEOUT_MS = 3_000;
    const FIRST_MS = (TIMEOUT_MS * REQUEST_FIRST_TRY_PERCENT) / 100;

    /** A member of the queue group that has hung: it takes its share of the requests and answers none. */
    function deafMember(theatre: Theatre): { heard: number; leave(): void } {
      const member = { heard: 0, leave: () => subscription.unsubscribe() };
      const subscription = theatre.medium.connect().subscribe("test.chorus.one", () => void (member.heard += 1), { queue: "chorus" });
      return member;
    }

    const hostOne = (theatre: Theatre, one: () => { name: string }) =>
      host(theatre.medium.connect(), chorus, {}, theatre.ports, async () => ({ handlers: { roll: () => ({ name: "a" }), one } }));

    it("F1: a member that was killed with it costs a moment, and another answers", async () => {
      const theatre = new Theatre();
      const deaf = deafMember(theatre);
      const call = client(theatre.callers, again).one({}, { timeoutMs: TIMEOUT_MS });
      await theatre.clock.advance(FIRST_MS / 2);
      deaf.leave();
      await hostOne(theatre, () => ({ name: "b" }));
      await theatre.clock.advance(FIRST_MS / 2);
      expect(await call).toEqual({ name: "b" });
      expect(deaf.heard).toBe(1);
    });

    it("nobody who answers is asked twice, whatever the answer; and a silent group is asked twice, not more", async () => {
      const theatre = new Theatre();
      const hosted = await hostOne(theatre, () => {
        throw new TroupeError("BUSY");
      });
      expect(await ending(client(theatre.callers, again).one({}))).toBe("BUSY");
      expect(hosted.statistics.turns).toBe(1);
      await hosted.stop();

      const deaf = deafMember(theatre);
      const silent = ending(client(theatre.callers, again).one({}, { timeoutMs: TIMEOUT_MS }));
      await theatre.clock.advance(TIMEOUT_MS);
      expect(await silent).toBe("DEADLINE_EXCEEDED");
      expect(deaf.heard).toBe(2);
    });

    it("one that may not be repeated is asked once", async () => {
      const theatre = new Theatre();
      const deaf = deafMember(theatre);
      const silent = ending(client(theatre.callers, chorus).one({}, { timeoutMs: TIMEOUT_MS }));
      await theatre.clock.advance(TIMEOUT_MS);
      expect(await silent).toBe("DEADLINE_EXCEEDED");
      expect(deaf.heard).toBe(1);
    });

    const away = (): TroupeError => new TroupeError("BUS_UNAVAILABLE", "away", { facts: { away: true } });
    const notBackYet = (): TroupeError => new TroupeError("UNAVAILABLE", "not back yet", { facts: { noResponders: true, away: true } });

    /** The callers' bus fails these times after 200 ms each, then works. @returns how much time each request was given */
    function outage(theatre: Theatre, failures: TroupeError[]): number[] {
      const { callers, clock } = theatre;
      const request = callers.request.bind(callers);
      const givenMs: number[] = [];
      callers.request = async (subject, payload, options) => {
        givenMs.push(options.timeoutMs);
        expect(options.headers?.[HEADERS.timeout]).toBe(String(options.timeoutMs));
        const failure = failures.shift();
        if (failure === undefined) return await request(subject, payload, options);
        await sleep(clock, 200);
        throw failure;
      };
      return givenMs;
    }

    it("F10: one that an outage ended is asked again with all the time that is left", async () => {
      for (const failure of [away(), notBackYet()]) {
        const theatre = new Theatre();
        await hostOne(theatre, () => ({ name: "b" }));
        const givenMs = outage(theatre, [failure]);
        const call = client(theatre.callers, again).one({}, { timeoutMs: TIMEOUT_MS });
        await theatre.clock.advance(200);
        expect(await call).toEqual({ name: "b" });
        expect(givenMs).toEqual([FIRST_MS, TIMEOUT_MS - 200]);
      }
    });

    it("F10: one that an outage ended twice is not asked a third time, nor one that may not be repeated a second", async () => {
      for (const [contract, tries] of [
        [again, 2],
        [chorus, 1],
      ] as const) {
        const theatre = new Theatre();
        const givenMs = outage(theatre, [away(), notBackYet(), away()]);
        const call = ending(client(theatre.callers, contract).one({}, { timeoutMs: TIMEOUT_MS }));
        await theatre.clock.advance(TIMEOUT_MS);
        expect(await call).toBe(tries === 2 ? "UNAVAILABLE" : "BUS_UNAVAILABLE");
        expect(givenMs).toHaveLength(tries);
      }
    });

    it("is asked once where the bus is closed, takes no more, or knows that nobody listens", async () => {
      for (const refusal of [new TroupeError("BUS_UNAVAILABLE"), new TroupeError("UNAVAILABLE", "", { facts: { noResponders: true } })]) {
        const theatre = new Theatre();
        const givenMs = outage(theatre, [refusal, refusal]);
        const call = client(theatre.callers, again)
          .one({}, { timeoutMs: TIMEOUT_MS })
          .catch((error: unknown) => error);
        await theatre.clock.advance(200);
        expect(await call).toBe(refusal);
        expect(givenMs).toEqual([FIRST_MS]);
      }
    });

    it("is not asked again when no time is left", async () => {
      const theatre = new Theatre();
      const givenMs = outage(theatre, [away()]);
      const call = ending(client(theatre.callers, again).one({}, { timeoutMs: 200 }));
      await theatre.clock.advance(200);
      expect(await call).toBe("BUS_UNAVAILABLE");
      expect(givenMs).toHaveLength(1);
    });

    it("a member too busy to begin it in time does not begin it at all", async () => {
      const theatre = new Theatre();
      let ran = 0;
      let finish = (): void => undefined;
      const hosted = await host(theatre.medium.connect(), chorus, {}, theatre.ports, async () => ({
        handlers: {
          roll: () => ({ name: "a" }),
          one: async () => {
            ran += 1;
            if (ran === 1)
              await new Promise<void>((resolve) => {
                finish = resolve;
              });
            return { name: "a" };
          },
        },
      }));
      const long = ending(client(theatre.callers, chorus).one({}, { timeoutMs: 10 * TIMEOUT_MS }));
      await theatre.clock.advance(0);
      const call = client(theatre.callers, again).one({}, { timeoutMs: TIMEOUT_MS });
      await theatre.clock.advance(FIRST_MS + 1);
      finish();
      await theatre.clock.advance(0);
      expect([await long, await call]).toEqual(["ok", { name: "a" }]);
      // The long one, and the second try.
      expect(ran).toBe(2);
      await hosted.stop();
    });
  });
});
