/** Which of two actors one wants to see first: the one that is less well, the gravest sign first. */
export interface Unrest {
  readonly crashes: number;
  readonly deadLetters: number;
  readonly waiting: number;
  readonly deferred: number;
}

const GRAVEST_FIRST = ["crashes", "deadLetters", "waiting", "deferred"] as const;

/** For sorting: what is unwell comes first. */
export function byUnrest(a: Unrest, b: Unrest): number {
  const differing = GRAVEST_FIRST.find((sign) => a[sign] !== b[sign]);
  return differing === undefined ? 0 : b[differing] - a[differing];
}
