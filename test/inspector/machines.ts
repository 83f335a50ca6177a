/** Machines that nobody has thought of: nested, parallel and final states, and transitions of every kind that a chart has a sign for. */
import fc from "fast-check";
import { type AnyStateMachine, createMachine } from "xstate";

/** A state as it is generated: its transitions name their target by a number, counted through the whole machine. */
export interface StatePlan {
  readonly kind: "atomic" | "final" | "compound" | "parallel";
  readonly children: readonly StatePlan[];
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly transitions: readonly TransitionPlan[];
}

export interface TransitionPlan {
  readonly by: "event" | "delay" | "always";
  readonly event: string;
  /** Absent: internal. */
  readonly target?: number | undefined;
  readonly reenter: boolean;
  readonly guard?: string | undefined;
  readonly actions: readonly string[];
}

const actions = fc.array(fc.constantFrom("tell", "count", "forget"), { maxLength: 2 });
const transition: fc.Arbitrary<TransitionPlan> = fc.record({
  by: fc.constantFrom("event", "event", "delay", "always"),
  event: fc.constantFrom("began", "chunk.received", "ended"),
  target: fc.option(fc.nat({ max: 40 }), { nil: undefined }),
  reenter: fc.boolean(),
  guard: fc.option(fc.constantFrom("isFull", "isLate"), { nil: undefined }),
  actions,
});
const own = { entry: actions, exit: actions, transitions: fc.array(transition, { maxLength: 4 }) };
const leaf = fc.record({ kind: fc.constantFrom("atomic", "atomic", "final"), children: fc.constant([]), ...own });

const { state } = fc.letrec<{ state: StatePlan }>((tie) => ({
  state: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.record({ kind: fc.constantFrom("compound", "parallel"), children: fc.array(tie("state"), { minLength: 1, maxLength: 4 }), ...own }),
  ),
}));

export const machinePlan: fc.Arbitrary<StatePlan> = fc.record({
  kind: fc.constant("compound"),
  children: fc.array(state, { minLength: 1, maxLength: 4 }),
  ...own,
});

/** A final state has no transitions, and its plan none that count. */
export function transitionsOf(plan: StatePlan): readonly TransitionPlan[] {
  return plan.kind === "final" ? [] : plan.transitions;
}

/** Each state's path and plan, the machine first. */
export function statesOf(plan: StatePlan, path = ""): { readonly path: string; readonly plan: StatePlan }[] {
  const prefix = path === "" ? "" : `${path}.`;
  return [{ path, plan }, ...plan.children.flatMap((child, index) => statesOf(child, `${prefix}s${index}`))];
}

export function machineOf(plan: StatePlan): AnyStateMachine {
  const states = statesOf(plan);
  const idOf = (path: string): string => (path === "" ? "planned" : `planned.${path}`);
  const targetOf = (index: number): string => `#${idOf((states[1 + (index % (states.length - 1))] as { path: string }).path)}`;
  const planned = ({ target, reenter, guard, actions }: TransitionPlan) => ({
    ...(target === undefined ? {} : { target: targetOf(target), reenter }),
    ...(guard === undefined ? {} : { guard }),
    actions: [...actions],
  });
  const config = (state: StatePlan): Record<string, unknown> => {
    const by = (kind: TransitionPlan["by"]) => transitionsOf(state).filter((one) => one.by === kind);
    return {
      ...(state.kind === "final" || state.kind === "parallel" ? { type: state.kind } : {}),
      ...(state.kind === "compound" ? { initial: "s0" } : {}),
      entry: [...state.entry],
      exit: [...state.exit],
      on: Object.fromEntries(
        Object.entries(Object.groupBy(by("event"), (one) => one.event)).map(([event, all]) => [event, all?.map(planned)]),
      ),
      after: Object.fromEntries(by("delay").length === 0 ? [] : [[50, by("delay").map(planned)]]),
      always: by("always").map(planned),
      ...(state.children.length === 0
        ? {}
        : { states: Object.fromEntries(state.children.map((child, index) => [`s${index}`, config(child)])) }),
    };
  };
  return createMachine({ id: "planned", ...config(plan) });
}
