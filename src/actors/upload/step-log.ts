/**
 * What a session's machine went through, kept in memory to be looked at: how often and how long it was in each state, which transitions it
 * took, and the steps themselves with what they changed.
 *
 * L1: it is bounded. Steps that stay in a state, chunk after chunk, are runs of a second and more; when the log is full, the two oldest runs
 *     side by side become one, and only where there are none the oldest entry goes. So the way from state to state stays whole for long.
 * L2: a step costs a few assignments; what it changed is worked out when somebody asks.
 * L3: contexts and events have no secret in them: digests, counts, codes and sentences.
 */
import type { ChangedField, LoggedStep, StateVisit, TakenTransition } from "../../core/inspection.ts";
import { ENDED_STEPS_KEPT, STEP_RUN_MS, STEPS_KEPT } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { pathOf, type SessionContext, type SessionEvent, type SessionStep } from "./machine.ts";

interface Entry {
  /** The number of its first step. */
  readonly first: number;
  /** The number of its last step. */
  last: number;
  readonly fromMs: number;
  atMs: number;
  /** Monotonic, of its first step. */
  readonly begunMs: number;
  readonly from: string;
  readonly to: string;
  readonly counts: Map<SessionEvent["type"], number>;
  readonly before: SessionContext;
  after: SessionContext;
  /** The state did not know the event. */
  readonly isIgnored: boolean;
}

interface Visit {
  count: number;
  totalMs: number;
}

export class StepLog {
  readonly #clock: Pick<Clock, "nowMs" | "wallMs">;
  #entries: Entry[] = [];
  readonly #visits = new Map<string, Visit>();
  readonly #transitions = new Map<string, { readonly from: string; readonly event: string; readonly to: string; count: number }>();
  #state: string;
  #context: SessionContext;
  #enteredMs: number;
  #sinceMs: number;
  #steps = 0;
  #isCut = false;
  #closedMs: number | undefined;

  constructor(clock: Pick<Clock, "nowMs" | "wallMs">, first: { readonly state: string; readonly context: SessionContext }) {
    this.#clock = clock;
    this.#state = first.state;
    this.#context = first.context;
    this.#enteredMs = clock.nowMs();
    this.#sinceMs = clock.wallMs();
    this.#visits.set(first.state, { count: 1, totalMs: 0 });
  }

  get state(): string {
    return this.#state;
  }

  /** When it entered this state. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get context(): SessionContext {
    return this.#context;
  }

  /** How many there were; the number of the newest. */
  get steps(): number {
    return this.#steps;
  }

  /** Something was left out (L1). */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** L2 */
  add({ before, event, after }: SessionStep): void {
    this.#steps += 1;
    const from = this.#state;
    const to = before.value === after.value ? from : pathOf(after);
    this.#context = after.context;
    const isIgnored = from === to && before.context === after.context;
    if (!isIgnored) this.#count(from, event.type, to);
    const wallMs = this.#clock.wallMs();
    const nowMs = this.#clock.nowMs();
    const run = this.#entries.at(-1);
    if (from === to && !isIgnored && run !== undefined && isRun(run) && run.to === to && nowMs - run.begunMs < STEP_RUN_MS) {
      run.last = this.#steps;
      run.atMs = wallMs;
      run.after = after.context;
      run.counts.set(event.type, (run.counts.get(event.type) ?? 0) + 1);
      return;
    }
    if (from !== to) this.#enter(to);
    this.#entries.push({
      first: this.#steps,
      last: this.#steps,
      fromMs: wallMs,
      atMs: wallMs,
      begunMs: nowMs,
      from,
      to,
      counts: new Map([[event.type, 1]]),
      before: before.context,
      after: after.context,
      isIgnored,
    });
    if (this.#entries.length > STEPS_KEPT) this.#shorten(STEPS_KEPT);
  }

  /** @param after only entries with a step of a higher number, oldest first; a run that goes on comes again, whole */
  told(after = 0): LoggedStep[] {
    return this.#entries.filter(({ last }) => last > after).map(toldEntry);
  }

  visits(): StateVisit[] {
    const nowMs = this.#closedMs ?? this.#clock.nowMs();
    return [...this.#visits].map(([state, { count, totalMs }]) => ({
      state,
      count,
      totalMs: Math.round(totalMs + (state === this.#state ? nowMs - this.#enteredMs : 0)),
    }));
  }

  transitions(): TakenTransition[] {
    return [...this.#transitions.values()].map((taken) => ({ ...taken }));
  }

  /** It is only kept to be looked at from now on, with others: no state takes more time. */
  close(): void {
    this.#closedMs ??= this.#clock.nowMs();
    this.#shorten(ENDED_STEPS_KEPT);
  }

  #enter(state: string): void {
    this.#leave();
    this.#state = state;
    this.#enteredMs = this.#clock.nowMs();
    this.#sinceMs = this.#clock.wallMs();
    const visit = this.#visits.get(state);
    if (visit === undefined) this.#visits.set(state, { count: 1, totalMs: 0 });
    else visit.count += 1;
  }

  #leave(): void {
    const visit = this.#visits.get(this.#state);
    if (visit !== undefined) visit.totalMs += this.#clock.nowMs() - this.#enteredMs;
  }

  #count(from: string, event: string, to: string): void {
    const name = `${from} ${event} ${to}`;
    const taken = this.#transitions.get(name);
    if (taken === undefined) this.#transitions.set(name, { from, event, to, count: 1 });
    else taken.count += 1;
  }

  /** L1 */
  #shorten(max: number): void {
    while (this.#entries.length > max) {
      const index = this.#entries.findIndex((entry, at) => {
        const next = this.#entries[at + 1];
        return next !== undefined && isRun(entry) && isRun(next) && entry.to === next.to;
      });
      const [first, second] = this.#entries.slice(index, index + 2);
      if (index < 0 || first === undefined || second === undefined) {
        this.#entries.shift();
        this.#isCut = true;
        continue;
      }
      const counts = new Map(first.counts);
      for (const [type, count] of second.counts) counts.set(type, (counts.get(type) ?? 0) + count);
      this.#entries.splice(index, 2, { ...first, last: second.last, atMs: second.atMs, after: second.after, counts });
    }
  }
}

/** Steps that stayed where they were. */
function isRun({ from, to, isIgnored }: Entry): boolean {
  return from === to && !isIgnored;
}

function toldEntry({ first, last, fromMs, atMs, from, to, counts, before, after, isIgnored }: Entry): LoggedStep {
  return {
    first,
    last,
    fromMs,
    atMs,
    from,
    to,
    events: [...counts].map(([event, count]) => ({ event, count })),
    changes: changedFields(before, after),
    ...(isIgnored ? { isIgnored: true as const } : {}),
  };
}

function changedFields(before: SessionContext, after: SessionContext): ChangedField[] {
  if (before === after) return [];
  return (Object.keys(after) as (keyof SessionContext)[]).flatMap((field) =>
    before[field] === after[field] ? [] : [{ field, before: before[field] ?? null, after: after[field] ?? null }],
  );
}
