/** What is lit, counted and written into a chart besides what the machine says. All of it may be absent. */
export interface Marks {
  /** Paths of the states the machine is in; what they lie in is lit with them. */
  readonly live?: readonly string[];
  /** Paths of states it has been in. */
  readonly visited?: readonly string[];
  /** By path: how long it was there, as it shall be read: `1.2 s`. */
  readonly times?: Readonly<Record<string, string>>;
  /** By an edge's id: how often it was taken. */
  readonly counts?: Readonly<Record<string, number>>;
  /** The id of the edge that was taken last. */
  readonly last?: string;
}
