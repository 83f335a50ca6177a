/**
 * A machine as plain values: what it may be in and how it gets from one to the other, without anything of the library that runs it.
 *
 * H1: each state and each transition of the machine is in its chart once.
 * H2: a transition has one name that nobody has to look up: the state it leaves and the event.
 */
import type { AnyStateMachine, AnyStateNode, StateValue } from "xstate";

export type NodeKind = "atomic" | "compound" | "parallel" | "final";

export interface ChartNode {
  /** Keys from the top, `chunks.receiving`; the machine itself is the empty path. */
  readonly path: string;
  readonly key: string;
  readonly kind: NodeKind;
  /** The path of the state that is entered with this one; only in a compound one. */
  readonly initial?: string;
  /** Names of actions. */
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  /** After how long it is left by itself, in words. */
  readonly delays: readonly string[];
}

export interface ChartEdge {
  /** `chunks.receiving:chunk.claimed`; with `#2` and so on where a state has several for one event (H2). */
  readonly id: string;
  /** A node's path. */
  readonly source: string;
  /** A node's path; absent when the transition is internal. */
  readonly target?: string;
  /** As it is sent; `after 50 ms`, `always` and `done` for those that nobody sends. */
  readonly event: string;
  readonly guard?: string;
  readonly actions: readonly string[];
  readonly delay?: string;
}

export interface Chart {
  readonly name: string;
  /** The machine itself first, and each state after the one it lies in. */
  readonly nodes: readonly ChartNode[];
  readonly edges: readonly ChartEdge[];
}

export function chartOf(machine: AnyStateMachine): Chart {
  const nodes = nodesBelow(machine.root);
  return { name: machine.id, nodes: nodes.map(nodeOf), edges: nodes.flatMap(edgesOf) };
}

/** The paths of the innermost states in a machine's state value, and the way an edge's ends and marks name them. */
export function pathsOf(value: StateValue, prefix = ""): string[] {
  if (typeof value === "string") return [prefix + value];
  return Object.entries(value).flatMap(([key, inner = {}]) => {
    const paths = pathsOf(inner, `${prefix}${key}.`);
    return paths.length > 0 ? paths : [prefix + key];
  });
}

/** The path of the state that it lies in; none for the machine itself. */
export function parentOf(path: string): string | undefined {
  return path === "" ? undefined : path.split(".").slice(0, -1).join(".");
}

/** Whether the state `inner` is `outer` or lies in it. */
export function isWithin(inner: string, outer: string): boolean {
  return outer === "" || inner === outer || inner.startsWith(`${outer}.`);
}

/**
 * Which transition a step was: of the innermost state that knows the event, the one that leads where the machine is now. `undefined` when no
 * state it was in knows the event, which changes nothing then.
 * @param step paths of innermost states
 */
export function edgeTaken(
  chart: Pick<Chart, "edges">,
  step: { readonly from: string; readonly event: string; readonly to: string },
): ChartEdge | undefined {
  const depth = (path: string): number => (path === "" ? 0 : path.split(".").length);
  return chart.edges
    .filter((edge) => edge.event === step.event && isWithin(step.from, edge.source))
    .filter((edge) => (edge.target === undefined ? step.to === step.from : isWithin(step.to, edge.target)))
    .sort((a, b) => depth(b.source) - depth(a.source))[0];
}

function nodesBelow(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(nodesBelow)];
}

function pathOf(node: AnyStateNode): string {
  return node.path.join(".");
}

function nodeOf(node: AnyStateNode): ChartNode {
  if (node.type === "history") throw new Error(`a chart has no sign for a history state: ${node.id}`);
  const initial = node.type === "compound" ? node.initial.target[0] : undefined;
  return {
    path: pathOf(node),
    key: node.key,
    kind: node.type,
    ...(initial === undefined ? {} : { initial: pathOf(initial) }),
    entry: node.entry.filter(isSaid).map(actionWord),
    exit: node.exit.filter(isSaid).map(actionWord),
    delays: node.after.map(({ delay }) => delayWords(delay)),
  };
}

function edgesOf(node: AnyStateNode): ChartEdge[] {
  const source = pathOf(node);
  const counts = new Map<string, number>();
  return transitionsOf(node).map(({ target, guard, actions, eventType, reenter, ...transition }) => {
    if (target !== undefined && target.length !== 1)
      throw new Error(`a chart has no sign for a transition with several targets: ${node.id}`);
    const delay = "delay" in transition && transition.delay !== undefined ? delayWords(transition.delay) : undefined;
    const event = delay === undefined ? eventWord(eventType) : `after ${delay}`;
    const count = (counts.get(event) ?? 0) + 1;
    counts.set(event, count);
    const [end] = target ?? [];
    // To lead to the very state one is in is to stay in it, unless it says that it is left and entered again.
    const isInternal = end === undefined || (end === node && !reenter && Object.keys(node.states).length === 0);
    return {
      id: `${source}:${event}${count === 1 ? "" : `#${count}`}`,
      source,
      ...(isInternal ? {} : { target: pathOf(end) }),
      event,
      ...(guard === undefined ? {} : { guard: guardWords(guard) }),
      actions: actions.map(actionWord),
      ...(delay === undefined ? {} : { delay }),
    };
  });
}

function transitionsOf(node: AnyStateNode): AnyStateNode["transitions"] extends Map<string, (infer T)[]> ? T[] : never {
  return [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
}

function eventWord(type: string): string {
  if (type === "") return "always";
  return /^xstate\.done\./.test(type) ? "done" : type;
}

/** What starts and cancels a delay is not said: the delay is. */
function isSaid(action: unknown): boolean {
  if (typeof action !== "function" || !("type" in action)) return true;
  const of = "event" in action ? (action.event as { readonly type?: string }).type : "sendId" in action ? action.sendId : undefined;
  return typeof of !== "string" || !of.startsWith("xstate.after.");
}

function actionWord(action: unknown): string {
  return typeof action === "function" ? functionWords(action) : nameOf(action);
}

function delayWords(delay: unknown): string {
  return typeof delay === "number" ? `${delay} ms` : typeof delay === "function" ? functionWords(delay) : String(delay);
}

function guardWords(guard: unknown): string {
  return typeof guard === "function" ? functionWords(guard) : nameOf(guard);
}

/** What stands for a function of a machine: its name; of a guard made of others, what it is made of. */
export function functionWords(made: object & { readonly name: string }): string {
  if ("stateValue" in made) return `in ${pathsOf(made.stateValue as StateValue).join(", ")}`;
  if (!("guards" in made)) return made.name || "function";
  const parts = (made.guards as unknown[]).map(guardWords);
  return made.name === "not" ? `not ${parts[0]}` : parts.join(` ${made.name} `);
}

function nameOf(named: unknown): string {
  return typeof named === "string" ? named : (named as { readonly type: string }).type;
}
