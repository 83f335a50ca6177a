/**
 * A chart with a place for everything in it, in pixels from the upper left corner. It is made when the charts are generated and kept as
 * JSON, so that whoever paints one loads no layout library.
 */
import type { ChartEdge, ChartNode } from "./chart.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

/** What a line says, which decides how it looks. */
export type TextKind = "title" | "event" | "guard" | "action" | "delay";

/** One line of text that begins at `x` and stands on `y`. */
export interface LaidOutText extends Point {
  readonly text: string;
  readonly kind: TextKind;
}

export interface LaidOutNode extends ChartNode, Box {
  /** Its name, and what it does when it is entered and left. */
  readonly texts: readonly LaidOutText[];
  /** Where the dot of its initial state stands and what the arrow from there goes along; only in what has states. */
  readonly initialPoints: readonly Point[];
}

export interface LaidOutEdge extends ChartEdge {
  /** From the border of one state to another's; none for an internal transition, which is a line of text in its state's box. */
  readonly points: readonly Point[];
  readonly label: Box & { readonly texts: readonly LaidOutText[] };
}

export interface LaidOutChart {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** The machine itself first, and each state after the one it lies in. */
  readonly nodes: readonly LaidOutNode[];
  readonly edges: readonly LaidOutEdge[];
}
