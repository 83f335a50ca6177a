/**
 * What a micro service answers on every adapter of the Bus port. Run against each: `describeMicroService("loopback", open)`. The shapes
 * are those of ADR-32 of NATS and of its published JSON schemas, written down once more.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Activation, HostConfiguration, HostedActor } from "../../src/bus/actor.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { host } from "../../src/bus/host.ts";
import { type MicroService, type ServiceOptions, startService } from "../../src/bus/micro-service.ts";
import { RequestBooks } from "../../src/bus/request-book.ts";
import { TroupeError } from "../../src/core/errors.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import { actor, chorus, ending, type Player, readableLog, whole } from "../bus/theatre.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import type { BusHarness } from "./bus.ts";

const NAME = z.string().regex(/^[a-zA-Z0-9_-]+$/);
const standard = {
  name: NAME,
  id: z.string().min(1),
  version: z.string().regex(/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/),
  metadata: z.record(z.string(), z.string()),
};
const endpoint = { name: NAME, subject: z.string().min(1), queue_group: z.string() };
const RESPONSES = {
  PING: z.strictObject({ type: z.literal("io.nats.micro.v1.ping_response"), ...standard }),
  INFO: z.strictObject({
    type: z.literal("io.nats.micro.v1.info_response"),
    ...standard,
    description: z.string(),
    endpoints: z.array(z.strictObject({ ...endpoint, metadata: z.record(z.string(), z.string()) })),
  }),
  STATS: z.strictObject({
    type: z.literal("io.nats.micro.v1.stats_response"),
    ...standard,
    started: z.iso.datetime(),
    endpoints: z.array(
      z.strictObject({
        ...endpoint,
        num_requests: z.int().nonnegative(),
        num_errors: z.int().nonnegative(),
        last_error: z.string(),
        processing_time: z.int().nonnegative(),
        average_processing_time: z.int().nonnegative(),
      }),
    ),
  }),
};
export type ServiceVerb = keyof typeof RESPONSES;

const EMPTY = new Uint8Array();
/** Longer than any answer takes: a test that is right never waits for it. */
const TIMEOUT_MS = 10_000;

/** Everyone who answers, checked against the published shapes. @param count how many are expected */
export async function askService<V extends ServiceVerb>(
  bus: Bus,
  verb: V,
  count: number,
  whom = "",
  body: Uint8Array = EMPTY,
): Promise<z.output<(typeof RESPONSES)[V]>[]> {
  const replies = await bus.requestMany(`$SRV.${verb}${whom}`, body, { timeoutMs: TIMEOUT_MS, repliesMax: count });
  return replies.map(({ payload }) => RESPONSES[verb].parse(JSON.parse(new TextDecoder().decode(payload)))) as never;
}

