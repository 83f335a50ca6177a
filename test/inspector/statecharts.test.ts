/** The charts that are kept: what the machines say, laid out so that they can be read. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generateStatecharts } from "../../scripts/generate-statecharts.ts";
import { parentOf } from "../../src/inspector/chart.ts";
import type { Box, LaidOutChart, LaidOutNode } from "../../src/inspector/laid-out-chart.ts";
import { STATECHART_NAMES, STATECHARTS } from "../../src/inspector/statecharts.ts";

const overlap = (a: Box, b: Box): boolean => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const holds = (outer: Box, inner: Box): boolean =>
  outer.x <= inner.x &&
  outer.y <= inner.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;
const node = (chart: LaidOutChart, path: string): LaidOutNode => chart.nodes.find((candidate) => candidate.path === path) as LaidOutNode;

describe("the statecharts", () => {
  it("are what the machines say, byte for byte, each time they are made", async () => {
    for (const { path, text } of [...(await generateStatecharts()), ...(await generateStatecharts())]) {
      expect(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"), `${path}: run 'npm run statecharts'`).toBe(text);
    }
  });

  describe.each(STATECHART_NAMES)("%s", (name) => {
    const chart = STATECHARTS[name];

    it("fits a page", () => {
      expect(chart.width).toBeLessThanOrEqual(1400);
      expect(chart.height).toBeLessThanOrEqual(1400);
    });

    it("has every state inside the one it lies in, and apart from its siblings", () => {
      for (const one of chart.nodes) {
        const outer = parentOf(one.path);
        if (outer !== undefined) expect(holds(node(chart, outer), one), one.path).toBe(true);
        for (const other of chart.nodes) {
          if (other !== one && parentOf(other.path) === outer) expect(overlap(one, other), `${one.path}, ${other.path}`).toBe(false);
        }
      }
    });

    it("has no label over another one or over a state that its arrow does not leave or reach", () => {
      const labels = chart.edges.filter(({ points }) => points.length > 0);
      const leaves = chart.nodes.filter(({ path }) => !chart.nodes.some((other) => parentOf(other.path) === path));
      for (const [index, { id, label }] of labels.entries()) {
        for (const other of labels.slice(index + 1)) expect(overlap(label, other.label), `${id}, ${other.id}`).toBe(false);
        for (const leaf of leaves) expect(overlap(label, leaf), `${id}, ${leaf.path}`).toBe(false);
      }
    });

    it("lets every arrow begin and end at the border of its states", () => {
      for (const { id, source, target, points } of chart.edges) {
        if (target === undefined) continue;
        const ends = [
          [points[0], node(chart, source)],
          [points.at(-1), node(chart, target)],
        ] as const;
        for (const [point, box] of ends) {
          if (point === undefined) throw new Error(`${id} has no arrow`);
          const gaps = [point.x - box.x, box.x + box.width - point.x, point.y - box.y, box.y + box.height - point.y];
          expect(Math.min(...gaps.map(Math.abs)), id).toBeLessThanOrEqual(1);
          expect(Math.min(...gaps), id).toBeGreaterThanOrEqual(-1);
        }
      }
    });

    it("has room for each text in the box it stands in", () => {
      for (const { path, x, width, texts } of chart.nodes) {
        for (const text of texts) expect(text.x, path).toBeGreaterThan(x);
        expect(width, path).toBeGreaterThan(0);
      }
      for (const { label } of chart.edges) expect(label.texts.length).toBeGreaterThan(0);
    });
  });
});
