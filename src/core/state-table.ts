/**
 * A statechart without context or guards is a table: this state and that event give the next state. What looks is a look into a map, so a
 * thousand actors that start cost what they cost before; the machine stays the one place that says how.
 *
 * A1: the innermost states of such a machine have different names, and the name of one says where the machine is.
 */
import { ok as assert } from "node:assert/strict";
import { type AnyStateMachine, type AnyStateNode, initialTransition, type StateValue, transition } from "xstate";

export interface StateTable<State extends string, Event extends string> {
  readonly initial: State;
  /** Where the event leads; `undefined` when the state does not know it. */
  next(state: State, event: Event): State | undefined;
}

export function stateTable<State extends string, Event extends string>(machine: AnyStateMachine): StateTable<State, Event> {
  const leaves = leavesBelow(machine.root);
  const values = new Map(leaves.map((leaf) => [leaf.key as State, valueAt(leaf.path)]));
  assert(values.size === leaves.length, "two states of one name in a state table");
  const known = new Map<string, State | undefined>();
  const look = (state: State, event: Event): State | undefined => {
    const before = machine.resolveState({ value: values.get(state) as StateValue, context: {} });
    return before.can({ type: event }) ? leafOf<State>(transition(machine, before, { type: event })[0].value) : undefined;
  };
  return {
    initial: leafOf(initialTransition(machine)[0].value),
    next(state, event) {
      // Bounded by what there is of both.
      const key = `${state} ${event}`;
      if (!known.has(key)) known.set(key, look(state, event));
      return known.get(key);
    },
  };
}

function leavesBelow(node: AnyStateNode): AnyStateNode[] {
  const inner = Object.values(node.states);
  assert(node.type !== "parallel", "a state table is in one state at a time");
  return inner.length === 0 ? [node] : inner.flatMap(leavesBelow);
}

function valueAt(path: readonly string[]): StateValue {
  const [key = "", ...rest] = path;
  return rest.length === 0 ? key : { [key]: valueAt(rest) };
}

function leafOf<State extends string>(value: StateValue): State {
  return typeof value === "string" ? (value as State) : leafOf(Object.values(value)[0] as StateValue);
}
