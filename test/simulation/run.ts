/**
 * One run: a plan is carried out, the world heals, and what came of it is checked. What a run comes to depends on nothing but the plan
 * and the code.
 */
import process from "node:process";
import { Cluster } from "./cluster.ts";
import { CompositeSignals } from "./composite-signals.ts";
import type { Fault } from "./fault.ts";
import { faultKind } from "./fault-kinds.ts";
import { CHECKED_WITHIN_MS, Oracle } from "./oracle/oracle.ts";
import type { Plan } from "./plan.ts";
import type { RunResult } from "./run-result.ts";
import type { ScheduledEvent } from "./scheduler.ts";
import { Workload } from "./workload/workload.ts";
import { World } from "./world.ts";

export interface RunOptions {
  /** Gets each line of the trace as it comes. */
  readonly onTraceLine?: (line: string) => void;
  /** The world is about to heal: from here on little happens, and time goes by the quicker. */
  readonly onHealing?: () => void;
  /** Told after each event how far it is. */
  readonly onTime?: (simulatedMs: number) => void;
}

const MINUTE_MS = 60_000;
/** After healing, what clients began has come to an end within this time. */
const FINISH_WITHIN_MS = 10 * MINUTE_MS;

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const world = new World(plan.seed, options.onTraceLine);
  const onRejection = (error: unknown): void =>
    world.violate("unhandled-rejection", error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.on("unhandledRejection", onRejection);
  const compositeSignals = new CompositeSignals();
  try {
    const cluster = new Cluster(world, plan.nodes);
    const workload = new Workload(cluster, plan.operations);
    const oracle = new Oracle(cluster, workload.history);
    const isBroken = (): boolean => {
      oracle.afterEvent();
      options.onTime?.(world.nowMs);
      return world.violations.length > 0;
    };
    cluster.startAll();
    workload.start();
    const faults = new FaultSchedule(cluster, plan.faults);
    await world.scheduler.runUntil(plan.minutes * MINUTE_MS, isBroken);
    const healedAtMs = world.nowMs;
    options.onHealing?.();
    if (!isBroken()) {
      world.note("the world heals");
      faults.heal();
      await within(world, "operations", FINISH_WITHIN_MS, () => workload.isDone, isBroken);
    }
    if (!isBroken()) {
      world.note("the oracle looks at everything");
      let isChecked = false;
      oracle.afterHealing().then(
        () => {
          isChecked = true;
        },
        (error: unknown) => world.violate("oracle-failed", error instanceof Error ? (error.stack ?? error.message) : String(error)),
      );
      await within(world, "checks", CHECKED_WITHIN_MS, () => isChecked, isBroken);
    }
    return {
      hash: world.trace.hash,
      violations: world.violations,
      counts: world.counts.all(),
      simulatedMs: world.nowMs,
      healedAtMs,
      eventCount: world.scheduler.eventCount,
      operationCount: plan.operations.length,
    };
  } finally {
    compositeSignals.release();
    process.off("unhandledRejection", onRejection);
  }
}

/** Lets the world go on until something is over; that it is not in time is a violation. */
async function within(world: World, what: string, withinMs: number, isOver: () => boolean, isBroken: () => boolean): Promise<void> {
  if (isOver()) return;
  await world.scheduler.runUntil(world.nowMs + withinMs, () => isOver() || isBroken());
  if (!isOver() && !isBroken()) world.violate("does-not-finish", `${what} had not ended ${withinMs / MINUTE_MS} minutes after healing.`);
}

/** Begins faults at their times, ends them, and ends what is left when the world heals. */
class FaultSchedule {
  readonly #cluster: Cluster;
  /** Faults that have not begun, and the ends of those that have. */
  readonly #events = new Set<ScheduledEvent>();
  readonly #active = new Set<Fault>();

  constructor(cluster: Cluster, faults: readonly Fault[]) {
    this.#cluster = cluster;
    for (const fault of faults) this.#events.add(cluster.world.scheduler.at(fault.atMs, `fault ${fault.kind}`, () => this.#begin(fault)));
  }

  heal(): void {
    for (const event of this.#events) event.cancel();
    for (const fault of [...this.#active]) this.#end(fault);
  }

  #begin(fault: Fault): void {
    const { begin } = faultKind(fault.kind);
    this.#cluster.world.note(`fault ${fault.kind} ${JSON.stringify(fault.with)} for ${fault.forMs} ms`);
    this.#active.add(fault);
    begin(this.#cluster, fault);
    this.#events.add(this.#cluster.world.scheduler.after(fault.forMs, `fault ${fault.kind} ends`, () => this.#end(fault)));
  }

  #end(fault: Fault): void {
    if (!this.#active.delete(fault)) return;
    faultKind(fault.kind).end?.(this.#cluster, fault);
  }
}
