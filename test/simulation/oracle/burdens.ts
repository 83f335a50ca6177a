/**
 * What processes carry: everything of it has a bound, and while nothing is asked of them it is no more than a new process carries.
 *
 * B1: a process that has done much and is idle carries what it carries right after its next start, but for little.
 * B2: descriptors that stay open are those of blobs that may be read again.
 */
import type { Breach } from "./breach.ts";

export interface Burden {
  /** `subscriptions`, `timers`: see {@link SPARE}. */
  readonly kind: keyof typeof SPARE;
  readonly count: number;
}

export type Burdens = ReadonlyMap<string, readonly Burden[]>;

/** How much more of each an idle process may carry: it remembers a little of what it did. */
const SPARE = {
  subscriptions: 0,
  "open requests": 0,
  "waiting messages": 0,
  timers: 8,
  "exchanges asked": 0,
  "exchanges answered": 0,
} as const;

/**
 * The least that was ever seen of an idle process, against the most of a new one.
 * @param fresh the same processes after a restart
 */
export function burdenBreaches(idle: readonly Burdens[], fresh: readonly Burdens[]): Breach[] {
  const names = [...(idle[0]?.keys() ?? [])];
  const kinds = Object.keys(SPARE) as (keyof typeof SPARE)[];
  const counts = (looks: readonly Burdens[], name: string, kind: string): number[] =>
    looks.map((look) => look.get(name)?.find((burden) => burden.kind === kind)?.count ?? 0);
  return names.flatMap((name) =>
    kinds.flatMap((kind) => {
      const count = Math.min(...counts(idle, name, kind));
      const usual = Math.max(...counts(fresh, name, kind));
      return count <= usual + SPARE[kind]
        ? []
        : [{ rule: "burden-stays", sentence: `${name} has ${count} ${kind} and nothing to do; a new process has ${usual}` }];
    }),
  );
}

/** B2. @param openBlobCount of blobs that the node keeps open, each with two files */
export function openFileBreaches(nodeId: string, openFileCount: number, openBlobCount: number): Breach[] {
  return openFileCount <= 2 * openBlobCount
    ? []
    : [{ rule: "files-stay-open", sentence: `${nodeId} has ${openFileCount} open files, and keeps ${openBlobCount} blobs open` }];
}
