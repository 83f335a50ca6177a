/** The typed client, against a real host and against answers no host would give. */
import { describe, expect, it } from "vitest";
import { client, isNoResponders, SYSTEM_OWNER } from "../../src/bus/client.ts";
import { encodeBody } from "../../src/bus/codec.ts";
import { HEADERS } from "../../src/bus/headers.ts";
import { host } from "../../src/bus/host.ts";
import { TroupeError } from "../../src/core/errors.ts";
import type { BusHeaders } from "../../src/core/ports/bus.ts";
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

  it("carries principal, trace and deadline", async () => {
    const theatre = new Theatre();
    const seen: unknown[] = [];
    await theatre.host({
      echo: ({ text }, turn) => {
        seen.push({ owner: turn.principal.owner, trace: turn.trace, leftMs: turn.deadlineMs - theatre.clock.nowMs() });
        return { text };
      },
    });
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await theatre.player.echo({}, { principal: { owner: "Zoë 100%" }, trace, timeoutMs: 1_234.5 });
    await theatre.player.echo({});
    expect(seen).toEqual([
      { owner: "Zoë 100%", trace, leftMs: 1_235 },
      { owner: SYSTEM_OWNER, trace: undefined, leftMs: 5_000 },
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
});
