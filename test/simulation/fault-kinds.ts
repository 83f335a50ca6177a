/** Every kind of fault the world knows, and whether a fault that somebody wrote down could be one of them. */
import { BUS_FAULTS } from "./bus/faults.ts";
import { CACHE_FAULTS } from "./cache/faults.ts";
import { DATABASE_FAULTS } from "./database/faults.ts";
import { DISK_FAULTS } from "./disk/faults.ts";
import type { Fault, FaultKind, FaultValue } from "./fault.ts";
import { NETWORK_FAULTS } from "./network/faults.ts";
import { NODES_USUAL, type Nodes, topologyOf } from "./plan.ts";
import { PROCESS_FAULTS } from "./processes/faults.ts";
import { RandomStreams } from "./random-streams.ts";

export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...BUS_FAULTS,
  ...DISK_FAULTS,
  ...DATABASE_FAULTS,
  ...CACHE_FAULTS,
  ...NETWORK_FAULTS,
];

/** @throws {RangeError} for a kind that a plan names and nobody knows any more */
export function faultKind(name: string): FaultKind {
  const found = FAULT_KINDS.find(({ kind }) => kind === name);
  if (found === undefined) throw new RangeError(`There is no fault of the kind ${JSON.stringify(name)}.`);
  return found;
}

type With = Fault["with"];
type Names = ReadonlySet<string>;

/** So many that whatever a kind can draw is among them. */
const DRAWS = 1_000;
const NAMED = /^([a-z]+)\d+$/;
const namesOf = (nodes: Nodes): Names => new Set(Object.values(topologyOf(nodes)).flat());
const NAMES_USUAL = namesOf(NODES_USUAL);
const drawnByKind = new Map<string, readonly With[]>();

/**
 * What is wrong with whom a fault hits and how hard, measured by what its kind draws itself: the same keys, words it knows, processes of the
 * same roles, numbers of the same sort. How large a number may be only a fraction says.
 */
export function wrongWith({ kind, with: given }: Fault, nodes: Nodes): string | undefined {
  const drawn = drawnBy(kind);
  const unknown = Object.keys(given).find((key) => drawn.every((one) => !Object.hasOwn(one, key)));
  if (unknown !== undefined) return `${kind} knows nothing of ${JSON.stringify(unknown)}`;
  const lacking = Object.keys(drawn[0] as With).find((key) => !Object.hasOwn(given, key) && drawn.every((one) => Object.hasOwn(one, key)));
  if (lacking !== undefined) return `${kind} needs ${JSON.stringify(lacking)}`;
  const names = namesOf(nodes);
  for (const [key, value] of Object.entries(given)) {
    const values = drawn.flatMap((one) => one[key] ?? []);
    const wrong = wrongNumber(value, values) ?? wrongWord(value, values, names);
    if (wrong !== undefined) return `${JSON.stringify(key)} of ${kind} is ${JSON.stringify(value)}, ${wrong}`;
  }
  const words = Object.entries(given).filter(([, value]) => typeof value === "string");
  if (drawn.some((one) => words.every(([key, word]) => fits(word, one[key], names)))) return undefined;
  return `${kind} is never between ${words.map(([, word]) => word).join(" and ")}`;
}

function drawnBy(kind: string): readonly With[] {
  const known = drawnByKind.get(kind);
  if (known !== undefined) return known;
  const { draw } = faultKind(kind);
  const random = new RandomStreams(0).stream("fault kinds", kind);
  const drawn = Array.from({ length: DRAWS }, () => draw(random, topologyOf(NODES_USUAL)).with);
  drawnByKind.set(kind, drawn);
  return drawn;
}

function wrongNumber(value: FaultValue, drawn: readonly FaultValue[]): string | undefined {
  if (typeof value !== typeof drawn[0]) return `which is no ${typeof drawn[0]}`;
  if (typeof value !== "number") return undefined;
  const numbers = drawn.map(Number);
  const isWhole = numbers.every(Number.isInteger);
  if (!isWhole && numbers.every((one) => one <= 1)) return value >= 0 && value <= 1 ? undefined : "which is not from 0 to 1";
  if (isWhole && !Number.isInteger(value)) return "which is no whole number";
  return value < 0 && numbers.every((one) => one >= 0) ? "which is below 0" : undefined;
}

function wrongWord(value: FaultValue, drawn: readonly FaultValue[], names: Names): string | undefined {
  if (typeof value !== "string" || drawn.some((one) => fits(value, one, names))) return undefined;
  const roles = [...new Set(drawn.flatMap((one) => roleOf(one) ?? []))];
  if (roles.length > 0) return `which is no ${roles.sort().join(" or ")} of this plan that it could hit`;
  return `which is none of ${[...new Set(drawn)].sort().join(", ")}`;
}

/** The same word; or a process of the same role, which is there from the beginning if the one that was drawn is. */
function fits(word: FaultValue, drawn: FaultValue | undefined, names: Names): boolean {
  const role = roleOf(drawn);
  if (role === undefined) return word === drawn;
  return roleOf(word) === role && names.has(String(word)) === NAMES_USUAL.has(String(drawn));
}

function roleOf(word: FaultValue | undefined): string | undefined {
  return NAMED.exec(String(word))?.[1];
}
