/**
 * Who asked whom while an upload was made, as lines between lanes: spans of all processes in the order they began, one block an HTTP request.
 *
 * S1: what repeats is folded: neighbouring requests that went the same way are one block with a count, and so are equal steps in a row.
 * S2: it is bounded; how much is left out is told.
 * S3: what is under way is there, marked.
 */

export interface SequenceSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string | undefined;
  readonly requestId?: string | undefined;
  readonly kind: string;
  readonly actor: string;
  readonly name: string;
  readonly startMs: number;
  readonly durationMs?: number | undefined;
  readonly outcome?: string | undefined;
  readonly nodeId: string;
}

export interface SequenceLine {
  /** Lanes; the same twice is a step of the lane's own. */
  readonly from: string;
  readonly to: string;
  readonly label: string;
  /** How often; the times are those of all of them. */
  readonly count: number;
  readonly startMs: number;
  readonly durationMs: number | undefined;
  /** A code; absent when it went well or is under way. */
  readonly fault: string | undefined;
  readonly isUnderWay: boolean;
  /** How deep below the request it began. */
  readonly depth: number;
  readonly kind: string;
  readonly requestId: string | undefined;
  readonly nodeId: string;
}

export interface SequenceBlock {
  /** How many requests went this way one after the other. */
  readonly count: number;
  readonly lines: readonly SequenceLine[];
}

export interface Sequence {
  readonly lanes: readonly string[];
  readonly blocks: readonly SequenceBlock[];
  readonly startMs: number;
  /** Lines that are not drawn. */
  readonly leftOutCount: number;
}

export const CLIENT_LANE = "client";
/** From who asks to who keeps; others come after them. */
const LANES = [CLIENT_LANE, "gateway", "tracker", "catalog", "ids", "storage", "upload"];
const LINES_MAX = 400;

interface Counted {
  readonly name: string;
  readonly count: number;
}

/** @param counts of names of which there were more than are kept */
export function sequenceOf(all: readonly SequenceSpan[], counts: readonly Counted[] = []): Sequence {
  const traces = [...Map.groupBy(all, ({ traceId }) => traceId).values()]
    .map((spans) => linesOf(spans))
    .sort((a, b) => (a[0]?.startMs ?? 0) - (b[0]?.startMs ?? 0));
  const totals = new Map<string, number>();
  for (const { name, count } of counts) totals.set(labelOf(name), (totals.get(labelOf(name)) ?? 0) + count);
  // What is one block of many may have begun later than where the first of them stood.
  const folded = foldedBlocks(traces, totals).toSorted((a, b) => (a.lines[0]?.startMs ?? 0) - (b.lines[0]?.startMs ?? 0));
  const drawn: SequenceBlock[] = [];
  let lineCount = 0;
  for (const block of folded) {
    // S2
    if (lineCount + block.lines.length > LINES_MAX) break;
    lineCount += block.lines.length;
    drawn.push(block);
  }
  const used = new Set(drawn.flatMap(({ lines }) => lines.flatMap(({ from, to }) => [from, to])));
  const others = [...used].filter((lane) => !LANES.includes(lane)).sort();
  return {
    lanes: [...LANES.filter((lane) => used.has(lane)), ...others],
    blocks: drawn,
    startMs: drawn[0]?.lines[0]?.startMs ?? 0,
    leftOutCount: folded.slice(drawn.length).reduce((sum, { lines }) => sum + lines.length, 0),
  };
}

/** One trace, from its beginning on: a span below the one that caused it, by their start. */
function linesOf(spans: readonly SequenceSpan[]): SequenceLine[] {
  const known = new Map(spans.map((span) => [span.spanId, span]));
  const below = Map.groupBy(spans, ({ parentId }) => (parentId !== undefined && known.has(parentId) ? parentId : ""));
  const reached = new Set<SequenceSpan>();
  const walk = (span: SequenceSpan, depth: number): SequenceLine[] => {
    if (reached.has(span)) return [];
    reached.add(span);
    const parent = span.parentId === undefined ? undefined : known.get(span.parentId);
    const inner = (below.get(span.spanId) ?? []).toSorted(byStart).flatMap((child) => walk(child, depth + 1));
    return [lineOf(span, parent, depth), ...inner];
  };
  const lines = (below.get("") ?? []).toSorted(byStart).flatMap((span) => walk(span, 0));
  // Those that have each other as parents.
  return foldedLines([...lines, ...spans.flatMap((span) => walk(span, 0))]);
}

