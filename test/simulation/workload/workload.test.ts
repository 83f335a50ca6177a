import { expect, it } from "vitest";
import { Cluster } from "../cluster.ts";
import { NODES_USUAL, type Operation, topologyOf } from "../plan.ts";
import { RandomStreams } from "../random-streams.ts";
import { World } from "../world.ts";
import { drawOperations, OPERATION_KINDS } from "./operations.ts";
import { Workload } from "./workload.ts";

const TOPOLOGY = topologyOf(NODES_USUAL);

async function carriedOut(operations: readonly Operation[]) {
  const world = new World(3);
  const cluster = new Cluster(world, NODES_USUAL);
  const workload = new Workload(cluster, operations);
  for (const name of TOPOLOGY.storages) cluster.join(name);
  cluster.startAll();
  workload.start();
  await world.scheduler.runUntil(300_000, () => workload.isDone || world.violations.length > 0);
  return { world, workload };
}

it("every client begins at least 20 operations in each minute, and every kind is drawn", () => {
  const kinds = new Set<string>();
  const operations = drawOperations(new RandomStreams(5), 10, TOPOLOGY);
  for (const { kind } of operations) kinds.add(kind);
  for (const client of TOPOLOGY.clients)
    for (let minute = 1; minute < 10; minute += 1) {
      const own = operations.filter(({ client: by, atMs }) => by === client && Math.floor(atMs / 60_000) === minute);
      expect(own.length).toBeGreaterThanOrEqual(20);
    }
  expect([...kinds].sort()).toEqual(OPERATION_KINDS.map(({ kind }) => kind).sort());
});

it("what a client does depends on nothing that others do", () => {
  const ofOne = (clients: number) =>
    drawOperations(new RandomStreams(5), 2, topologyOf({ ...NODES_USUAL, clients }))
      .filter(({ client }) => client === "client1")
      .map(({ id: _, ...rest }) => rest);
  expect(ofOne(5)).toEqual(ofOne(1));
});

it("without a fault every operation gets what it wants, and nothing contradicts the history", async () => {
  const { world, workload } = await carriedOut(drawOperations(new RandomStreams(3), 1, TOPOLOGY));
  expect(world.violations).toEqual([]);
  expect(workload.isDone).toBe(true);
  const unsuccessful = [...workload.history.operations.values()].filter(({ outcome }) => outcome?.kind !== "done");
  expect(unsuccessful).toEqual([]);
  expect(workload.history.files.size).toBeGreaterThan(20);
});

it("a client that dies in the middle of an upload goes on with it in its next life", async () => {
  const usual = {
    gateway: 0,
    roams: false,
    patienceMs: 60_000,
    draws: 1,
    size: 300_000,
    name: "one.bin",
    user: "ann",
    restMs: 10,
    stopMs: 0,
  };
  const operations = [2, 6, 10, 14, 18].map((events, id): Operation => {
    const parameters = { ...usual, dies: true, events, content: 77 + events };
    return { id, client: "client1", atMs: 8_000, kind: "upload.resumed", with: parameters };
  });
  const { world, workload } = await carriedOut(operations);
  expect(world.violations).toEqual([]);
  expect(workload.isDone).toBe(true);
  expect(world.counts.of("upload.taken-up.after-death")).toBeGreaterThan(2);
  expect(world.counts.of("operation.upload.resumed.done")).toBe(5);
});
