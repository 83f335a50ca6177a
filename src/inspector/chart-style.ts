/**
 * How a chart looks, as rules on classes: a page takes them as a style sheet, a file that stands alone has them in it. Light, or dark where
 * the device says so. Colours are written out in each rule, for not every program that shows SVG knows variables.
 */
interface Palette {
  readonly ground: string;
  readonly surface: string;
  readonly line: string;
  readonly ink: string;
  readonly soft: string;
  readonly accent: string;
  readonly accentInk: string;
  readonly accentSoft: string;
}

const LIGHT: Palette = {
  ground: "#f6f6f3",
  surface: "#ffffff",
  line: "#8d8f87",
  ink: "#1c1d1a",
  soft: "#5d5f58",
  accent: "#226660",
  accentInk: "#ffffff",
  accentSoft: "#dcecea",
};

const DARK: Palette = {
  ground: "#131413",
  surface: "#1f2221",
  line: "#757b77",
  ink: "#ecedea",
  soft: "#a5aaa5",
  accent: "#7cc7bd",
  accentInk: "#0d1f1d",
  accentSoft: "#1d3734",
};

const SHAPES = `.chart { font-family: Arial, Helvetica, "Liberation Sans", sans-serif; font-size: 12px; }
.chart .title { font-size: 13px; font-weight: 600; }
.chart .guard { font-style: italic; }
.chart .time, .chart .count text { font-size: 11px; font-variant-numeric: tabular-nums; }
.chart .count text { font-weight: 600; text-anchor: middle; }
.chart .time { text-anchor: end; }
.chart .edge path, .chart .initial path { fill: none; stroke-width: 1.25; }
.chart .box { stroke-width: 1.25; }
.chart .live > .box { stroke-width: 2.5; }
.chart .last path { stroke-width: 2.5; }
`;

function colours(palette: Palette): string {
  return `.chart .ground, .chart .behind { fill: ${palette.ground}; }
.chart .compound > .box { fill: ${palette.ground}; stroke: ${palette.line}; }
.chart .atomic > .box, .chart .final > .box { fill: ${palette.surface}; stroke: ${palette.line}; }
.chart .inner { fill: none; stroke: ${palette.line}; }
.chart text { fill: ${palette.ink}; }
.chart .guard, .chart .action, .chart .delay, .chart .time { fill: ${palette.soft}; }
.chart .edge path, .chart .initial path { stroke: ${palette.line}; }
.chart .head, .chart .dot { fill: ${palette.line}; }
.chart .visited > .box, .chart .visited > .inner { stroke: ${palette.accent}; }
.chart .live > .box, .chart .live > .inner { stroke: ${palette.accent}; }
.chart .live.atomic > .box, .chart .live.final > .box { fill: ${palette.accentSoft}; }
.chart .taken path { stroke: ${palette.accent}; }
.chart .taken .head { fill: ${palette.accent}; }
.chart .last .event, .chart .last .delay { fill: ${palette.accent}; }
.chart .count rect { fill: ${palette.accent}; }
.chart .count text { fill: ${palette.accentInk}; }
.chart .machine > .box { stroke: none; }
`;
}

export const CHART_STYLE = `${SHAPES}${colours(LIGHT)}@media (prefers-color-scheme: dark) {
${colours(DARK)}}
`;
