/** A running machine as it tells of itself, as plain shapes: whoever draws it in a browser has the bus's schemas not at hand. */

/** One step of a machine, or a run of steps that stayed in a state. A run that goes on is told again with the same `first`. */
export interface InspectedStep {
  readonly first: number;
  readonly last: number;
  readonly fromMs: number;
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly events: readonly { readonly event: string; readonly count: number }[];
  readonly changes: readonly { readonly field: string; readonly before?: unknown; readonly after?: unknown }[];
  readonly isIgnored?: true | undefined;
}

export interface InspectedVisit {
  readonly state: string;
  readonly count: number;
  readonly totalMs: number;
}

export interface InspectedTransition {
  readonly from: string;
  readonly event: string;
  readonly to: string;
  readonly count: number;
}

export interface Inspected {
  readonly state: string;
  readonly sinceMs: number;
  readonly context: Readonly<Record<string, unknown>>;
  readonly openedMs: number;
  readonly endedMs?: number | undefined;
  readonly visits: readonly InspectedVisit[];
  readonly transitions: readonly InspectedTransition[];
  readonly steps: readonly InspectedStep[];
  readonly isCut: boolean;
  readonly effects: readonly { readonly name: string; readonly sinceMs: number }[];
  /** Of chunks, on their way to the disk. */
  readonly bodies: readonly { readonly index: number; readonly sinceMs: number; readonly arrivedBytes: number }[];
}

/** What is told while somebody listens. */
export interface InspectedNews extends Pick<Inspected, "state" | "sinceMs" | "openedMs" | "context" | "steps" | "effects" | "bodies"> {
  readonly atMs: number;
}
