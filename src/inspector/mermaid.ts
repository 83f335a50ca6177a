/**
 * A chart as text for Mermaid, which many places that show Markdown draw.
 *
 * R1: what a name or a label holds cannot end its line or be taken for something else; names are made, and labels cleaned.
 * R2: an arrow stands in the innermost state that both its ends lie in; drawn elsewhere, it would take its ends along.
 */
import { type Chart, type ChartEdge, type ChartNode, isWithin, parentOf } from "./chart.ts";

/** @param live paths of the states that are current; they have the class `live` */
export function mermaidText(chart: Chart, live: readonly string[] = []): string {
  const [machine] = chart.nodes;
  if (machine === undefined) throw new Error("a chart begins with its machine");
  // R1: numbered, for two paths may give one word.
  const names = new Map(chart.nodes.map(({ path }, index) => [path, `${path.replace(/[^A-Za-z0-9]/g, "_")}_${index}`]));
  // What is left from everywhere has to be left from somewhere.
  const everywhere = chart.edges.some((edge) => edge.source === "") ? [`  state "${cleaned(chart.name)}" as ${names.get("")}`] : [];
  const current = live.flatMap((path) => names.get(path) ?? []);
  const marked = current.length === 0 ? [] : [`  classDef live ${LIVE_STYLE}`, `  class ${current.join(",")} live`];
  return ["stateDiagram-v2", ...everywhere, ...linesIn({ chart, names }, machine, "  "), ...marked, ""].join("\n");
}

const LIVE_STYLE = "fill:#226660,color:#ffffff,stroke:#226660,stroke-width:2px";

interface Drawing {
  readonly chart: Chart;
  readonly names: ReadonlyMap<string, string>;
}

/** What stands between a state's brackets, or in the whole diagram. */
function linesIn(drawing: Drawing, node: ChartNode, indent: string): string[] {
  const { chart, names } = drawing;
  const states = chart.nodes.filter(({ path }) => parentOf(path) === node.path).map((child) => stateLines(drawing, child, indent));
  const separator = node.kind === "parallel" ? [`${indent}--`] : [];
  return [
    ...(node.initial === undefined ? [] : [`${indent}[*] --> ${names.get(node.initial)}`]),
    ...states.flatMap((lines, index) => (index === 0 ? lines : [...separator, ...lines])),
    ...chart.edges
      .filter((edge) => edge.target !== undefined && placeOf(edge.source, edge.target) === node.path)
      .map((edge) => `${indent}${names.get(edge.source)} --> ${names.get(edge.target ?? "")} : ${edgeLabel(edge)}`),
  ];
}

function stateLines(drawing: Drawing, node: ChartNode, indent: string): string[] {
  const name = drawing.names.get(node.path);
  const declaration = `${indent}state "${cleaned(node.key)}" as ${name}`;
  const inside = linesIn(drawing, node, `${indent}  `);
  // There, only a state that holds no others has lines of its own.
  if (inside.length > 0) return [`${declaration} {`, ...inside, `${indent}}`];
  const internal = drawing.chart.edges.filter((edge) => edge.source === node.path && edge.target === undefined);
  const lines = [
    ...node.entry.map((action) => `entry / ${action}`),
    ...node.exit.map((action) => `exit / ${action}`),
    ...internal.map(edgeLabel),
  ];
  const end = node.kind === "final" ? [`${indent}${name} --> [*]`] : [];
  return [declaration, ...lines.map((line) => `${indent}${name} : ${cleaned(line)}`), ...end];
}

/** R2 */
function placeOf(source: string, target: string): string {
  let place = parentOf(source) ?? "";
  while (place !== "" && (!isWithin(target, place) || place === target)) place = parentOf(place) ?? "";
  return place;
}

function edgeLabel({ event, guard, actions }: ChartEdge): string {
  const parts = [event, ...(guard === undefined ? [] : [`[${guard}]`]), ...(actions.length === 0 ? [] : [`/ ${actions.join(", ")}`])];
  return cleaned(parts.join(" "));
}

/** R1 */
function cleaned(text: string): string {
  return text.replace(/[\r\n"]/g, " ").replace(/[:;#]/g, "_");
}
