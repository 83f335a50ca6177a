import { expect, it } from "vitest";
import { z } from "zod";
import { startInspector } from "../../../src/actors/inspector/actor.ts";
import { inspector } from "../../../src/actors/inspector/contract.ts";
import type { HostStatistics } from "../../../src/bus/actor.ts";
import { ActorDirectory } from "../../../src/bus/actor-directory.ts";
import { client } from "../../../src/bus/client.ts";
import { defineContract, request } from "../../../src/bus/contract.ts";
import { host } from "../../../src/bus/host.ts";
import { LoopbackMedium } from "../../../src/bus/loopback.ts";
import { ACTORS_TOLD_MAX, INSPECT_ANSWERS_MS, SPANS_TOLD_MAX } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { SpanBook } from "../../../src/core/span-book.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const door = defineContract({
  name: "door",
  doc: "Opens, or breaks.",
  subject: "troupe.v1.door.{doorId}",
  requests: {
    open: request({ doc: "Opens it.", input: z.object({ isBroken: z.boolean() }), output: z.object({}), errors: [] }),
  },
});

/** Processes with a door each, and everything anybody asked of all of them. */
async function rig(...nodeIds: readonly string[]) {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const medium = new LoopbackMedium({ clock, random });
  const bus = medium.connect();
  const books = new Map<string, SpanBook>();
  const directories = new Map<string, ActorDirectory>();
  for (const nodeId of nodeIds) {
    const spans = new SpanBook(clock, nodeId);
    const actors = new ActorDirectory();
    const ports = { clock, random, log: SILENT_LOG, spans, actors };
    await host(medium.connect(), door, { doorId: nodeId }, ports, async () => ({
      handlers: {
        open: ({ isBroken }) => {
          if (isBroken) throw new Error("it came off its hinges");
          return {};
        },
      },
    }));
    const process = { clock, nodeId, roles: ["storage"], version: "1.2.3", spans, directories: [actors] };
    await host(medium.connect(), inspector, {}, { clock, random, log: SILENT_LOG }, startInspector(process));
    books.set(nodeId, spans);
    directories.set(nodeId, actors);
  }
  const ask = async <Answer>(asking: (options: { timeoutMs: number }) => Promise<Answer>): Promise<Answer> => {
    const answer = asking({ timeoutMs: INSPECT_ANSWERS_MS });
    await clock.advance(INSPECT_ANSWERS_MS);
    return await answer;
  };
  const all = client(bus, inspector);
  return {
    clock,
    books,
    open: async (doorId: string, isBroken = false) => await client(bus, door, { doorId }).open({ isBroken }),
    medium,
    directories,
    actors: async (actor?: string, uploadIds?: string[]) => {
      const answers = await ask((options) => all.actors({ actor, uploadIds }, options));
      return answers.flatMap((answer) => (answer.ok ? [answer.output] : []));
    },
    spans: async (input: { id?: string; traceIds?: string[] }) => {
      const answers = await ask((options) => all.spans(input, options));
      return answers.flatMap((answer) => (answer.ok ? [answer.output] : []));
    },
  };
}

it("every process answers with its actors: how many turns each had, and since when it is what it is", async () => {
  const { open, clock, actors } = await rig("n1", "n2");
  await open("n1");
  await open("n1");
  await clock.advance(500);
  const processes = (await actors()).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  expect(processes.map(({ nodeId, roles, version }) => [nodeId, roles, version])).toEqual([
    ["n1", ["storage"], "1.2.3"],
    ["n2", ["storage"], "1.2.3"],
  ]);
  const [status] = processes[0]?.actors ?? [];
  expect(status).toMatchObject({ actor: "door", subject: "troupe.v1.door.n1", turns: 2, crashes: 0, waiting: 0, deadLetters: 0 });
  expect(status?.sinceMs).toBeGreaterThanOrEqual(500);
  expect(processes.map(({ counts }) => counts)).toEqual([[{ actor: "door", count: 1 }], [{ actor: "door", count: 1 }]]);
});

it("one contract's actors are told when they are asked for, and what crashed first", async () => {
  const { open, actors } = await rig("n1", "n2");
  await open("n2", true).catch(() => undefined);
  const processes = await actors("door");
  expect(processes.find(({ nodeId }) => nodeId === "n2")?.actors[0]).toMatchObject({ actor: "door", crashes: 1 });
  expect((await actors("upload")).map(({ actors: found }) => found)).toEqual([[], []]);
});

it("spans are told of each process, the newest of too many, and that there are more", async () => {
  const { books, spans, clock } = await rig("n1", "n2");
  const book = books.get("n1") as SpanBook;
  const parent = book.begin({ kind: "http", actor: "gateway", name: "GET /x", owner: "ann" }, "request1");
  await clock.advance(1);
  for (let index = 0; index < SPANS_TOLD_MAX; index += 1)
    book.begin({ kind: "request", actor: "door", name: `door.${index}`, parent }).end();
  const answers = new Map((await spans({ id: "request1" })).map((answer) => [answer.nodeId, answer]));
  expect(answers.get("n1")).toMatchObject({ isTruncated: true, roles: ["storage"] });
  expect([answers.get("n1")?.spans.length, answers.get("n2")?.spans.length]).toEqual([SPANS_TOLD_MAX, 0]);
  expect(answers.get("n1")?.spans.at(-1)?.name).toBe(`door.${SPANS_TOLD_MAX - 1}`);
  expect((await spans({ traceIds: [parent.traceId] })).map(({ spans: found }) => found.length).sort()).toEqual([0, SPANS_TOLD_MAX].sort());
});

it("of uploads those are told that are asked for, however many others there are; all are counted", async () => {
  const { directories, actors } = await rig("n1");
  const lifecycle = { state: "idle", sinceMs: 0, recent: [] };
  const statistics = { turns: 0, crashes: 0, waiting: 0, deferred: 0, deadLetters: 0, lifecycle } as unknown as HostStatistics;
  for (let index = 0; index < 2 * ACTORS_TOLD_MAX; index += 1)
    directories.get("n1")?.add({ status: { actor: "upload", subject: `troupe.v1.upload.u${index}`, ...statistics } });
  const [process] = await actors("upload", ["u399", "u1"]);
  expect(process?.actors.map(({ subject }) => subject)).toEqual(["troupe.v1.upload.u1", "troupe.v1.upload.u399"]);
  expect(process?.counts).toEqual([{ actor: "upload", count: 2 * ACTORS_TOLD_MAX }]);
});
