/** Plans in files: one that once failed is kept with what it showed, and replayed by the tests. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FAULT_KINDS, wrongWith } from "./fault-kinds.ts";
import { type Plan, topologyOf } from "./plan.ts";
import { fileTrouble, Refusal } from "./refusal.ts";
import { OPERATION_KINDS } from "./workload/operations.ts";

const values = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
const count = z.int().min(1).max(100);
const timeMs = z.number().min(0);

const FORMAT = 1;

const planShape = z.strictObject({
  format: z.literal(FORMAT),
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
  const json = readJson(path);
  const has = (key: string): boolean => typeof json === "object" && json !== null && key in json;
  const isPlan = has("format");
  if (!isPlan && !has("plan")) throw new Refusal(`${path} is no plan: it has neither "format", as a plan, nor "plan", as a regression`);
  const format = formatOf(isPlan ? json : (json as { readonly plan: unknown }).plan);
  if (format > FORMAT) throw new Refusal(`${path} is of a newer kind: format ${format}; this checkout reads ${FORMAT}`);
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
  read.plan.faults.forEach((fault, index) => {
    const wrong = wrongWith(fault, read.plan.nodes);
    if (wrong !== undefined) throw new Refusal(`${path} is no plan: faults.${index}: ${wrong}`);
  });
  return read;
}

function readJson(path: string): unknown {
  if (path === "") throw new Refusal("the name of the file with the plan is empty");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Refusal(`${path} cannot be read: ${fileTrouble(error)}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(`${path} is no plan, for it is no JSON: ${(error as Error).message}`);
  }
}

function formatOf(plan: unknown): number {
  const format = typeof plan === "object" && plan !== null && "format" in plan ? plan.format : undefined;
  return typeof format === "number" ? format : 0;
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

export interface Kept {
  readonly path: string;
  /** What has been there stays: it is as small, or smaller. */
  readonly isOlder: boolean;
}

/** @throws {Refusal} when it cannot be written, or what is in its place cannot be read */
export function keepRegression(folder: string, regression: Regression): Kept {
  requireWritable(folder);
  const path = join(folder, `${regression.rule}-${regression.plan.seed}.json`);
  if (existsSync(path) && sizeOf(readPlanFile(path).plan) <= sizeOf(regression.plan)) return { path, isOlder: true };
  try {
    writeFileSync(path, regressionText(regression));
  } catch (error) {
    throw new Refusal(`${path} cannot be written: ${fileTrouble(error)}`);
  }
  return { path, isOlder: false };
}

const sizeOf = ({ operations, faults }: Plan): number => operations.length + faults.length;

/** Makes the folder when there is none. @throws {Refusal} */
export function requireWritable(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Refusal(`plans cannot be kept in ${folder}: ${fileTrouble(error)}`);
  }
}

/** What stands in its file. */
export function regressionText(regression: Regression): string {
  return `${formatted(regression, 0, 0)}\n`;
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
