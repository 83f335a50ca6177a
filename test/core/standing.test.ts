/** Where something is in its statechart, and how it came there. */
import { describe, expect, it } from "vitest";
import { createMachine } from "xstate";
import { STATE_CHANGES_KEPT } from "../../src/core/limits.ts";
import { Standing } from "../../src/core/standing.ts";
import { stateTable } from "../../src/core/state-table.ts";

type State = "shut" | "ajar" | "wide" | "gone";
type Event = "door.pushed" | "door.pulled" | "door.broken";

const DOOR = stateTable<State, Event>(
  createMachine({
    id: "door",
    initial: "shut",
    states: {
      shut: { on: { "door.pushed": "open.wide" } },
      open: {
        initial: "ajar",
        on: { "door.broken": "gone", "door.pulled": "shut" },
        states: { ajar: { on: { "door.pushed": "wide" } }, wide: { on: { "door.pulled": "ajar", "door.pushed": "wide" } } },
      },
      gone: { type: "final" },
    },
  }),
);

describe("a state table", () => {
  it("leads where the statechart leads, an inner state's word before an outer one's", () => {
    expect(DOOR.initial).toBe("shut");
    expect(DOOR.next("shut", "door.pushed")).toBe("wide");
    expect(DOOR.next("wide", "door.pulled")).toBe("ajar");
    expect(DOOR.next("ajar", "door.pulled")).toBe("shut");
    expect(DOOR.next("wide", "door.broken")).toBe("gone");
  });

  it("says the same the second time", () => {
    for (const _ of [1, 2]) expect([DOOR.next("wide", "door.pushed"), DOOR.next("shut", "door.broken")]).toEqual(["wide", undefined]);
  });

  it("is not made of a machine whose states cannot be told apart by a word", () => {
    const twice = { initial: "a", states: { a: {} } };
    expect(() => stateTable(createMachine({ id: "m", initial: "x", states: { x: twice, y: twice } }))).toThrow("two states of one name");
    expect(() => stateTable(createMachine({ id: "m", type: "parallel", states: { x: {}, y: {} } }))).toThrow("one state at a time");
  });
});

describe("a standing", () => {
  it("tells the state, since when, and how it was come to", () => {
    const standing = new Standing(DOOR, 5);
    expect(standing.report()).toEqual({ state: "shut", sinceMs: 5, recent: [{ state: "shut", atMs: 5 }] });
    standing.mustStep("door.pushed", 7);
    expect(standing.report()).toEqual({
      state: "wide",
      sinceMs: 7,
      recent: [
        { state: "shut", atMs: 5 },
        { state: "wide", event: "door.pushed", atMs: 7 },
      ],
    });
  });

  it("begins where it is found", () => {
    expect(new Standing(DOOR, 1, "ajar").state).toBe("ajar");
  });

  it("B1: an event that the state does not know changes nothing, and is a programmer's error where it cannot come", () => {
    const standing = new Standing(DOOR, 0);
    const before = standing.report();
    expect(standing.step("door.broken", 1)).toBe(false);
    expect(() => standing.mustStep("door.broken", 1)).toThrow("door.broken in shut");
    expect(standing.report()).toEqual(before);
  });

  it("B2: keeps the newest changes, and events that change nothing push none out", () => {
    const standing = new Standing(DOOR, 0);
    for (let atMs = 1; atMs <= 99; atMs += 1) standing.mustStep(atMs % 3 === 1 ? "door.pushed" : "door.pulled", atMs);
    for (let atMs = 100; atMs < 200; atMs += 1) standing.step("door.broken", atMs);
    const { recent } = standing.report();
    expect(recent).toHaveLength(STATE_CHANGES_KEPT);
    expect(recent.at(-1)).toEqual({ state: "shut", event: "door.pulled", atMs: 99 });
    standing.mustStep("door.pushed", 200);
    for (let atMs = 201; atMs < 300; atMs += 1) expect(standing.step("door.pushed", atMs)).toBe(true);
    expect(standing.report().sinceMs).toBe(200);
  });
});
