/** A chart as text for others: Mermaid, and the tools of the library. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMachine } from "xstate";
import { chartOf } from "../../src/inspector/chart.ts";
import { machineJson } from "../../src/inspector/machine-json.ts";
import { MACHINES } from "../../src/inspector/machines.ts";
import { mermaidText } from "../../src/inspector/mermaid.ts";
import { machineOf, machinePlan } from "./machines.ts";

describe("Mermaid text", () => {
  it("draws states in states, guards, actions, the first state and the last", () => {
    const machine = createMachine({
      id: "door",
      initial: "open",
      states: {
        open: { on: { push: { target: "shut.unlocked", guard: "isLight", actions: ["swing", "squeak"] } } },
        shut: {
          initial: "unlocked",
          states: { unlocked: { entry: "click", on: { turn: "locked", knock: { actions: "answer" } } }, locked: {} },
          on: { break: "gone" },
        },
        gone: { type: "final" },
      },
    });
    expect(mermaidText(chartOf(machine))).toBe(`stateDiagram-v2
  [*] --> open_1
  state "open" as open_1
  state "shut" as shut_2 {
    [*] --> shut_unlocked_3
    state "unlocked" as shut_unlocked_3
    shut_unlocked_3 : entry / click
    shut_unlocked_3 : knock / answer
    state "locked" as shut_locked_4
    shut_unlocked_3 --> shut_locked_4 : turn
  }
  state "gone" as gone_5
  gone_5 --> [*]
  open_1 --> shut_unlocked_3 : push [isLight] / swing, squeak
  shut_2 --> gone_5 : break
`);
  });

  it("marks the states that are current by a class, and none where none is", () => {
    const chart = chartOf(MACHINES.upload);
    expect(mermaidText(chart, ["chunks.receiving"])).toMatch(/\n {2}classDef live .+\n {2}class chunks_receiving_\d+ live\n$/);
    expect(mermaidText(chart, ["of another version"])).toBe(mermaidText(chart));
  });

  it("has each state and each arrow once, whatever the machine", () => {
    fc.assert(
      fc.property(machinePlan, (plan) => {
        const chart = chartOf(machineOf(plan));
        const lines = mermaidText(chart).split("\n");
        const everywhere = chart.edges.some(({ source }) => source === "") ? 1 : 0;
        expect(lines.filter((line) => /^ +state "/.test(line))).toHaveLength(chart.nodes.length - 1 + everywhere);
        const arrows = lines.filter((line) => / --> (?!\[\*\])/.test(line) && !line.includes("[*]"));
        expect(arrows).toHaveLength(chart.edges.filter(({ target }) => target !== undefined).length);
        for (const arrow of arrows) expect(arrow).toMatch(/^ +\w+ --> \w+ : [^:;#"]+$/);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the machine as JSON", () => {
  it.each(Object.entries(MACHINES))("%s: makes the same machine again", (_, machine) => {
    const again = createMachine(JSON.parse(machineJson(machine)));
    expect(chartOf(again)).toEqual(chartOf(machine));
  });

  it("has names where the machine has functions", () => {
    const machine = createMachine({ id: "a", initial: "b", states: { b: { entry: function ring() {} } } });
    expect(JSON.parse(machineJson(machine))).toEqual({ id: "a", initial: "b", states: { b: { entry: "ring" } } });
  });
});
