/**
 * Draws a sequence: a lane for each actor, a line for each message, time downwards.
 *
 * Q1: as in charts, looks are classes alone.
 */
import { type Element, element } from "./element.ts";
import { CLIENT_LANE, type Sequence, type SequenceBlock, type SequenceLine } from "./sequence.ts";
import { textWidth } from "./text-width.ts";

/** How far things are from each other, in pixels. */
export interface SequenceSpacing {
  /** Before the first lane, for the time at which a block begins. */
  readonly time: number;
  readonly lane: number;
  /** From the client to the next lane: what it asks for is an address, which is longer than a word. */
  readonly client: number;
  /** Behind the last lane, for its own steps. */
  readonly last: number;
}

export const WIDE_SPACING: SequenceSpacing = { time: 74, lane: 156, client: 300, last: 170 };
/** Three lanes on a phone held upright. */
export const NARROW_SPACING: SequenceSpacing = { time: 18, lane: 112, client: 150, last: 130 };

const LANE_HEAD_WIDTH = 84;
const HEAD_HEIGHT = 46;
const LINE_HEIGHT = 30;
const BLOCK_GAP = 14;
const BLOCK_PADDING = 8;
const LOOP_WIDTH = 22;
const HEAD_LENGTH = 7;
/** As much of a name as one needs to tell it from others. */
const LABEL_WIDTH_MIN = 44;

interface Drawing {
  readonly lanes: readonly string[];
  /** When the first block begins. */
  readonly startMs: number;
  readonly spacing: SequenceSpacing;
  readonly durationText: (durationMs: number) => string;
  readonly width: number;
}

/** @param durationText how a time shall be read: `1.2 s` */
export function paintSequence(
  { lanes, blocks, startMs }: Sequence,
  durationText: (durationMs: number) => string,
  spacing: SequenceSpacing = WIDE_SPACING,
): Element {
  const width = laneX({ lanes, spacing }, lanes.at(-1) ?? "") + spacing.lane / 2 + spacing.last;
  const drawing: Drawing = { lanes, startMs, spacing, durationText, width };
  const tops = [HEAD_HEIGHT + BLOCK_GAP];
  for (const block of blocks) tops.push((tops.at(-1) as number) + heightOf(block) + BLOCK_GAP);
  const height = tops.at(-1) as number;
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      class: "sequence",
      role: "img",
      viewBox: `0 0 ${width} ${height}`,
      width: String(width),
      height: String(height),
    },
    element("title", {}, `Messages between ${lanes.join(", ")}`),
    ...blocks.map((block, index) => paintGround(block, tops[index] as number, width)),
    ...lanes.map((lane) => paintLane(lane, laneX(drawing, lane), height)),
    ...blocks.flatMap((block, index) => paintBlock(block, tops[index] as number, drawing)),
  );
}

function laneX({ lanes, spacing }: Pick<Drawing, "lanes" | "spacing">, lane: string): number {
  const index = lanes.indexOf(lane);
  const wider = index > 0 && lanes[0] === CLIENT_LANE ? spacing.client - spacing.lane : 0;
  return spacing.time + spacing.lane * (index + 0.5) + wider;
}

const heightOf = ({ lines }: SequenceBlock): number => lines.length * LINE_HEIGHT + 2 * BLOCK_PADDING;

function paintLane(lane: string, x: number, height: number): Element {
  const box = { x: String(x - LANE_HEAD_WIDTH / 2), y: "8", width: String(LANE_HEAD_WIDTH), height: "28", rx: "7" };
  return element(
    "g",
    { class: "lane", "data-lane": lane },
    element("line", { x1: String(x), y1: "36", x2: String(x), y2: String(height) }),
    element("rect", box),
    element("text", { x: String(x), y: "27" }, lane),
  );
}

function paintGround(block: SequenceBlock, top: number, width: number): Element {
  const size = { x: "0", y: String(top), width: String(width), height: String(heightOf(block)) };
  return element("rect", { class: "block", ...size, rx: "8" });
}

