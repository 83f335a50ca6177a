/**
 * A machine as it was after each of its steps, worked out from what it tells now; and what it told, kept up to date by its news.
 *
 * R1: the context goes back step by step from the newest, so it is right also where older steps are no longer known.
 * R2: nothing is counted twice: a run that goes on replaces what was known of it.
 */
import type { Inspected, InspectedNews, InspectedStep, InspectedTransition, InspectedVisit } from "./inspected.ts";

export interface Moment extends Pick<Inspected, "state" | "sinceMs" | "context" | "visits" | "transitions" | "steps"> {
  /** When it was so. */
  readonly atMs: number;
  /** What was done last; none at the beginning. */
  readonly step: InspectedStep | undefined;
}

/** @param position how many of the entries of its log have happened, from 0 to all of them */
export function momentOf(machine: Inspected, position: number): Moment {
  const { steps } = machine;
  const done = steps.slice(0, position);
  const step = done.at(-1);
  if (position >= steps.length) return { ...machine, atMs: step?.atMs ?? machine.sinceMs, step };
  const startedMs = machine.isCut ? (steps[0]?.fromMs ?? machine.openedMs) : machine.openedMs;
  const state = step?.to ?? steps[0]?.from ?? machine.state;
  const entered = done.findLast(({ from, to }) => from !== to);
  const atMs = step?.atMs ?? startedMs;
  return {
    state,
    sinceMs: entered?.atMs ?? startedMs,
    context: contextBefore(machine.context, steps.slice(position)),
    visits: visitsAfter([{ state: steps[0]?.from ?? state, count: 1, totalMs: 0 }], startedMs, done, atMs),
    transitions: transitionsAfter([], done, []),
    steps: done,
    atMs,
    step,
  };
}

/** How many entries have happened when the one that begins with the step of this number has; it may be part of a longer run by now. */
export function positionOf({ steps }: Pick<Inspected, "steps">, first: number): number {
  return steps.findLastIndex((step) => step.first <= first) + 1;
}

/** R2 */
export function followed(machine: Inspected, news: InspectedNews): Inspected {
  const known = machine.steps;
  const [oldest] = news.steps;
  const kept = oldest === undefined ? known : known.filter(({ first }) => first < oldest.first);
  const replaced = known.slice(kept.length);
  const lastKnown = known.at(-1)?.last ?? 0;
  const isGap = oldest !== undefined && oldest.first > lastKnown + 1;
  const entered = news.steps.filter(({ first, from, to }) => first > lastKnown && from !== to);
  const toldMs = machine.openedMs + machine.visits.reduce((sum, { totalMs }) => sum + totalMs, 0);
  return {
    ...machine,
    state: news.state,
    sinceMs: news.sinceMs,
    context: news.context,
    effects: news.effects,
    bodies: news.bodies,
    steps: [...kept, ...news.steps],
    visits: visitsAfter(machine.visits, toldMs, entered, news.atMs, machine.state),
    transitions: transitionsAfter(machine.transitions, news.steps, replaced),
    isCut: machine.isCut || isGap,
  };
}

/** R1 */
function contextBefore(context: Inspected["context"], undone: readonly InspectedStep[]): Inspected["context"] {
  const before: Record<string, unknown> = { ...context };
  for (const { changes } of undone.toReversed()) for (const change of changes) before[change.field] = change.before ?? undefined;
  return before;
}

/** @param fromMs until when `visits` were counted */
function visitsAfter(
  visits: readonly InspectedVisit[],
  fromMs: number,
  steps: readonly InspectedStep[],
  untilMs: number,
  state = visits[0]?.state ?? "",
): InspectedVisit[] {
  const counted = new Map(visits.map((visit) => [visit.state, { ...visit }]));
  const visitOf = (path: string): { state: string; count: number; totalMs: number } => {
    const visit = counted.get(path) ?? { state: path, count: 0, totalMs: 0 };
    counted.set(path, visit);
    return visit;
  };
  let atMs = fromMs;
  let current = state;
  for (const step of steps) {
    if (step.from === step.to) continue;
    visitOf(current).totalMs += Math.max(0, step.atMs - atMs);
    atMs = Math.max(atMs, step.atMs);
    current = step.to;
    visitOf(current).count += 1;
  }
  visitOf(current).totalMs += Math.max(0, untilMs - atMs);
  return [...counted.values()];
}

function transitionsAfter(
  transitions: readonly InspectedTransition[],
  added: readonly InspectedStep[],
  removed: readonly InspectedStep[],
): InspectedTransition[] {
  const counted = new Map(transitions.map((taken) => [`${taken.from} ${taken.event} ${taken.to}`, { ...taken }]));
  const count = (steps: readonly InspectedStep[], sign: 1 | -1): void => {
    for (const { from, to, events, isIgnored } of steps) {
      if (isIgnored === true) continue;
      for (const { event, count: times } of events) {
        const key = `${from} ${event} ${to}`;
        const taken = counted.get(key) ?? { from, event, to, count: 0 };
        counted.set(key, { ...taken, count: taken.count + sign * times });
      }
    }
  };
  count(removed, -1);
  count(added, 1);
  return [...counted.values()].filter((taken) => taken.count > 0);
}
