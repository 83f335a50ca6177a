/** Every kind of operation, and how those of a plan are drawn. */
import type { Topology } from "../fault.ts";
import type { Operation } from "../plan.ts";
import type { RandomStream, RandomStreams } from "../random-streams.ts";
import type { OperationKind } from "./operation-kind.ts";
import { FILE_KINDS } from "./operations/files.ts";
import { TUS_KINDS } from "./operations/tus.ts";
import { UPLOAD_KINDS } from "./operations/uploads.ts";
import { WHOLE_KINDS } from "./operations/whole.ts";
import { WRONG_KINDS } from "./operations/wrong.ts";

export const OPERATION_KINDS: readonly OperationKind[] = [...UPLOAD_KINDS, ...WHOLE_KINDS, ...TUS_KINDS, ...FILE_KINDS, ...WRONG_KINDS];

/** Of one client. */
const OPERATIONS_PER_MINUTE = 22;
const MINUTE_MS = 60_000;
/** First the cluster comes up. */
const FROM_MS = 6_000;
/** Nobody waits for longer; most give up, or try something else, much sooner. */
const PATIENCE_MS = [10_000, 30_000, 30_000, 120_000];

/** @throws {RangeError} for a kind that a plan names and nobody knows any more */
export function operationKind(name: string): OperationKind {
  const found = OPERATION_KINDS.find(({ kind }) => kind === name);
  if (found === undefined) throw new RangeError(`There is no operation of the kind ${JSON.stringify(name)}.`);
  return found;
}

/** In the order of their times. */
export function drawOperations(streams: RandomStreams, minutes: number, topology: Topology): Operation[] {
  return topology.clients
    .flatMap((client) => drawOperationsOf(client, streams.stream("plan", `operations of ${client}`), minutes, topology))
    .sort((one, other) => one.atMs - other.atMs)
    .map((operation, id) => ({ id, ...operation }));
}

function drawOperationsOf(client: string, random: RandomStream, minutes: number, topology: Topology): Omit<Operation, "id">[] {
  const slotMs = MINUTE_MS / OPERATIONS_PER_MINUTE;
  const operations: Omit<Operation, "id">[] = [];
  // One at any moment of each slot, so that no minute has few.
  for (let slot = FROM_MS; slot < minutes * MINUTE_MS; slot += slotMs) {
    const atMs = Math.round(slot + random.between(0, slotMs));
    const { kind, draw } = random.weighted(OPERATION_KINDS);
    const usual = {
      gateway: random.integer(1_000),
      roams: random.chance(0.2),
      patienceMs: random.pick(PATIENCE_MS),
      draws: random.integer(2 ** 31),
    };
    operations.push({ client, atMs, kind, with: { ...usual, ...draw(random, topology) } });
  }
  return operations;
}
