/** The dashboard, the alert rules and the example configuration speak of metrics that exist, and a running server has every one of them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { METRIC_NAMES, METRICS, type MetricDefinition, type MetricName } from "../../src/core/metrics.ts";
import { parseExposition, type Scraped } from "../support/exposition.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

const folder = fileURLToPath(new URL("../../deploy/grafana/", import.meta.url));
const read = (name: string): string => readFileSync(folder + name, "utf8");

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}
interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly action: string };
}

const dashboard = JSON.parse(read("troupe.json")) as Dashboard;
const { groups } = parse(read("alerts.yml")) as { groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const variables = dashboard.templating.list.map(({ name }) => name);

/** Of PromQL: those that we use, and nothing else. */
const FUNCTIONS = new Set(["rate", "increase", "changes", "deriv", "histogram_quantile", "time", "label_values"]);
const AGGREGATIONS = new Set(["sum", "max", "min", "count", "topk"]);
const WORDS = new Set(["by", "and", "or", "unless", "on", "ignoring", "group_left", "bool"]);
/** What Prometheus adds to every series by itself. */
const TARGET_LABELS = new Set(["instance", "job"]);

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** What an expression asks for. @throws when it is not well-formed as far as we can tell, or uses what we do not know */
function askedBy(expression: string): { readonly selectors: readonly Selector[]; readonly grouping: readonly string[] } {
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  const depth: string[] = [];
  const token = /\s+|"(?:[^"\\]|\\.)*"|\$?[A-Za-z_:][\w:]*|\d+(?:\.\d+)?(?:e\d+)?[smhd]?|==|!=|=~|!~|>=|<=|[-+*/%^<>=(){},[\]]/gy;
  const tokens: string[] = [];
  let at = 0;
  for (let match = token.exec(expression); match !== null; match = token.exec(expression)) {
    at = token.lastIndex;
    if (match[0].trim() !== "") tokens.push(match[0]);
  }
  if (at !== expression.length) throw new Error(`what is ${expression.slice(at, at + 20)}?`);
  for (let index = 0; index < tokens.length; index += 1) {
    const word = tokens[index] as string;
    const next = tokens[index + 1];
    if ("([{".includes(word)) depth.push(word);
    else if (")]}".includes(word)) {
      const opened = depth.pop();
      if (opened === undefined || "([{".indexOf(opened) !== ")]}".indexOf(word)) throw new Error(`an unexpected ${word}`);
    } else if (/^[A-Za-z_]/.test(word)) {
      if (word === "by") {
        const end = tokens.indexOf(")", index);
        grouping.push(...tokens.slice(index + 2, end).filter((label) => label !== ","));
        index = end;
      } else if (FUNCTIONS.has(word) || AGGREGATIONS.has(word)) {
        if (next !== "(" && next !== "by") throw new Error(`${word} is applied to nothing`);
      } else if (!WORDS.has(word)) {
        const matchers: { label: string; operator: string; value: string }[] = [];
        if (next === "{") {
          const end = tokens.indexOf("}", index);
          const inside = tokens.slice(index + 2, end);
          for (let each = 0; each < inside.length; each += 4)
            matchers.push({
              label: inside[each] as string,
              operator: inside[each + 1] as string,
              value: (inside[each + 2] as string).slice(1, -1),
            });
          index = end;
        }
        selectors.push({ metric: word, matchers });
      }
    }
  }
  if (depth.length > 0) throw new Error("something is not closed");
  return { selectors, grouping };
}

/** `troupe_chunk_seconds_bucket` → that histogram. */
function definitionOf(
  series: string,
): { readonly name: MetricName; readonly definition: MetricDefinition; readonly labels: readonly string[] } | undefined {
  const [base] = /^(.*?)(?:_bucket|_count|_sum)?$/.exec(series)?.slice(1) ?? [];
  for (const name of [series, base as string]) {
    if (!(METRIC_NAMES as string[]).includes(name)) continue;
    const definition: MetricDefinition = METRICS[name as MetricName];
    if ((definition.kind === "histogram") === (name === series)) continue;
    const labels = [...Object.keys(definition.labels), ...(series.endsWith("_bucket") ? ["le"] : []), ...TARGET_LABELS];
    return { name: name as MetricName, definition, labels };
  }
  return undefined;
}

const isDuration = (text: string): boolean => /^\d+[smhd]$/.test(text) || text === "$__rate_interval";
const mayBe = (values: readonly string[] | string | undefined, { operator, value }: Selector["matchers"][number]): boolean => {
  if (values === undefined || typeof values === "string" || value.startsWith("$")) return true;
  if (operator === "=" || operator === "!=") return values.includes(value);
  return values.some((each) => new RegExp(`^(?:${value})$`).test(each));
};

