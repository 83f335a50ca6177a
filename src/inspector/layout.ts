/**
 * Gives everything in a chart its place: measures texts, lets a layout engine place boxes and route arrows, and takes back what it says.
 * Only the script that writes the charts calls it, and hands the engine in, so nothing that runs loads one.
 *
 * P1: the same chart is laid out the same on every machine: text is measured by a table and every place is a whole number.
 */
import { type Chart, type ChartEdge, type ChartNode, parentOf } from "./chart.ts";
import type { Box, LaidOutChart, LaidOutText, Point, TextKind } from "./laid-out-chart.ts";
import { textWidth } from "./text-width.ts";

/** As far as it is used, what elkjs takes and gives back with a place in everything. */
export interface Graph {
  id: string;
  x?: number;
  y?: number;
  width?: number;
  height?: number;
  layoutOptions?: Record<string, string>;
  children?: Graph[];
  edges?: Connection[];
}

interface Connection {
  id: string;
  layoutOptions?: Record<string, string>;
  sources: string[];
  targets: string[];
  labels?: { id: string; text: string; x?: number; y?: number; width?: number; height?: number; layoutOptions?: Record<string, string> }[];
  sections?: { startPoint: Point; endPoint: Point; bendPoints?: Point[] }[];
}

export interface LayoutEngine {
  layout(graph: Graph): Promise<Graph>;
}

const TITLE_PIXELS = 13;
const TEXT_PIXELS = 12;
const LINE = 16;
const TITLE_HEIGHT = 28;
const SIDE = 10;
const BELOW = 7;
/** Beside a state's name, for the time it lasted; beside a transition in a state, for its count; at an arrow, for most of it. */
const TIME_WIDTH = 66;
const COUNT_WIDTH = 40;
const ARROW_COUNT_WIDTH = 14;
const LABEL_SIDE = 4;
const WIDTH_MIN = 96;
const DOT = 9;
const DOT_ID = "dot ";

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.json.shapeCoords": "ROOT",
  "elk.json.edgeCoords": "ROOT",
  "elk.padding": "[top=0,left=0,bottom=0,right=0]",
};
/** Of each state that holds others: the engine hands none of them down. */
const INNER_OPTIONS = {
  "elk.edgeRouting": "ORTHOGONAL",
  "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
  "elk.layered.layering.strategy": "LONGEST_PATH",
  "elk.layered.thoroughness": "100",
  "elk.spacing.nodeNode": "16",
  "elk.spacing.edgeNode": "10",
  "elk.spacing.edgeEdge": "12",
  "elk.spacing.edgeLabel": "2",
  "elk.layered.spacing.nodeNodeBetweenLayers": "22",
  "elk.layered.spacing.edgeNodeBetweenLayers": "14",
  "elk.layered.spacing.edgeEdgeBetweenLayers": "12",
};

/** A line before it has a place. */
interface Line {
  readonly text: string;
  readonly kind: TextKind;
  /** Of the transition it tells of. */
  readonly edge?: string;
}

export async function layOut(chart: Chart, engine: LayoutEngine): Promise<LaidOutChart> {
  // The machine is a state among the engine's, for the engine draws no arrow that leaves the whole drawing.
  const root: Graph = { id: "drawing", layoutOptions: OPTIONS, children: [graphOf(chart, chart.nodes[0] as ChartNode)] };
  root.edges = [
    ...chart.edges.filter((edge) => edge.target !== undefined).map((edge) => connectionOf(chart, edge)),
    ...chart.nodes.flatMap(({ path, initial }) =>
      initial === undefined ? [] : [{ id: DOT_ID + path, sources: [DOT_ID + path], targets: [idOf(initial)] }],
    ),
  ];
  const placed = await engine.layout(root);
  const shapes = new Map(everyShape(placed).map((shape) => [shape.id, shape]));
  const connections = new Map((placed.edges ?? []).map((edge) => [edge.id, edge]));
  const boxes = new Map(chart.nodes.map(({ path }) => [path, boxOf(shapes.get(idOf(path)))]));
  return {
    name: chart.name,
    width: Math.ceil(placed.width ?? 0),
    height: Math.ceil(placed.height ?? 0),
    nodes: chart.nodes.map((node) => {
      const box = boxes.get(node.path) as Box;
      return {
        ...node,
        ...box,
        texts: nodeLines(chart, node).flatMap((line, index) => (line.edge === undefined ? [lineAt(box, line, index)] : [])),
        initialPoints: node.initial === undefined ? [] : initialPoints(shapes.get(DOT_ID + node.path), connections.get(DOT_ID + node.path)),
      };
    }),
    edges: chart.edges.map((edge) => {
      if (edge.target === undefined) return { ...edge, points: [], label: lineInState(chart, edge, boxes.get(edge.source) as Box) };
      const connection = connections.get(edge.id);
      const box = boxOf(connection?.labels?.[0]);
      const texts = labelLines(edge).map((line, index) => ({ ...line, x: box.x + LABEL_SIDE, y: box.y + LINE * index + 12 }));
      return { ...edge, points: pointsOf(connection), label: { ...box, texts } };
    }),
  };
}

/** ELK wants a name; that of the machine itself is empty. */
const idOf = (path: string): string => `state ${path}`;