const byStart = (a: SequenceSpan, b: SequenceSpan): number => a.startMs - b.startMs;

function lineOf(span: SequenceSpan, parent: SequenceSpan | undefined, depth: number): SequenceLine {
  const { kind, actor, name, startMs, durationMs, outcome, nodeId, requestId } = span;
  return {
    from: parent?.actor ?? (kind === "http" ? CLIENT_LANE : actor),
    to: actor,
    label: labelOf(name),
    count: 1,
    startMs,
    durationMs,
    fault: outcome === undefined || outcome === "ok" ? undefined : outcome,
    // S3
    isUnderWay: outcome === undefined,
    depth,
    kind,
    requestId,
    nodeId,
  };
}

/** The lane says whose it is; the address says the rest. */
function labelOf(name: string): string {
  return name
    .replace(/^[a-z-]+[.#~]/i, "")
    .replace("/api/v1", "")
    .replace("/:uploadId", "/…")
    .replace("/:index", "/n");
}

/** S1: leaves that are alike, one after the other. */
function foldedLines(lines: readonly SequenceLine[]): SequenceLine[] {
  const folded: SequenceLine[] = [];
  lines.forEach((line, index) => {
    const before = folded.at(-1);
    const isLeaf = (lines[index + 1]?.depth ?? 0) <= line.depth;
    const isAlike = before !== undefined && isLeaf && before.depth === line.depth && keyOf(before) === keyOf(line);
    if (isAlike) folded[folded.length - 1] = together(before, line);
    else folded.push(line);
  });
  return folded;
}

/** S1 */
function foldedBlocks(traces: readonly (readonly SequenceLine[])[], totals: ReadonlyMap<string, number>): SequenceBlock[] {
  const blocks: { key: string; count: number; lines: readonly SequenceLine[] }[] = [];
  for (const lines of traces) {
    const key = lines.map(keyOf).join("\n");
    const before = blocks.at(-1);
    if (before?.key === key) {
      before.count += 1;
      before.lines = before.lines.map((line, index) => together(line, lines[index] ?? line));
    } else blocks.push({ key, count: 1, lines });
  }
  return completed(blocks, totals);
}

/**
 * Of what there was too much of, only the newest spans are kept, and of some requests only a part: what went well is one block then, the one of
 * which most is known, with the count of all.
 */
function completed(blocks: readonly SequenceBlock[], totals: ReadonlyMap<string, number>): SequenceBlock[] {
  const labelOfBlock = ({ lines }: SequenceBlock): string => lines[0]?.label ?? "";
  const isFine = ({ lines }: SequenceBlock): boolean => lines.every(({ fault, isUnderWay }) => fault === undefined && !isUnderWay);
  const groups = Map.groupBy(blocks, labelOfBlock);
  return blocks.flatMap((block) => {
    const label = labelOfBlock(block);
    const total = totals.get(label);
    if (total === undefined || !isFine(block)) return [{ count: block.count, lines: block.lines }];
    const group = groups.get(label) ?? [];
    const fine = group.filter(isFine);
    if (fine[0] !== block) return [];
    const fullest = fine.toSorted((one, other) => other.lines.length - one.lines.length || other.count - one.count)[0] ?? block;
    const faulty = group.filter((other) => other.lines[0]?.fault !== undefined).reduce((sum, { count }) => sum + count, 0);
    const count = Math.max(fullest.count, total - faulty);
    return [{ count, lines: fullest.lines.map((line) => grown(line, count / fullest.count)) }];
  });
}

function keyOf({ from, to, label, fault, isUnderWay, depth, nodeId }: SequenceLine): string {
  return [from, to, label, fault ?? "", isUnderWay, depth, nodeId].join("|");
}

/** As often as the block it is in, and as long each time as those that are known. */
function grown(line: SequenceLine, times: number): SequenceLine {
  return { ...line, count: line.count * times, durationMs: line.durationMs === undefined ? undefined : line.durationMs * times };
}

function together(one: SequenceLine, other: SequenceLine): SequenceLine {
  const durationMs = one.durationMs === undefined || other.durationMs === undefined ? undefined : one.durationMs + other.durationMs;
  return { ...one, count: one.count + other.count, durationMs };
}
