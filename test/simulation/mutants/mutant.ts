/** A planted bug: what of the sources is replaced, and what it breaks. */
import type { Plan } from "../plan.ts";

export interface Mutant {
  /** `chunk-acknowledged-before-sync` */
  readonly name: string;
  /** What the changed program does wrong, in a sentence. */
  readonly wrong: string;
  readonly changes: readonly SourceChange[];
  /** It is caught within so many seeds from the first. */
  readonly seedsMax: number;
  /** Worlds made for it, where the usual ones bring its moment too seldom. */
  readonly drawPlan?: (seed: number) => Plan;
}

export interface SourceChange {
  /** In the checkout. */
  readonly file: string;
  /** Stands in it once. */
  readonly find: string;
  readonly replace: string;
}

/** @throws {Error} a sentence, when the sources are not those the change was made for */
export function changed(source: string, { file, find, replace }: SourceChange): string {
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`${file} has ${places} places that are to be replaced, and not one: ${find}`);
  return source.replace(find, () => replace);
}
