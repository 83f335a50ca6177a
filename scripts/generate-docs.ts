/**
 * Makes `docs/ERRORS.md` from the table of errors, `docs/METRICS.md` from that of metrics, `docs/PROTOCOL.md` from the contracts, and the users of `deploy/nats.conf` from the table
 * of who asks whom. With `--check` it writes nothing and fails when a file on disk differs.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { appUsersText } from "../src/bin/cluster/nats-users.ts";
import { COMMON_ERRORS, type Contract, type RequestDefinition } from "../src/bus/contract.ts";
import { ERRORS, type Retry } from "../src/core/errors.ts";
import { METRIC_NAMES, METRICS, type MetricDefinition, type MetricPart } from "../src/core/metrics.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MADE = "<!-- Made by `npm run docs`; a test fails when this file and the code differ. -->";

export interface GeneratedDocument {
  /** From the top of the checkout. */
  readonly path: string;
  readonly text: string;
}

export async function generateDocuments(root: string = ROOT): Promise<GeneratedDocument[]> {
  return [
    { path: "docs/ERRORS.md", text: errorsDocument() },
    { path: "docs/PROTOCOL.md", text: protocolDocument(await loadContracts(root)) },
    { path: "docs/METRICS.md", text: metricsDocument() },
    { path: "deploy/nats.conf", text: natsConfiguration(readFileSync(join(root, "deploy/nats.conf"), "utf8")) },
  ];
}

/** Every contract below `src/actors`, by the folder's name. */
export async function loadContracts(root: string): Promise<Contract[]> {
  const contracts: Contract[] = [];
  for (const folder of readdirSync(join(root, "src/actors")).sort()) {
    const path = join(root, "src/actors", folder, "contract.ts");
    if (!existsSync(path)) continue;
    const module: Record<string, unknown> = await import(pathToFileURL(path).href);
    contracts.push(...Object.values(module).filter(isContract));
  }
  return contracts;
}

function isContract(value: unknown): value is Contract {
  return typeof value === "object" && value !== null && "subject" in value && "requests" in value && "doc" in value;
}

/** The rest of the file is written by hand. */
function natsConfiguration(text: string): string {
  const made = /^( *)# begin: made by .*\n(?:.*\n)*?(?= *# end$)/m;
  const [found, indent] = made.exec(text) ?? [];
  if (found === undefined || indent === undefined) throw new Error("deploy/nats.conf has no lines between which its users stand");
  const begin = found.slice(0, found.indexOf("\n") + 1);
  return text.replace(found, () => begin + appUsersText(indent));
}

const RETRY_WORDS: Readonly<Record<Retry, string>> = { never: "no", changed: "changed", later: "yes, later" };

function errorsDocument(): string {
  const rows = Object.entries(ERRORS).map(([code, row]) => [`\`${code}\``, String(row.http), RETRY_WORDS[row.retry], row.sentence]);
  return `# Errors

${MADE}

Every failure has a code from this table, on the bus, over HTTP and at the command line. Programs read the code; the sentence and the
detail that comes with it are for people and may change. *Again?* says whether the same request can succeed later: *yes, later* (with the
same idempotency key), *changed* (the sentence says how), or *no*.

${table(["code", "HTTP status", "again?", "meaning"], rows)}`;
}

const METRIC_PARTS: Readonly<Record<MetricPart, string>> = {
  gateway: "HTTP, reads and memories",
  uploads: "Uploads",
  storage: "Storage",
  actors: "Bus and actors",
  engines: "Database",
  process: "The process",
};

function metricsDocument(): string {
  const sections = (Object.keys(METRIC_PARTS) as MetricPart[]).map((part) => {
    const rows = METRIC_NAMES.filter((name) => METRICS[name].part === part).map((name) => {
      const { kind, help, labels }: MetricDefinition = METRICS[name];
      return [`\`${name}\``, kind, Object.entries(labels).map(labelInWords).join("; "), help];
    });
    return `## ${METRIC_PARTS[part]}\n\n${table(["metric", "kind", "labels", "meaning"], rows)}`;
  });
  return `# Metrics

${MADE}

Every process counts for itself. A gateway serves its numbers at \`/metrics\`, in Prometheus's text format; any process serves them on a port of
their own with \`--metrics-port\` (on \`--host\`). Where there are tokens, any of them opens it; without one it is open on loopback only, and
a process that would serve it to other machines refuses to start. [deploy/grafana](../deploy/grafana) has a dashboard, alert rules and a configuration of Prometheus.

A process shows what its roles can count: a tracker has no series of uploads. No label holds the name of a file, an upload, an owner or an address, and
each metric has a bounded number of series, whatever clients ask for. Times are in seconds, sizes in bytes. Most numbers begin at 0 when a process starts.

${sections.join("\n")}
## Not there yet

There is one copy of each file so far. How many copies are missing, how far behind they are, and how far a scrub of the disks has come will be told
when there are copies and a scrub. Until then \`troupe_blob_read_bytes_total{way="checked"}\` is what was verified, in the course of reading, and
\`troupe_blobs_damaged_total\` what was found.
`;
}