function graphOf(chart: Chart, node: ChartNode): Graph {
  const inner = chart.nodes.filter((other) => parentOf(other.path) === node.path);
  const lines = nodeLines(chart, node);
  const height = TITLE_HEIGHT + (lines.length - 1) * LINE;
  const width = Math.ceil(Math.max(WIDTH_MIN, ...lines.map(lineWidth))) + 2 * SIDE;
  if (inner.length === 0) return { id: idOf(node.path), width, height: height + (lines.length > 1 ? BELOW : 2) };
  const isMachine = node.path === "";
  return {
    id: idOf(node.path),
    layoutOptions: {
      ...INNER_OPTIONS,
      "elk.padding": isMachine ? "[top=12,left=12,bottom=12,right=12]" : `[top=${height + 6},left=14,bottom=14,right=14]`,
      "elk.nodeSize.constraints": "MINIMUM_SIZE",
      "elk.nodeSize.minimum": `(${width},${height})`,
    },
    children: [
      ...(node.initial === undefined ? [] : [{ id: DOT_ID + node.path, width: DOT, height: DOT }]),
      ...inner.map((child) => graphOf(chart, child)),
    ],
  };
}

function connectionOf(chart: Chart, edge: ChartEdge): Connection {
  const lines = labelLines(edge);
  const [first, ...others] = lines.map(lineWidth) as [number, ...number[]];
  const width = Math.ceil(Math.max(first + ARROW_COUNT_WIDTH, ...others)) + 2 * LABEL_SIDE;
  const label = {
    id: `label ${edge.id}`,
    text: edge.event,
    width,
    height: lines.length * LINE,
    layoutOptions: { "elk.edgeLabels.inline": "true" },
  };
  const order = (path: string | undefined): number => chart.nodes.findIndex((node) => node.path === path);
  // What leads on in the order in which the machine tells its states goes down, and what leads back goes up.
  const layoutOptions = { "elk.layered.priority.direction": order(edge.source) < order(edge.target) ? "10" : "1" };
  return { id: edge.id, sources: [idOf(edge.source)], targets: [idOf(edge.target ?? "")], labels: [label], layoutOptions };
}

/** What stands in a state's box, from the top. */
function nodeLines(chart: Chart, node: ChartNode): Line[] {
  const internal = chart.edges.filter((edge) => edge.source === node.path && edge.target === undefined);
  return [
    { text: node.path === "" ? chart.name : node.key, kind: "title" },
    ...node.entry.map((action): Line => ({ text: `entry / ${action}`, kind: "action" })),
    ...node.exit.map((action): Line => ({ text: `exit / ${action}`, kind: "action" })),
    ...internal.map(
      (edge): Line => ({
        text: labelLines(edge)
          .map(({ text }) => text)
          .join(" "),
        kind: eventKind(edge),
        edge: edge.id,
      }),
    ),
  ];
}

/** What stands at an arrow, from the top. */
function labelLines(edge: ChartEdge): Line[] {
  return [
    { text: edge.event, kind: eventKind(edge) },
    ...(edge.guard === undefined ? [] : [{ text: `[${edge.guard}]`, kind: "guard" } as const]),
    ...edge.actions.map((action): Line => ({ text: `/ ${action}`, kind: "action" })),
  ];
}

const eventKind = (edge: ChartEdge): TextKind => (edge.delay === undefined ? "event" : "delay");

function lineWidth({ text, kind, edge }: Line): number {
  if (kind === "title") return textWidth(text, TITLE_PIXELS, "bold") + TIME_WIDTH;
  return textWidth(text, TEXT_PIXELS) + (edge === undefined ? 0 : COUNT_WIDTH);
}

function lineAt(box: Box, { text, kind }: Line, index: number): LaidOutText {
  return { text, kind, x: box.x + SIDE, y: box.y + 18 + index * LINE };
}

/** Where the line of an internal transition is, with the room for its count. */
function lineInState(chart: Chart, edge: ChartEdge, box: Box): Box & { readonly texts: readonly LaidOutText[] } {
  const lines = nodeLines(chart, chart.nodes.find(({ path }) => path === edge.source) as ChartNode);
  const index = lines.findIndex((line) => line.edge === edge.id);
  const text = lineAt(box, lines[index] as Line, index);
  return { x: box.x + SIDE, y: text.y - 12, width: box.width - 2 * SIDE, height: LINE, texts: [text] };
}

function everyShape(graph: Graph): Graph[] {
  return [graph, ...(graph.children ?? []).flatMap(everyShape)];
}

/** P1 */
function boxOf(shape: { readonly x?: number; readonly y?: number; readonly width?: number; readonly height?: number } | undefined): Box {
  if (shape === undefined) throw new Error("the layout engine left something out");
  const { x = 0, y = 0, width = 0, height = 0 } = shape;
  return { x: Math.round(x), y: Math.round(y), width: Math.round(width), height: Math.round(height) };
}

function pointsOf(connection: Connection | undefined): Point[] {
  const [section] = connection?.sections ?? [];
  if (section === undefined) throw new Error("the layout engine left an arrow out");
  const points = [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
  return points.map(({ x, y }) => ({ x: Math.round(x), y: Math.round(y) }));
}

/** From the middle of the dot. */
function initialPoints(dot: Graph | undefined, connection: Connection | undefined): Point[] {
  const { x, y, width, height } = boxOf(dot);
  return [{ x: x + width / 2, y: y + height / 2 }, ...pointsOf(connection).slice(1)];
}