export function describeMicroService(name: string, open: () => Promise<BusHarness>): void {
  describe(`a micro service on the ${name} bus`, () => {
    let harness: BusHarness;
    let bus: Bus;
    let asker: Bus;
    let player: Client<Player>;
    let clock: VirtualClock;
    let books: RequestBooks;
    const services: MicroService[] = [];
    const actors: HostedActor[] = [];

    beforeEach(async () => {
      harness = await open();
      bus = await harness.connect();
      asker = await harness.connect();
      player = client(asker, actor, { playerId: "p1" });
      clock = new VirtualClock();
      books = new RequestBooks();
    });
    afterEach(async () => {
      await Promise.all(services.splice(0).map((service) => service.stop()));
      // Actors whose turns a test left open are not waited for.
      actors.splice(0);
      await harness.close();
    });

    async function start(options: Partial<ServiceOptions> = {}): Promise<MicroService> {
      const service = startService(
        bus,
        { clock, requestBooks: books },
        { id: "node1", version: "1.2.3", parts: [{ contract: actor, identity: { playerId: "p1" } }, { contract: chorus }], ...options },
      );
      services.push(service);
      await bus.flush();
      return service;
    }

    async function cast(handlers: Partial<Activation<Player>["handlers"]>, configuration?: HostConfiguration): Promise<HostedActor> {
      const ports = { clock, random: new SeededRandom(3), log: readableLog().log, requestBooks: books };
      const hosted = await host(
        bus,
        actor,
        { playerId: "p1" },
        ports,
        async () => ({ handlers: { ...whole.handlers, ...handlers } }),
        configuration,
      );
      actors.push(hosted);
      await bus.flush();
      return hosted;
    }

    /** What the service says of one endpoint. */
    async function statistics(endpointName: string) {
      const [answer] = await askService(asker, "STATS", 1, ".player.node1");
      return answer?.endpoints.find((each) => each.name === endpointName);
    }

    const LEVELS = ["", ".player", ".player.node1"];
    for (const verb of ["PING", "INFO", "STATS"] as const) {
      it.each(LEVELS)(`answers $SRV.${verb}%s in the published shape`, async (whom) => {
        await start({ metadata: { group: "group001" } });
        expect(await askService(asker, verb, 1, whom)).toEqual([
          expect.objectContaining({ name: "player", id: "node1", version: "1.2.3", metadata: { group: "group001" } }),
        ]);
      });
    }

    it("answers as every instance of a role, and alone when it is meant alone", async () => {
      await start();
      await start({ id: "node2" });
      await start({ id: "node1", parts: [{ contract: chorus }] });
      const whoAnswers = async (count: number, whom?: string) =>
        (await askService(asker, "PING", count, whom)).map((answer) => `${answer.name} ${answer.id}`).sort();
      expect(await whoAnswers(3)).toEqual(["chorus node1", "player node1", "player node2"]);
      expect(await whoAnswers(2, ".player")).toEqual(["player node1", "player node2"]);
      expect(await whoAnswers(1, ".player.node2")).toEqual(["player node2"]);
      expect(await whoAnswers(1, ".player.node3")).toEqual([]);
      expect(await whoAnswers(1, ".nobody")).toEqual([]);
    });

    it("tells where each request goes, who answers it, and what it looks like", async () => {
      await start();
      const [info] = await askService(asker, "INFO", 1);
      expect(info?.description).toBe(actor.doc);
      expect(info?.endpoints.map((each) => [each.name, each.subject, each.queue_group])).toEqual([
        ["echo", "test.player.p1.echo", "player"],
        ["work", "test.player.p1.work", "player"],
        ["status", "test.player.p1.status", "player"],
        ["chorus-roll", "test.chorus.roll", ""],
        ["chorus-one", "test.chorus.one", "chorus"],
      ]);
      const [echo, , status, roll] = info?.endpoints ?? [];
      expect(echo?.metadata).toMatchObject({ doc: "The same text.", readOnly: "false", audience: "one", errors: "FILE_NOT_FOUND" });
      expect(status?.metadata).toMatchObject({ readOnly: "true", errors: "" });
      expect(roll?.metadata).toMatchObject({ audience: "all" });
      expect(JSON.parse(echo?.metadata["input"] ?? "")).toEqual({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        properties: { text: { type: "string", default: "nothing" } },
      });
      // A later version may answer more than this one names.
      expect(JSON.parse(echo?.metadata["output"] ?? "")).toEqual({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        properties: { text: { type: "string" } },
        required: ["text"],
      });
    });

    it("stands for many actors with a * where one name would be", async () => {
      await start({ parts: [{ contract: chorus }, { contract: actor }] });
      const [info] = await askService(asker, "INFO", 1);
      expect(info?.endpoints.map((each) => each.subject)).toContain("test.player.*.echo");
    });

    it("counts what an actor answered, its errors, and the last of them", async () => {
      await start();
      await cast({
        echo: ({ text }) => {
          if (text === "none") throw new TroupeError("FILE_NOT_FOUND", "There is no such file.");
          return { text };
        },
      });
      expect(await statistics("echo")).toMatchObject({ num_requests: 0, num_errors: 0, last_error: "", average_processing_time: 0 });
      await player.echo({ text: "a" });
      await ending(player.echo({ text: "none" }));
      await player.echo({ text: "b" });
      await asker.request("test.player.p1.echo", new TextEncoder().encode(`{"text":1}`), { timeoutMs: TIMEOUT_MS });
      expect(await statistics("echo")).toMatchObject({
        num_requests: 4,
        num_errors: 2,
        last_error: expect.stringMatching(/^BAD_REQUEST: /),
      });
      expect(await statistics("work")).toMatchObject({ num_requests: 0, num_errors: 0 });
    });

    it("counts time from a request's arrival to its answer, also when an effect gives it", async () => {
      await start();
      const effect = Promise.withResolvers<{ id: number }>();
      const begun = Promise.withResolvers<void>();
      await cast({
        work: ({ id }, turn) => {
          if (id === 0) return { id };
          begun.resolve();
          return turn.later(effect.promise);
        },
      });
      await player.work({ id: 0 });
      const working = player.work({ id: 1 });
      await begun.promise;
      await clock.advance(251);
      expect(await statistics("work")).toMatchObject({ num_requests: 1, processing_time: 0 });
      effect.resolve({ id: 1 });
      await working;
      expect(await statistics("work")).toMatchObject({
        num_requests: 2,
        processing_time: 251_000_000,
        average_processing_time: 125_500_000,
      });
    });

    it("stays while its actor crashes and starts again, and goes on counting", async () => {
      await start();
      await cast({
        echo: () => {
          throw new Error("a crash");
        },
      });
      expect(await ending(player.echo({}))).toBe("INTERNAL");
      expect(await askService(asker, "PING", 1)).toHaveLength(1);
      // The pause before the actor starts again.
      await clock.advance(1_000);
      await player.status({});
      expect(await statistics("status")).toMatchObject({ num_requests: 1, num_errors: 0 });
      expect(await statistics("echo")).toMatchObject({ num_requests: 1, num_errors: 1, last_error: expect.stringMatching(/^INTERNAL: /) });
    });

    it("adds up several actors of one contract, and keeps those that have ended", async () => {
      await start();
      const first = await cast({});
      await player.echo({});
      await first.stop();
      await cast({});
      await player.echo({});
      expect(await statistics("echo")).toMatchObject({ num_requests: 2 });
    });

    it("I19: answers an inbox and nothing else, whatever the body", async () => {
      await start();
      const heard: string[] = [];
      asker.subscribe("test.command", (message) => void heard.push(message.subject));
      await asker.flush();
      asker.publish("$SRV.PING", EMPTY, { reply: "test.command" });
      asker.publish("$SRV.PING", EMPTY);
      // Answered after those two: what they caused would have been heard by then.
      expect(await askService(asker, "PING", 1, "", new Uint8Array(100_000).fill(0xff))).toHaveLength(1);
      await bus.flush();
      await asker.flush();
      expect(heard).toEqual([]);
    });

    it("is gone after its stop", async () => {
      const service = await start();
      expect(await askService(asker, "PING", 1)).toHaveLength(1);
      await service.stop();
      await bus.flush();
      for (const verb of ["PING", "INFO", "STATS"] as const) {
        for (const whom of LEVELS) expect(await askService(asker, verb, 1, whom)).toEqual([]);
      }
    });
  });
}
