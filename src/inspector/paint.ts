/**
 * Draws a chart that has been laid out, with what is marked in it.
 *
 * D1: how things look is said in classes alone, so that a page without inline styles can show it and a theme can change it.
 * D2: every state and every transition is found by its `data-path` or `data-edge`.
 */
import { isWithin } from "./chart.ts";
import { CHART_STYLE } from "./chart-style.ts";
import { type Element, element, elementText } from "./element.ts";
import type { Box, LaidOutChart, LaidOutEdge, LaidOutNode, LaidOutText, Point } from "./laid-out-chart.ts";
import type { Marks } from "./marks.ts";
import { textWidth } from "./text-width.ts";

const CORNER = 7;
const BEND = 8;
const HEAD_LENGTH = 8;
const HEAD_WIDTH = 7;
const DOT_RADIUS = 4.5;
const INNER_GAP = 3;
const BADGE_HEIGHT = 14;

/** As an element of SVG without colours of its own: whoever shows it has {@link CHART_STYLE}. */
export function paint(chart: LaidOutChart, marks: Marks = {}): Element {
  const size = { width: String(chart.width), height: String(chart.height) };
  const title = `Statechart of ${chart.name}${marks.live === undefined ? "" : `, in ${marks.live.join(", ")}`}`;
  return element(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", class: "chart", role: "img", viewBox: `0 0 ${chart.width} ${chart.height}`, ...size },
    element("title", {}, title),
    element("rect", { class: "ground", ...size }),
    ...chart.nodes.map((node) => paintNode(node, marks)),
    // Lines first: one that crosses another's label goes behind it.
    ...chart.edges.filter(({ points }) => points.length > 0).map((edge) => paintArrow(edge, marks)),
    ...chart.edges.map((edge) => paintLabel(edge, marks)),
  );
}

/** A file that looks the same wherever it is opened. */
export function paintedFile(chart: LaidOutChart, marks: Marks = {}): string {
  const { tag, attributes, children } = paint(chart, marks);
  return elementText({ tag, attributes, children: [element("style", {}, CHART_STYLE), ...children] });
}

function paintNode(node: LaidOutNode, marks: Marks): Element {
  const { path, kind, x, y, width, height } = node;
  const isLive = marks.live?.some((live) => isWithin(live, path)) === true;
  const isVisited = marks.visited?.some((visited) => isWithin(visited, path)) === true;
  const time = marks.times?.[path];
  const inner = { x: x + INNER_GAP, y: y + INNER_GAP, width: width - 2 * INNER_GAP, height: height - 2 * INNER_GAP };
  return element(
    "g",
    { class: classes("state", path === "" && "machine", kind, isVisited && "visited", isLive && "live"), "data-path": path },
    rectangle(node, "box", CORNER),
    ...(kind === "final" ? [rectangle(inner, "inner", CORNER - INNER_GAP)] : []),
    ...paintInitial(node.initialPoints),
    ...node.texts.map(paintText),
    ...(time === undefined ? [] : [element("text", { class: "time", x: String(x + width - 9), y: String(y + 18) }, time)]),
  );
}

function paintInitial(points: readonly Point[]): Element[] {
  const [dot] = points;
  if (dot === undefined) return [];
  const circle = element("circle", { class: "dot", cx: String(dot.x), cy: String(dot.y), r: String(DOT_RADIUS) });
  return [element("g", { class: "initial" }, circle, ...arrow(points))];
}

function paintArrow(edge: LaidOutEdge, marks: Marks): Element {
  return element("g", { class: edgeClasses(edge, marks), "data-edge": edge.id }, ...arrow(edge.points));
}

function paintLabel(edge: LaidOutEdge, marks: Marks): Element {
  const count = marks.counts?.[edge.id] ?? 0;
  return element(
    "g",
    { class: edgeClasses(edge, marks), "data-edge": edge.id },
    ...(edge.points.length > 0 ? [rectangle(edge.label, "behind", 0)] : []),
    ...edge.label.texts.map(paintText),
    ...(count > 0 ? [paintCount(edge, count)] : []),
  );
}

function edgeClasses({ id }: LaidOutEdge, marks: Marks): string {
  return classes("edge", (marks.counts?.[id] ?? 0) > 0 && "taken", marks.last === id && "taken last");
}

/** After the first line of the label, where the layout left room for it. */
function paintCount({ label, points }: LaidOutEdge, count: number): Element {
  const text = countText(count);
  const width = Math.max(BADGE_HEIGHT, Math.ceil(textWidth(text, 11, "bold")) + 10);
  const right = label.x + label.width;
  const box = { x: points.length > 0 ? right - width / 2 : right - width, y: label.y, width, height: BADGE_HEIGHT };
  return element(
    "g",
    { class: "count" },
    rectangle(box, "badge", BADGE_HEIGHT / 2),
    element("text", { x: String(box.x + width / 2), y: String(box.y + 11) }, text),
  );
}

/** At most four characters: 999, 12k, 3.4M. */
function countText(count: number): string {
  const [divisor, unit] = count < 1_000 ? [1, ""] : count < 999_500 ? [1_000, "k"] : [1_000_000, "M"];
  const value = count / divisor;
  return `${unit !== "" && value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

function paintText({ x, y, text, kind }: LaidOutText): Element {
  return element("text", { class: kind, x: String(x), y: String(y) }, text);
}

function rectangle({ x, y, width, height }: Box, name: string, radius: number): Element {
  const size = { width: String(width), height: String(height) };
  return element("rect", { class: name, x: String(x), y: String(y), ...size, ...(radius > 0 ? { rx: String(radius) } : {}) });
}

/** The line, which ends where its head begins, and the head: markers would need names that are the page's. */
function arrow(points: readonly Point[]): Element[] {
  const end = points.at(-1) as Point;
  const before = points.at(-2) as Point;
  const length = Math.hypot(end.x - before.x, end.y - before.y);
  const along = { x: (end.x - before.x) / length, y: (end.y - before.y) / length };
  const base = { x: end.x - along.x * HEAD_LENGTH, y: end.y - along.y * HEAD_LENGTH };
  const side = { x: (-along.y * HEAD_WIDTH) / 2, y: (along.x * HEAD_WIDTH) / 2 };
  const head = [end, { x: base.x + side.x, y: base.y + side.y }, { x: base.x - side.x, y: base.y - side.y }];
  return [
    element("path", { d: roundedPath([...points.slice(0, -1), base]) }),
    element("polygon", { class: "head", points: head.map(({ x, y }) => `${short(x)},${short(y)}`).join(" ") }),
  ];
}

/** Through all points, with each corner cut round. */
function roundedPath(points: readonly Point[]): string {
  const commands = points.map((point, index) => {
    const before = points[index - 1];
    const after = points[index + 1];
    if (before === undefined) return `M${pair(point)}`;
    if (after === undefined) return `L${pair(point)}`;
    return `L${pair(towards(point, before))} Q${pair(point)} ${pair(towards(point, after))}`;
  });
  return commands.join(" ");
}

/** A bend's length from a corner, or half way to the next one where that is nearer. */
function towards(corner: Point, other: Point): Point {
  const length = Math.hypot(other.x - corner.x, other.y - corner.y);
  const share = length === 0 ? 0 : Math.min(BEND, length / 2) / length;
  return { x: corner.x + (other.x - corner.x) * share, y: corner.y + (other.y - corner.y) * share };
}

const pair = ({ x, y }: Point): string => `${short(x)} ${short(y)}`;
const short = (value: number): string => String(Math.round(value * 10) / 10);
const classes = (...names: readonly (string | false)[]): string => names.filter((name) => name !== false).join(" ");
