/** A machine as plain values. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { and, assign, createMachine, not, setup } from "xstate";
import { sessionMachine } from "../../src/actors/upload/machine.ts";
import { chartOf, edgeTaken, isWithin, pathsOf } from "../../src/inspector/chart.ts";
import { machineOf, machinePlan, statesOf, transitionsOf } from "./machines.ts";

describe("a chart", () => {
  const chart = chartOf(sessionMachine);
  const node = (path: string) => chart.nodes.find((candidate) => candidate.path === path);
  const edge = (id: string) => chart.edges.find((candidate) => candidate.id === id);

  it("names states by the way to them, the machine first and each after the one it lies in", () => {
    expect(chart.name).toBe("upload");
    expect(chart.nodes.map(({ path }) => path)).toEqual([
      "",
      "init",
      "chunks",
      "chunks.receiving",
      "merge",
      "merge.verifying",
      "merge.replicating",
      "merge.committing",
      "instant",
      "instant.committing",
      "merged",
      "cancelled",
      "expired",
      "failed",
    ]);
    expect(node("merge")).toMatchObject({ key: "merge", kind: "compound", initial: "merge.verifying" });
    expect(node("merge.verifying")).toMatchObject({ kind: "atomic", entry: ["startVerifying"], exit: [] });
    expect(node("merged")).toMatchObject({ kind: "final", entry: ["stopWriters", "endMerged"] });
  });

  it("says of a transition what lets it happen, what it does and where it leads", () => {
    expect(edge("chunks.receiving:merge.requested")).toEqual({
      id: "chunks.receiving:merge.requested",
      source: "chunks.receiving",
      target: "merge",
      event: "merge.requested",
      guard: "isComplete",
      actions: ["forgetError"],
    });
    expect(edge("chunks.receiving:chunk.claimed")).not.toHaveProperty("target");
  });

  it("is plain values: it comes back from JSON as it was", () => {
    expect(JSON.parse(JSON.stringify(chart))).toEqual(chart);
  });

  it("tells the transitions of one event in one state apart, and has words for those that nobody sends", () => {
    const machine = setup({ guards: { isFull: () => true, isLate: () => false }, delays: { patience: 10 } }).createMachine({
      id: "words",
      initial: "open",
      states: {
        open: {
          on: {
            "chunk.received": [
              { target: "closed", guard: "isFull" },
              { target: "open", guard: not("isLate"), reenter: true },
              { actions: assign({}) },
            ],
          },
          after: { 50: "closed", patience: { target: "closed", guard: and(["isFull", not("isLate")]) } },
          always: { target: "closed", guard: "isLate" },
        },
        closed: { initial: "empty", states: { empty: { type: "final" } }, onDone: "over" },
        over: {},
      },
    });
    const words = chartOf(machine);
    expect(words.edges.map(({ id, guard, target, delay }) => [id, target, guard, delay])).toEqual([
      ["open:chunk.received", "closed", "isFull", undefined],
      ["open:chunk.received#2", "open", "not isLate", undefined],
      ["open:chunk.received#3", undefined, undefined, undefined],
      ["open:after 50 ms", "closed", undefined, "50 ms"],
      ["open:after patience", "closed", "isFull and not isLate", "patience"],
      ["open:always", "closed", "isLate", undefined],
      ["closed:done", "over", undefined, undefined],
    ]);
    // What starts and cancels the delays is not said a second time.
    expect(words.nodes.find(({ path }) => path === "open")).toMatchObject({ entry: [], exit: [], delays: ["50 ms", "patience"] });
  });

  it("to lead to where one is, without leaving it, is to stay", () => {
    const machine = createMachine({
      id: "stay",
      initial: "a",
      states: { a: { on: { stay: "a", again: { target: "a", reenter: true } } } },
    });
    expect(chartOf(machine).edges.map(({ id, target }) => [id, target])).toEqual([
      ["a:stay", undefined],
      ["a:again", "a"],
    ]);
  });

  it("refuses what there is no sign for", () => {
    const machine = createMachine({ id: "past", initial: "a", states: { a: {}, b: { type: "history" } } });
    expect(() => chartOf(machine)).toThrow("no sign for a history state: past.b");
  });

  it("H1: has each state and each transition of any machine once", () => {
    fc.assert(
      fc.property(machinePlan, (plan) => {
        const made = chartOf(machineOf(plan));
        const states = statesOf(plan);
        expect(made.nodes.map(({ path, kind, entry, exit }) => ({ path, kind, entry, exit }))).toEqual(
          states.map(({ path, plan: { kind, entry, exit } }) => ({ path, kind, entry, exit })),
        );
        expect(new Set(made.edges.map(({ id }) => id)).size).toBe(made.edges.length);
        const sorted = (all: readonly string[]) => [...all].sort();
        const word = { delay: "after 50 ms", always: "always" };
        for (const { path, plan: state } of states) {
          const found = made.edges.filter(({ source }) => source === path);
          expect(sorted(found.map(({ event, guard, actions }) => JSON.stringify([event, guard, actions])))).toEqual(
            sorted(
              transitionsOf(state).map(({ by, event, guard, actions }) =>
                JSON.stringify([by === "event" ? event : word[by], guard, actions]),
              ),
            ),
          );
          // Every end of an arrow is a state there is.
          for (const { target } of found) if (target !== undefined) expect(states.some((other) => other.path === target)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("a step", () => {
  const chart = chartOf(sessionMachine);

  it("is found among the transitions, also where it leads into a compound state", () => {
    expect(edgeTaken(chart, { from: "chunks.receiving", event: "merge.requested", to: "merge.verifying" })?.target).toBe("merge");
    expect(edgeTaken(chart, { from: "chunks.receiving", event: "chunk.claimed", to: "chunks.receiving" })?.target).toBeUndefined();
  });

  it("that changed nothing is none", () => {
    expect(edgeTaken(chart, { from: "init", event: "chunk.claimed", to: "init" })).toBeUndefined();
    expect(edgeTaken(chart, { from: "chunks.receiving", event: "merge.requested", to: "chunks.receiving" })).toBeUndefined();
  });

  it("is the innermost state's before an outer one's", () => {
    const machine = createMachine({
      id: "two",
      initial: "a",
      states: { a: { initial: "b", on: { go: "c" }, states: { b: { on: { go: "#two.c" } }, d: {} } }, c: {} },
    });
    expect(edgeTaken(chartOf(machine), { from: "a.b", event: "go", to: "c" })?.source).toBe("a.b");
    expect(edgeTaken(chartOf(machine), { from: "a.d", event: "go", to: "c" })?.source).toBe("a");
  });
});

describe("paths", () => {
  it("name the innermost states of a state value", () => {
    expect(pathsOf("init")).toEqual(["init"]);
    expect(pathsOf({ merge: "verifying" })).toEqual(["merge.verifying"]);
    expect(pathsOf({ a: { left: "on", right: { deep: "er" } }, b: {} })).toEqual(["a.left.on", "a.right.deep.er", "b"]);
  });

  it("lie in each other by whole words", () => {
    expect(isWithin("merge.verifying", "merge")).toBe(true);
    expect(isWithin("merge", "merge")).toBe(true);
    expect(isWithin("merged", "merge")).toBe(false);
    expect(isWithin("merged", "")).toBe(true);
  });
});
