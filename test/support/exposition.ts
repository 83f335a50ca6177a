/** What a scrape answers, as a test reads it: Prometheus's text format, as far as it is spoken here. */
import type { Exposition } from "../../src/core/ports/metrics.ts";

export interface Scraped {
  /** What `# TYPE` and `# HELP` say, by name. */
  readonly types: ReadonlyMap<string, string>;
  readonly helps: ReadonlyMap<string, string>;
  readonly series: readonly Series[];
  /** Of the series with at least these labels; `undefined` when there is none. Several are added up. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export async function scrape(exposition: Exposition): Promise<Scraped> {
  return parseExposition(await exposition.text());
}

/** @throws on a line that is none */
export function parseExposition(text: string): Scraped {
  const types = new Map<string, string>();
  const helps = new Map<string, string>();
  const series: Series[] = [];
  for (const line of text.split("\n")) {
    const [, kind, name, rest] = /^# (TYPE|HELP) (\S+) (.*)$/.exec(line) ?? [];
    if (kind !== undefined) (kind === "TYPE" ? types : helps).set(name as string, rest as string);
    else if (line !== "") series.push(seriesOf(line));
  }
  const value: Scraped["value"] = (name, labels = {}) => {
    const found = series.filter(
      (each) => each.name === name && Object.entries(labels).every(([label, text]) => each.labels[label] === text),
    );
    return found.length === 0 ? undefined : found.reduce((sum, each) => sum + each.value, 0);
  };
  return { types, helps, series, value };
}

function seriesOf(line: string): Series {
  const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a sample: ${line}`);
  return { name, labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, text]) => [label, text])), value: Number(value) };
}