/** What is wrong with an expression, in words. */
function problemsOf(expression: string): string[] {
  const { selectors, grouping } = askedBy(expression);
  const problems: string[] = [];
  for (const { metric, matchers } of selectors) {
    if (metric === "up") continue;
    const found = definitionOf(metric);
    if (found === undefined) {
      problems.push(`there is no ${metric}`);
      continue;
    }
    for (const matcher of matchers) {
      if (!found.labels.includes(matcher.label)) problems.push(`${metric} has no label ${matcher.label}`);
      else if (!mayBe(found.definition.labels[matcher.label], matcher))
        problems.push(`${matcher.label} of ${metric} is never ${matcher.value}`);
    }
    if (found.definition.kind !== "gauge" && !new RegExp(`\\b(rate|increase|changes)\\(${metric}\\b`).test(expression))
      problems.push(`${metric} only grows: what counts is its rate`);
  }
  const labels = new Set(selectors.flatMap(({ metric }) => definitionOf(metric)?.labels ?? []));
  for (const label of grouping) if (!labels.has(label)) problems.push(`nothing has a label ${label}`);
  for (const [, range] of expression.matchAll(/\[([^\]]*)\]/g)) if (!isDuration(range as string)) problems.push(`${range} is no time`);
  return problems;
}

const asked = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [`panel "${title}"`, expr] as const)),
  ...dashboard.annotations.list.map(({ expr }) => ["annotation", expr] as const),
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
];

describe("what is asked of Prometheus", () => {
  it.each(asked)("%s asks only for what there is: %s", (_, expression) => {
    expect(problemsOf(expression)).toEqual([]);
    for (const [, variable] of expression.matchAll(/\$(\w+)/g)) expect([...variables, "__rate_interval"]).toContain(variable);
  });

  it("is checked: what is wrong is found", () => {
    expect(problemsOf("sum(rate(troupe_no_such_total[5m]))")).toEqual(["there is no troupe_no_such_total"]);
    expect(problemsOf('troupe_uploads{colour="red"}')).toEqual(["troupe_uploads has no label colour"]);
    expect(problemsOf('troupe_uploads{state="sleeping"}')).toEqual(["state of troupe_uploads is never sleeping"]);
    expect(problemsOf("sum by (verb) (troupe_uploads)")).toEqual(["nothing has a label verb"]);
    expect(problemsOf("troupe_chunks_total")).toEqual(["troupe_chunks_total only grows: what counts is its rate"]);
    expect(problemsOf("rate(troupe_chunk_seconds[5m])")).toEqual(["there is no troupe_chunk_seconds"]);
    expect(problemsOf("rate(troupe_chunks_total[fast])")).toContain("fast is no time");
    for (const broken of ["sum(troupe_uploads", "troupe_uploads}", "sum troupe_uploads", "troupe_uploads ? 1"])
      expect(() => problemsOf(broken), broken).toThrow();
    expect(problemsOf("avg_over_time(troupe_uploads[5m])")).toContain("there is no avg_over_time");
  });

  it("every metric of the table is on the dashboard", () => {
    const shown = new Set(
      dashboard.panels.flatMap(({ targets = [] }) =>
        targets.flatMap(({ expr }) => askedBy(expr).selectors.map(({ metric }) => definitionOf(metric)?.name)),
      ),
    );
    expect(METRIC_NAMES.filter((name) => !shown.has(name))).toEqual([]);
  });
});

describe("the dashboard", () => {
  it("has panels with names that do not lie over each other", () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, gridPos } of panels) {
      expect(title).not.toBe("");
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    }
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
  });

  it("lets one choose by role and instance", () => {
    expect(variables).toEqual(["datasource", "roles", "instance"]);
    for (const { definition } of dashboard.templating.list)
      if (definition !== undefined) expect(definition).toMatch(/^label_values\(troupe_process_info[{,]/);
  });
});

describe("the alert rules", () => {
  it.each(rules.map((rule) => [rule.alert, rule] as const))("%s says what has happened, and what to do", (name, rule) => {
    expect(name).toMatch(/^Troupe[A-Z][A-Za-z]+$/);
    expect(["page", "ticket"]).toContain(rule.labels.severity);
    if (rule.for !== undefined) expect(isDuration(rule.for)).toBe(true);
    for (const sentence of [rule.annotations.summary, rule.annotations.action]) expect(sentence).toMatch(/^[A-Z{0-9].*[.?]$/);
    const { selectors, grouping } = askedBy(rule.expr);
    const kept = grouping.length > 0 ? grouping : selectors.flatMap(({ metric }) => definitionOf(metric)?.labels ?? [...TARGET_LABELS]);
    for (const [, label] of rule.annotations.summary.matchAll(/\$labels\.(\w+)/g)) expect(kept, `${name}: ${label}`).toContain(label);
  });

  it("have names of their own", () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });
});

