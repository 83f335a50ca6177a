/**
 * Spans as a tree: each below the one it was done for, in the order they began; what was done again and again is one line.
 *
 * F1: no span is lost: one whose parent nobody remembers stands at the top, and so does the first of those that have each other as parents.
 * F2: spans that are alike, siblings of one name in one process, are folded where there are more than {@link ALIKE_SHOWN}, and so is all that
 *     lies below them. Where a process counted more than it kept, its numbers are the line's that has all of them.
 */
import type { TracedCount, TracedSpan, TraceReport } from "../../client/inspection-answers.ts";

export interface SpanLine {
  readonly depth: number;
  /** Alike, by their start; one unless it is folded. */
  readonly spans: readonly [TracedSpan, ...TracedSpan[]];
  /** Absent: it is one span. */
  readonly folded?: { readonly count: number; readonly failedCount: number; readonly totalMs: number; readonly maxMs: number };
}

export const ALIKE_SHOWN = 3;
/** Nothing we do is nested as deep; what a stranger's IDs pretend is moved no further in. */
const DEPTH_MAX = 32;

export function linesOf({ spans, counts }: Pick<TraceReport, "spans" | "counts">): SpanLine[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const below = Map.groupBy(
    spans.filter(({ parentId }) => parentId !== undefined && known.has(parentId)),
    ({ parentId }) => parentId as string,
  );
  const counted = new Map(counts.map((count) => [keyOf(count), count]));
  const kept = Map.groupBy(spans, keyOf);
  // F1
  const tops = spans.filter(({ parentId }) => parentId === undefined || !known.has(parentId));
  const reached = new Set<TracedSpan>();
  const tree = level(tops, 0);
  for (const span of spans) if (!reached.has(span)) tree.push(...level([span], 0));
  return tree;

  function level(siblings: readonly TracedSpan[], depth: number): SpanLine[] {
    const fresh = siblings.filter((span) => !reached.has(span));
    for (const span of fresh) reached.add(span);
    const groups = [...Map.groupBy(fresh, keyOf)].flatMap(([key, alike]) => folds(key, alike));
    return groups.sort(([a], [b]) => (a?.startMs ?? 0) - (b?.startMs ?? 0)).flatMap((group) => lines(group, depth));
  }

  /** F2 */
  function folds(key: string, alike: readonly TracedSpan[]): (readonly TracedSpan[])[] {
    return alike.length > ALIKE_SHOWN || (counted.has(key) && alike.length > 1) ? [alike] : alike.map((span) => [span]);
  }

  function lines(group: readonly TracedSpan[], depth: number): SpanLine[] {
    const [first, ...others] = group;
    if (first === undefined) return [];
    const children = level(
      group.flatMap(({ spanId }) => below.get(spanId) ?? []),
      Math.min(depth + 1, DEPTH_MAX),
    );
    if (others.length === 0) return [{ depth, spans: [first] }, ...children];
    const key = keyOf(first);
    const isAll = kept.get(key)?.length === group.length;
    return [{ depth, spans: [first, ...others], folded: sumOf(group, isAll ? counted.get(key) : undefined) }, ...children];
  }
}

function sumOf(spans: readonly TracedSpan[], counted: TracedCount | undefined): NonNullable<SpanLine["folded"]> {
  if (counted !== undefined) {
    const { count, failedCount, totalMs, maxMs } = counted;
    return { count, failedCount, totalMs, maxMs };
  }
  const durations = spans.map(({ durationMs = 0 }) => durationMs);
  return {
    count: spans.length,
    failedCount: spans.filter(({ outcome = "ok" }) => outcome !== "ok").length,
    totalMs: durations.reduce((sum, durationMs) => sum + durationMs, 0),
    maxMs: Math.max(...durations),
  };
}

function keyOf({ nodeId, actor, name }: { readonly nodeId: string; readonly actor: string; readonly name: string }): string {
  return `${nodeId} ${actor} ${name}`;
}