function labelInWords([label, values]: readonly [string, readonly string[] | string]): string {
  return `\`${label}\`: ${typeof values === "string" ? values : values.join(", ")}`;
}

function protocolDocument(contracts: readonly Contract[]): string {
  const common = COMMON_ERRORS.map((code) => `\`${code}\``).join(", ");
  return `# The protocol between actors

${MADE}

A request is a message on the subject \`<actor's subject>.<verb>\`; its body is a map in msgpack, or in JSON when its first byte is \`{\`, and the
answer comes in the same form. Fields not named here are dropped. An error answer has the headers \`Nats-Service-Error\` (the sentence),
\`Nats-Service-Error-Code\` (the status) and \`Troupe-Error-Code\` (the code, see [ERRORS.md](ERRORS.md)).

*All* in the table of a contract means that every actor of that name hears the request and answers; otherwise one of them does. A *priority*
request has a lane of its own, which works while the other is full. A *read-only* request changes nothing. Any request may be answered with
${common}, besides the codes listed with it.

${contracts.map(contractSection).join("\n")}`;
}

function contractSection(contract: Contract): string {
  const overview = Object.entries(contract.requests).map(([verb, request]) => [
    `\`${verb}\``,
    request.to === "all" ? "all" : "one",
    request.lane === "priority" ? "priority" : "",
    request.readOnly ? "yes" : "",
  ]);
  const details = Object.entries(contract.requests).map(([verb, request]) => requestSection(contract, verb, request));
  return `## ${contract.name}

${contract.doc} Subject: \`${contract.subject}\`.

${table(["request", "answered by", "lane", "read-only"], overview)}
${details.join("\n")}`;
}

function requestSection(contract: Contract, verb: string, request: RequestDefinition): string {
  const errors = request.errors.length === 0 ? "" : `\nErrors: ${request.errors.map((code) => `\`${code}\``).join(", ")}.\n`;
  return `### ${contract.name}.${verb}

${request.doc}

${fieldsTable("Request", request.input, "input")}
${fieldsTable("Answer", request.output, "output")}${errors}`;
}

/** What zod gives as JSON Schema, as far as these contracts use it. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly default?: unknown;
}

function fieldsTable(title: string, type: z.ZodType, io: "input" | "output"): string {
  const schema = z.toJSONSchema(type, { io, unrepresentable: "any" }) as Schema;
  const rows = fieldRows(schema, "");
  if (rows.length === 0) return `${title}: an empty map.\n`;
  return table([title, "type", ""], rows);
}

/** One row a field; the fields of a nested map follow it with a dotted name, those of a list's items with `[]`. */
function fieldRows(schema: Schema, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const optional = !(schema.required ?? []).includes(name) || field.default !== undefined;
    const note = field.default !== undefined ? `default ${JSON.stringify(field.default)}` : optional ? "optional" : "";
    const row = [`\`${path}\``, typeWords(field), note];
    if (field.properties !== undefined) return [row, ...fieldRows(field, `${path}.`)];
    if (field.items?.properties !== undefined) return [row, ...fieldRows(field.items, `${path}[].`)];
    return [row];
  });
}

function typeWords(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeWords).join(" or ");
  if (schema.type === "array") return listWords(schema);
  if (schema.type === "integer" || schema.type === "number") return numberWords(schema);
  if (schema.type === "string") return textWords(schema);
  if (schema.type === "object") return "map";
  return schema.type ?? "anything";
}

function listWords(schema: Schema): string {
  const most = schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`;
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeWords).join(", ")}]`;
  return schema.items === undefined ? `list${most}` : `list of ${typeWords(schema.items)}${most}`;
}

function numberWords(schema: Schema): string {
  const least = schema.minimum ?? (schema.exclusiveMinimum === undefined ? undefined : schema.exclusiveMinimum + 1);
  const most = schema.maximum === Number.MAX_SAFE_INTEGER ? undefined : schema.maximum;
  const word = schema.type === "integer" ? "whole number" : "number";
  if (least !== undefined && least !== Number.MIN_SAFE_INTEGER && most !== undefined) return `${word}, ${least} to ${most}`;
  if (least !== undefined && least !== Number.MIN_SAFE_INTEGER) return `${word} from ${least}`;
  return word;
}

function textWords(schema: Schema): string {
  if (schema.pattern !== undefined && schema.pattern.length <= 40) return `text, \`${schema.pattern}\``;
  return schema.maxLength === undefined ? "text" : `text, at most ${schema.maxLength} characters`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}

if (import.meta.main) {
  const checking = process.argv.includes("--check");
  for (const document of await generateDocuments()) {
    const path = join(ROOT, document.path);
    const isCurrent = existsSync(path) && readFileSync(path, "utf8") === document.text;
    if (isCurrent) continue;
    if (checking) {
      process.stderr.write(`${document.path} differs from the code: run 'npm run docs'\n`);
      process.exitCode = 1;
    } else {
      writeFileSync(path, document.text);
      process.stdout.write(`written: ${document.path}\n`);
    }
  }
}