it("the example of Prometheus reads the rules, and asks where Troupe answers", () => {
  const { rule_files, scrape_configs } = parse(read("prometheus.yml")) as {
    rule_files: string[];
    scrape_configs: { job_name: string; metrics_path?: string }[];
  };
  expect(rule_files).toEqual(["alerts.yml"]);
  for (const { job_name, metrics_path } of scrape_configs) {
    expect(job_name).toMatch(/^troupe/);
    expect(metrics_path).toBeUndefined();
  }
});

describe("a running server", () => {
  let server: ServerProcess;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let scraped: Scraped;

  const upload = async (name: string, bytes: Uint8Array): Promise<string> => {
    const answer = await fetch(`${server.url}/put/${name}`, { method: "PUT", body: bytes });
    expect(answer.status).toBe(201);
    return (await answer.text()).trim();
  };
  const scrapeIt = async (): Promise<Scraped> => parseExposition(await (await fetch(`${server.url}/metrics`)).text());

  beforeAll(async () => {
    directory = await temporaryDirectory();
    server = await startServer(directory.path, ["--metrics-port", "0"]);
    const address = await upload("film.mp4", Buffer.alloc(3_000_000, 5));
    for (const range of [undefined, "bytes=0-99", "bytes=0-9,100-109"]) {
      const answer = await fetch(address, range === undefined ? {} : { headers: { range } });
      expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(0);
    }
    await fetch(`${server.url}/nowhere`);
    scraped = await until(scrapeIt, (seen) => seen.value("troupe_uploads", { state: "merged" }) === 0);
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  /** They come with the first, and none has failed. */
  const RARE: readonly string[] = ["troupe_bus_request_failures_total"];

  it.each(METRIC_NAMES)("has %s, with its type, its help and its labels", (name) => {
    const { kind, help, labels }: MetricDefinition = METRICS[name];
    expect(scraped.types.get(name)).toBe(kind);
    expect(scraped.helps.get(name)).toBe(`${help}.`);
    const own = scraped.series.filter((series) => definitionOf(series.name)?.name === name);
    if (own.length === 0) {
      const isElsewhere = process.platform !== "linux" && name.endsWith("_fds");
      expect(RARE.includes(name) || isElsewhere, `${name} has no series`).toBe(true);
    }
    for (const series of own) {
      const given = Object.entries(series.labels).filter(([label]) => label !== "le");
      expect(given.map(([label]) => label).sort()).toEqual(Object.keys(labels).sort());
      for (const [label, value] of given) {
        const values = labels[label];
        if (typeof values !== "string") expect(values).toContain(value);
      }
      expect(series.value).toBeGreaterThanOrEqual(0);
    }
  });

  it("has no other metric", () => {
    expect([...scraped.types.keys()].sort()).toEqual([...METRIC_NAMES].sort());
  });

  it("has counted what was done", () => {
    expect(scraped.value("troupe_http_requests_total", { route: "/put/*", method: "PUT", code: "201" })).toBe(1);
    expect(scraped.value("troupe_http_requests_total", { route: "none", code: "404" })).toBe(1);
    expect(scraped.value("troupe_http_received_bytes_total", { server: "gateway" })).toBe(3_000_000);
    expect(scraped.value("troupe_http_sent_bytes_total", { server: "gateway" })).toBeGreaterThan(3_000_000);
    expect(["whole", "range", "ranges"].map((extent) => scraped.value("troupe_file_answers_total", { extent }))).toEqual([1, 1, 1]);
    expect(scraped.value("troupe_uploads_ended_total", { state: "merged" })).toBe(1);
    expect(scraped.value("troupe_nodes", { state: "active" })).toBe(1);
    // What has not happened is told from what is not known.
    for (const state of ["failed", "expired", "cancelled"]) expect(scraped.value("troupe_uploads_ended_total", { state })).toBe(0);
    expect(scraped.value("troupe_process_info", { roles: "all", node: server.nodeId })).toBe(1);
  });

  it("serves the same on the port of its own, which its log names", async () => {
    const [, address] = /"url":"(http:\/\/127\.0\.0\.1:\d+\/metrics)"/.exec(server.stderr) ?? [];
    expect(address).toBeDefined();
    const answer = await fetch(address as string);
    expect(answer.status).toBe(200);
    expect(parseExposition(await answer.text()).types.size).toBe(METRIC_NAMES.length);
  });
});
