/** Plans in files: one that once failed is kept with what it showed, and replayed by the tests. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { type Plan, topologyOf } from "./plan.ts";
import { Refusal } from "./refusal.ts";
import { OPERATION_KINDS } from "./workload/operations.ts";

const values = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
const count = z.int().min(1).max(100);
const timeMs = z.number().min(0);

const planShape = z.strictObject({
  format: z.literal(1),
  seed: z.int(),
  minutes: z.number().positive().max(1_000),
  nodes: z.strictObject({ trackers: count, allocators: count, catalogs: count, storages: count, gateways: count, clients: count }),
  operations: z.array(z.strictObject({ id: z.int().min(0), client: z.string(), atMs: timeMs, kind: z.string(), with: values })),
  faults: z.array(z.strictObject({ kind: z.string(), atMs: timeMs, forMs: timeMs, with: values })),
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

/** A plan alone has shown nothing yet. @throws {Refusal} a sentence that names the file and what is wrong in it */
export function readPlanFile(path: string): { readonly plan: Plan } & Partial<Regression> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Refusal(`${path} cannot be read as a plan: ${(error as Error).message}`);
  }
  const has = (key: string): boolean => typeof json === "object" && json !== null && key in json;
  const isPlan = has("format");
  if (!isPlan && !has("plan")) throw new Refusal(`${path} is no plan: it has neither "format", as a plan, nor "plan", as a regression`);
  const checked = isPlan ? planShape.safeParse(json) : regressionShape.safeParse(json);
  if (!checked.success) {
    const wrong = checked.error.issues.slice(0, 3).map(({ path: place, message }) => `${place.join(".") || "the whole"}: ${message}`);
    throw new Refusal(`${path} is no plan: ${wrong.join("; ")}`);
  }
  const read = "plan" in checked.data ? checked.data : { plan: checked.data };
  const ids = read.plan.operations.map(({ id }) => id);
  if (new Set(ids).size < ids.length) throw new Refusal(`${path} is no plan: two of its operations have one id`);
  const unknown = unknownIn(read.plan);
  if (unknown !== undefined) throw new Refusal(`${path} is no plan any more: there is no ${unknown}; correct it, or take it out`);
  return read;
}

/** What a plan names and nobody knows. */
function unknownIn({ nodes, operations, faults }: Plan): string | undefined {
  const { clients } = topologyOf(nodes);
  const fault = faults.find((one) => !FAULT_KINDS.some(({ kind }) => kind === one.kind));
  if (fault !== undefined) return `fault of the kind ${JSON.stringify(fault.kind)}`;
  const operation = operations.find((one) => !OPERATION_KINDS.some(({ kind }) => kind === one.kind));
  if (operation !== undefined) return `operation of the kind ${JSON.stringify(operation.kind)}`;
  const lost = operations.find(({ client }) => !clients.includes(client));
  return lost && `client ${JSON.stringify(lost.client)} among its nodes`;
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
