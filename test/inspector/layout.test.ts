/** Places for whatever machine there may be. */
import ELK from "elkjs/lib/elk.bundled.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chartOf, parentOf } from "../../src/inspector/chart.ts";
import { type LayoutEngine, layOut } from "../../src/inspector/layout.ts";
import { paintedFile } from "../../src/inspector/paint.ts";
import { textWidth } from "../../src/inspector/text-width.ts";
import { machineOf, machinePlan, statesOf } from "./machines.ts";

const Engine = ELK as unknown as new () => LayoutEngine;

/** The engine takes seconds for fifty states. */
const smallPlan = machinePlan.filter((plan) => statesOf(plan).length <= 10);

describe("a layout", () => {
  it("gives every state a place inside the one it lies in and every transition one, and moves nothing but what it places", async () => {
    await fc.assert(
      fc.asyncProperty(smallPlan, async (plan) => {
        const chart = chartOf(machineOf(plan));
        const laidOut = await layOut(chart, new Engine());
        expect(laidOut.nodes.map(({ path, kind, entry }) => ({ path, kind, entry }))).toEqual(
          chart.nodes.map(({ path, kind, entry }) => ({ path, kind, entry })),
        );
        expect(laidOut.edges.map(({ id, source, target }) => [id, source, target])).toEqual(
          chart.edges.map(({ id, source, target }) => [id, source, target]),
        );
        for (const { path, x, y, width, height } of laidOut.nodes) {
          const outer = laidOut.nodes.find((other) => other.path === parentOf(path)) ?? { x: 0, y: 0, ...laidOut };
          expect([outer.x <= x, outer.y <= y, x + width <= outer.x + outer.width, y + height <= outer.y + outer.height]).not.toContain(
            false,
          );
        }
        for (const { target, points, label } of laidOut.edges) {
          expect(points.length >= 2).toBe(target !== undefined);
          expect(label.texts.length).toBeGreaterThan(0);
        }
        expect(paintedFile(laidOut)).not.toMatch(/NaN|undefined|Infinity/);
      }),
      { numRuns: 15 },
    );
  });

  it("leaves a text the room it needs in the widest of the fonts", () => {
    // As measured in DejaVu Sans at 12 pixels.
    expect(textWidth("chunk.received / countReceived", 12)).toBeGreaterThanOrEqual(180);
    expect(textWidth("[isNotCommitting]", 12)).toBeGreaterThanOrEqual(103);
    expect(textWidth("mmmm", 12)).toBeGreaterThan(textWidth("iiii", 12) * 2);
  });
});
