/** The transitions of the upload machine: all that there are, and the one that an event has just made. */
import { type SessionSnapshot, type SessionStep, sessionMachine } from "../../../src/actors/upload/machine.ts";

/** `transition.receiving.cancel.requested.cancelled`; `undefined` for an event that its state does not know or whose guard refused it. */
export function transitionCount({ before, event, after }: SessionStep): string | undefined {
  return before.can(event) ? countName(wordOf(pathOf(before.value)), event.type, wordOf(pathOf(after.value))) : undefined;
}

/** Names of the counts of all transitions, sorted. */
export function allTransitionCounts(): string[] {
  return transitions()
    .map(({ from, event, to }) => countName(from, event, to))
    .sort();
}

/** `receiving verifying`: which word may come right after which. */
export function tellableSteps(): ReadonlySet<string> {
  const told = (word: string): string => (word === "instant" ? "committing" : word);
  return new Set(
    transitions()
      .filter(({ from, to }) => from !== to)
      .map(({ from, to }) => `${told(from)} ${told(to)}`),
  );
}

const countName = (from: string, event: string, to: string): string => `transition.${from}.${event}.${to}`;

interface Transition {
  readonly from: string;
  readonly event: string;
  readonly to: string;
}

type StateNode = typeof sessionMachine.root;

function transitions(): Transition[] {
  return leavesOf(sessionMachine.root).flatMap((leaf) =>
    [...leaf.transitions].flatMap(([event, candidates]) =>
      candidates.map(({ target }) => ({ from: wordOf(leaf.path), event, to: wordOf(leafOf(target?.[0] ?? leaf).path) })),
    ),
  );
}

function leavesOf(node: StateNode): StateNode[] {
  const children = Object.values(node.states) as unknown as StateNode[];
  return children.length === 0 ? [node] : children.flatMap(leavesOf);
}

/** Where one comes to who goes there. */
function leafOf(node: { readonly states: object; readonly initial: { readonly target: readonly unknown[] | undefined } }): StateNode {
  const [first] = node.initial?.target ?? [];
  return first === undefined ? (node as unknown as StateNode) : leafOf(first as StateNode);
}

function pathOf(value: SessionSnapshot["value"]): readonly string[] {
  return typeof value === "string" ? [value] : Object.entries(value).flat();
}

/** The word users see; content that was there is committed in a state of its own. */
function wordOf(path: readonly string[]): string {
  return path[0] === "instant" ? "instant" : (path.at(-1) as string);
}