function paintBlock(block: SequenceBlock, top: number, drawing: Drawing): Element[] {
  const { startMs, durationText, width } = drawing;
  const offsetMs = Math.max(0, (block.lines[0]?.startMs ?? 0) - startMs);
  const time = element("text", { class: "when", x: "10", y: String(top + BLOCK_PADDING + 19) }, `+${durationText(offsetMs)}`);
  const times = block.count > 1 ? [paintTimes(block.count, top, width)] : [];
  const lines = block.lines.map((line, index) =>
    paintLine(line, top + BLOCK_PADDING + (index + 0.5) * LINE_HEIGHT + 6, block.count, drawing),
  );
  return [time, ...lines, ...times];
}

function paintTimes(count: number, top: number, width: number): Element {
  const text = `× ${count.toLocaleString("en")}`;
  const badge = Math.ceil(textWidth(text, 12, "bold")) + 18;
  const x = width - badge - 8;
  return element(
    "g",
    { class: "times" },
    element("rect", { x: String(x), y: String(top + 8), width: String(badge), height: "20", rx: "10" }),
    element("text", { x: String(x + badge / 2), y: String(top + 22) }, text),
  );
}

function paintLine(line: SequenceLine, y: number, blockCount: number, drawing: Drawing): Element {
  const { spacing, durationText } = drawing;
  const from = laneX(drawing, line.from);
  const to = laneX(drawing, line.to);
  const isOwn = from === to;
  const several = line.count > blockCount ? ` × ${Math.round(line.count / blockCount)}` : "";
  const took = line.isUnderWay ? "under way" : line.durationMs === undefined ? "" : durationText(line.durationMs / Math.max(1, line.count));
  const fitting = isOwn ? spacing.lane / 2 + spacing.last - LOOP_WIDTH : Math.abs(to - from) - 24;
  // Where there is no room for both, what went wrong is said rather than how long it took.
  const both = [line.fault, took].filter((text) => text !== undefined && text !== "").join(" · ");
  const said = line.fault !== undefined && textWidth(both, 11) + LABEL_WIDTH_MIN > fitting ? line.fault : both;
  const names = ["message", line.kind, line.isUnderWay ? "open" : "", line.fault === undefined ? "" : "faulty"].filter(
    (name) => name !== "",
  );
  const x = isOwn ? from + LOOP_WIDTH + 10 : (from + to) / 2;
  return element(
    "g",
    { class: names.join(" ") },
    element("title", {}, `${line.label}, in ${line.nodeId}${line.requestId === undefined ? "" : `, for request ${line.requestId}`}`),
    ...(isOwn ? loop(from, y) : arrow(from, to, y)),
    element(
      "text",
      { class: isOwn ? "own" : "between", x: String(x), y: String(isOwn ? y + 4 : y - 5) },
      element("tspan", {}, shortened(line.label + several, fitting - textWidth(said, 11) - 8)),
      element("tspan", { class: "took", dx: "6" }, said),
    ),
  );
}

function arrow(from: number, to: number, y: number): Element[] {
  const side = to > from ? -1 : 1;
  const base = to + side * HEAD_LENGTH;
  return [
    element("path", { d: `M${from} ${y}L${base} ${y}` }),
    element("polygon", { points: `${to},${y} ${base},${y - 4} ${base},${y + 4}` }),
  ];
}

function loop(x: number, y: number): Element[] {
  const end = x + LOOP_WIDTH;
  return [
    element("path", { d: `M${x} ${y - 6}H${end - 5}Q${end} ${y - 6} ${end} ${y}Q${end} ${y + 6} ${end - 5} ${y + 6}H${x + HEAD_LENGTH}` }),
    element("polygon", { points: `${x},${y + 6} ${x + HEAD_LENGTH},${y + 2} ${x + HEAD_LENGTH},${y + 10}` }),
  ];
}

/** What does not fit ends in dots; all of it is in the title. */
function shortened(text: string, width: number): string {
  if (textWidth(text, 12) <= width) return text;
  let end = text.length;
  while (end > 4 && textWidth(`${text.slice(0, end)}…`, 12) > width) end -= 1;
  return `${text.slice(0, end)}…`;
}
