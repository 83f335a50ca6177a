/**
 * The clients of a plan: each does its operations one after the other, and when its process dies, another one goes on.
 *
 * C1: no operation lasts longer than its bound: its user gives up long before.
 */
import assert from "node:assert/strict";
import { isRetryable, TroupeError } from "../../../src/core/errors.ts";
import { OWNERS } from "../cluster.ts";
import { SimulatedDisk } from "../disk/simulated-disk.ts";
import type { Operation } from "../plan.ts";
import { Doing } from "./doing.ts";
import { History, type OperationRecord, type Outcome } from "./history.ts";
import { HOME } from "./home-disk.ts";
import { operationKind } from "./operations.ts";
import { SimulatedClient, type Surroundings } from "./simulated-client.ts";

/** C1 */
const OPERATION_MS_MAX = 5 * 60_000;
/** Between a client's death and its next life. */
const RETURN_PAUSE_MS = 2_000;

/** Of a client by its number: the first of the owners has one more. */
const tokenOf = (client: string) => {
  const token = OWNERS[(Number(/\d+$/.exec(client)?.[0] ?? 1) - 1) % OWNERS.length];
  assert(token !== undefined, "there are owners");
  return token;
};

export class Workload {
  readonly history = new History();
  readonly #clients: readonly ClientLives[];

  constructor(surroundings: Surroundings, operations: readonly Operation[]) {
    const byClient = new Map<string, Operation[]>();
    for (const operation of operations) {
      const own = byClient.get(operation.client) ?? [];
      own.push(operation);
      byClient.set(operation.client, own);
    }
    this.#clients = [...byClient].map(([name, own]) => new ClientLives(surroundings, this.history, name, own));
  }

  /** Every operation has ended. */
  get isDone(): boolean {
    return this.#clients.every(({ isDone }) => isDone);
  }

  start(): void {
    for (const client of this.#clients) client.begin();
  }
}

class ClientLives {
  readonly name: string;
  readonly #surroundings: Surroundings;
  readonly #history: History;
  readonly #operations: readonly Operation[];
  readonly #disk: SimulatedDisk;
  /** The operation it is at, and for which time. */
  #position = 0;
  #attempt = 1;

  constructor(surroundings: Surroundings, history: History, name: string, operations: readonly Operation[]) {
    this.name = name;
    this.#surroundings = surroundings;
    this.#history = history;
    this.#operations = [...operations].sort((one, other) => one.atMs - other.atMs || one.id - other.id);
    this.#disk = new SimulatedDisk(surroundings.world, name, HOME);
  }

  get isDone(): boolean {
    return this.#position >= this.#operations.length;
  }

  begin(): void {
    const { world } = this.#surroundings;
    const process = this.#surroundings.beginLife(this.name);
    process.onDeath(() => {
      this.#diedIn();
      if (!this.isDone) world.scheduler.after(RETURN_PAUSE_MS, `${this.name} returns`, () => this.begin());
    });
    const token = tokenOf(this.name);
    const client = new SimulatedClient({ surroundings: this.#surroundings, process, disk: this.#disk, history: this.#history, token });
    this.#live(client).catch((error: unknown) => {
      world.violate("client-crashed", `${this.name}: ${error instanceof Error ? error.stack : String(error)}`);
    });
  }

  async #live(client: SimulatedClient): Promise<void> {
    const { world, process } = client;
    for (;;) {
      const next = this.#operations[this.#position];
      if (next === undefined) return;
      const waitMs = next.atMs - world.nowMs;
      if (waitMs > 0) await new Promise<void>((resolve) => void process.later(waitMs, `${next.kind} (${next.id})`, resolve));
      await this.#carryOut(client, next);
      this.#position += 1;
      this.#attempt = 1;
    }
  }

  async #carryOut(client: SimulatedClient, operation: Operation): Promise<void> {
    const { world, process } = client;
    const { id, kind } = operation;
    const record = this.#recordOf(operation);
    const bound = world.scheduler.after(OPERATION_MS_MAX, `${this.name} is given up`, () => {
      if (process.isAlive) world.violate("operation-hangs", `${this.name} has not come to an end of ${kind} (${id}).`);
    });
    const patience = new AbortController();
    const timer = process.clock.setTimer(Number(operation.with["patienceMs"]), () => patience.abort());
    try {
      await operationKind(kind).run(new Doing(client, operation, record, patience.signal, this.#attempt));
      this.#ended(record, { kind: "done" });
    } catch (error) {
      if (!(error instanceof TroupeError) && !patience.signal.aborted) throw error;
      this.#ended(record, outcomeOf(error, patience.signal.aborted));
      if (error instanceof TroupeError) this.#judge(record, error);
    } finally {
      timer.cancel();
      bound.cancel();
    }
  }

  #recordOf({ id, client, kind }: Operation): OperationRecord {
    const { world } = this.#surroundings;
    const known = this.#history.operations.get(id);
    if (known !== undefined) return known;
    const record: OperationRecord = { id, client, kind, beganMs: world.nowMs, endedMs: undefined, outcome: undefined };
    this.#history.operations.set(id, record);
    world.counts.add(`operation.${kind}`);
    return record;
  }

  #ended(record: OperationRecord, outcome: Outcome): void {
    const { world } = this.#surroundings;
    record.endedMs = world.nowMs;
    record.outcome = outcome;
    const word = outcome.kind === "failed" ? `failed.${outcome.code}` : outcome.kind;
    world.counts.add(`operation.${record.kind}.${word}`);
    world.note(`${record.client} ${record.kind} (${record.id}) ${word}`);
  }

  /** In the event of its death. */
  #diedIn(): void {
    const current = this.#operations[this.#position];
    const record = current === undefined ? undefined : this.#history.operations.get(current.id);
    // Between two operations.
    if (current === undefined || record === undefined) return;
    if (operationKind(current.kind).isTakenUpAgain === true) {
      this.#attempt += 1;
      return;
    }
    this.#ended(record, { kind: "unknown" });
    this.#position += 1;
    this.#attempt = 1;
  }

  /** What a client finds out by itself, or cannot make sense of. */
  #judge({ id, kind }: OperationRecord, error: TroupeError): void {
    if (error.facts["httpStatus"] !== undefined) return;
    const rule = CLIENT_RULES[error.code];
    if (rule !== undefined) this.#surroundings.world.violate(rule, `${this.name} in ${kind} (${id}): ${error.message}`);
  }
}

/** Codes that a client gives itself and that no fault explains. */
const CLIENT_RULES: Readonly<Record<string, string>> = {
  INTERNAL: "client-crashed",
  NOT_IMPLEMENTED: "answer-not-understood",
  DIGEST_MISMATCH: "wrong-bytes",
};

function outcomeOf(error: unknown, hasGivenUp: boolean): Outcome {
  if (hasGivenUp || !(error instanceof TroupeError)) return { kind: "unknown" };
  return { kind: "failed", code: error.code, isDefinite: !isRetryable(error) };
}
