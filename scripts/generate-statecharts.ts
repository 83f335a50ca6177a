/**
 * Draws the machines: `docs/statecharts/*.svg` for people, and `src/inspector/statecharts/*.json`, from which the page and the command line
 * paint what is going on. With `--check` it writes nothing and fails when a file on disk differs.
 *
 * The layout engine is used here only; what runs reads where things are.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import ELK from "elkjs/lib/elk.bundled.js";
import { chartOf } from "../src/inspector/chart.ts";
import type { LaidOutChart } from "../src/inspector/laid-out-chart.ts";
import { type LayoutEngine, layOut } from "../src/inspector/layout.ts";
import { MACHINES } from "../src/inspector/machines.ts";
import { paintedFile } from "../src/inspector/paint.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export interface GeneratedFile {
  /** From the top of the checkout. */
  readonly path: string;
  readonly text: string;
}

export async function generateStatecharts(): Promise<GeneratedFile[]> {
  // Its module is written for `require`, which its types do not say.
  const Engine = ELK as unknown as new () => LayoutEngine;
  const files: GeneratedFile[] = [];
  for (const [name, machine] of Object.entries(MACHINES)) {
    const chart = await layOut(chartOf(machine), new Engine());
    files.push({ path: `docs/statecharts/${name}.svg`, text: paintedFile(chart) });
    files.push({ path: `src/inspector/statecharts/${name}.json`, text: jsonText(chart) });
  }
  return files;
}

/** A line a state and a line a transition, so that a change reads as one. */
function jsonText({ nodes, edges, ...chart }: LaidOutChart): string {
  const lines = (items: readonly unknown[]): string => items.map((item) => JSON.stringify(item)).join(",\n");
  return `${JSON.stringify(chart).slice(0, -1)},\n"nodes":[\n${lines(nodes)}\n],\n"edges":[\n${lines(edges)}\n]}\n`;
}

if (import.meta.main) {
  const checking = process.argv.includes("--check");
  for (const file of await generateStatecharts()) {
    const path = join(ROOT, file.path);
    if (existsSync(path) && readFileSync(path, "utf8") === file.text) continue;
    if (checking) {
      process.stderr.write(`${file.path} differs from the machine: run 'npm run statecharts'\n`);
      process.exitCode = 1;
    } else {
      writeFileSync(path, file.text);
      process.stdout.write(`written: ${file.path}\n`);
    }
  }
}
