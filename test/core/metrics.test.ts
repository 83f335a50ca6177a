/** The table of metrics keeps the conventions of those who read it. */
import { describe, expect, it } from "vitest";
import { METRIC_SERIES_MAX } from "../../src/core/limits.ts";
import { METRIC_NAMES, METRICS, type MetricDefinition } from "../../src/core/metrics.ts";

const rows = METRIC_NAMES.map((name): [string, MetricDefinition] => [name, METRICS[name]]);

describe("the table of metrics", () => {
  it.each(rows)("%s says in one sentence what it is, and its unit in its name", (name, { kind, help }) => {
    expect(help).toMatch(/^[A-Z0-9].*[^.]$/);
    if (kind === "histogram") expect(name).toMatch(/_seconds$/);
    expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent|count|sum|bucket)(_|$)/);
  });

  it.each(rows)("%s has a bounded number of series", (_, { labels }) => {
    let combinations = 1;
    for (const values of Object.values(labels)) {
      if (typeof values === "string") expect(values).toMatch(/^(a|the) /);
      else {
        expect(new Set(values).size).toBe(values.length);
        combinations *= values.length;
      }
    }
    expect(combinations).toBeLessThan(METRIC_SERIES_MAX / 10);
  });

  it("has no label for what is somebody's: a file, an upload, an owner, an address", () => {
    const labels = new Set(rows.flatMap(([, { labels }]) => Object.keys(labels)));
    for (const label of ["file", "name", "upload", "owner", "user", "app", "path", "address", "blob", "token", "request"])
      expect(labels).not.toContain(label);
  });
});
