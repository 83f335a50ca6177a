/** Plans in files: one that once failed is kept with what it showed, and replayed by the tests. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Plan } from "./plan.ts";

const values = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
const count = z.int().min(1);

const planShape = z.strictObject({
  format: z.literal(1),
  seed: z.int(),
  minutes: z.number().positive(),
  nodes: z.strictObject({ trackers: count, allocators: count, catalogs: count, storages: count, gateways: count, clients: count }),
  operations: z.array(z.strictObject({ client: z.string(), atMs: z.number(), kind: z.string(), with: values })),
  faults: z.array(z.strictObject({ kind: z.string(), atMs: z.number(), forMs: z.number(), with: values })),
});

const regressionShape = z.strictObject({
  /** In a sentence. */
  showed: z.string(),
  /** The rule that its run broke, when it was written. */
  rule: z.string(),
  plan: planShape,
});

export interface Regression {
  readonly showed: string;
  readonly rule: string;
  readonly plan: Plan;
}

/** A plan alone has shown nothing yet. @throws {Error} a sentence that names the file and what is wrong in it */
export function readPlanFile(path: string): { readonly plan: Plan } & Partial<Regression> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Error(`${path} cannot be read as a plan: ${(error as Error).message}`);
  }
  const isPlan = typeof json === "object" && json !== null && "format" in json;
  const checked = isPlan ? planShape.safeParse(json) : regressionShape.safeParse(json);
  if (!checked.success) {
    const wrong = checked.error.issues.slice(0, 3).map(({ path: place, message }) => `${place.join(".") || "the whole"}: ${message}`);
    throw new Error(`${path} is no plan: ${wrong.join("; ")}`);
  }
  return "plan" in checked.data ? checked.data : { plan: checked.data };
}

/** @returns the path of the file */
export function writeRegression(folder: string, regression: Regression): string {
  const path = join(folder, `${regression.rule}-${regression.plan.seed}.json`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `${formatted(regression, 0, 0)}\n`);
  return path;
}

const LINE_WIDTH = 140;

/**
 * As the formatter of this repository writes JSON: what fits stands in one line.
 * @param indent in front of the line @param before how much of the line is taken when the value begins; a comma may follow
 */
function formatted(value: unknown, indent: number, before: number): string {
  const flat = flatJson(value);
  if (typeof value !== "object" || value === null || before + flat.length < LINE_WIDTH) return flat;
  const inner = indent + 2;
  const lines = Array.isArray(value)
    ? value.map((entry) => formatted(entry, inner, inner))
    : Object.entries(value).map(([key, entry]) => {
        const name = `${JSON.stringify(key)}: `;
        return name + formatted(entry, inner, inner + name.length);
      });
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const space = " ".repeat(inner);
  return `${open}\n${space}${lines.join(`,\n${space}`)}\n${" ".repeat(indent)}${close}`;
}

function flatJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flatJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, entry]) => `${JSON.stringify(key)}: ${flatJson(entry)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}
