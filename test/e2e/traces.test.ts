/** Traces of a real process: to a collector where one is set, and nothing of that where none is. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Collector } from "../support/collector.ts";
import { startServer } from "../support/server-process.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const LAST_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4737";
const CALLER = "00f067aa0ba902b7";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes down which modules of the collector's library a process loads. */
function watching(file: string): Record<string, string> {
  const script = `import { appendFileSync } from "node:fs"; import { registerHooks } from "node:module";
    registerHooks({ load(url, context, next) { if (url.includes("/@opentelemetry/")) appendFileSync(${JSON.stringify(file)}, url + "\\n"); return next(url, context); } });`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` };
}

it("a collector gets one trace of all that a request set going, which its client may have begun", async () => {
  using collector = await Collector.start();
  await using server = await startServer(join(folder, "with"), ["--otlp", collector.url]);
  const answer = await fetch(`${server.url}/put/film.bin`, {
    method: "PUT",
    body: new Uint8Array(100_000),
    headers: { traceparent: `00-${TRACE_ID}-${CALLER}-01` },
  });
  expect(answer.status).toBe(201);
  const wanted = ["PUT /put/*", "tracker.place", "storage.createUpload", "catalog.registerUpload", "upload.merge", "catalog.commitFile"];
  const missing = (): string[] => {
    const spans = collector.spans.filter(({ traceId }) => traceId === TRACE_ID);
    const names = new Set(spans.map(({ name }) => name));
    const known = new Set([CALLER, ...spans.map(({ spanId }) => spanId)]);
    const parentless = spans.filter(({ parentSpanId }) => !known.has(parentSpanId ?? ""));
    return [...wanted.filter((name) => !names.has(name)), ...parentless.map(({ name }) => `the parent of ${name}`)];
  };
  // They are sent every few seconds.
  await expect.poll(missing).toEqual([]);
  expect(collector.spans.find(({ name }) => name === "PUT /put/*")?.parentSpanId).toBe(CALLER);
  // What has not been sent yet is sent at the end, for which a slow machine may be too slow; then it says so.
  await fetch(`${server.url}/api/v1/files`, { headers: { traceparent: `00-${LAST_TRACE_ID}-${CALLER}-01` } });
  await server.terminate();
  const isSent = collector.spans.some(({ traceId }) => traceId === LAST_TRACE_ID);
  expect(isSent || server.stderr.includes("The last spans could not be sent")).toBe(true);
});

it("without one, nothing of its library is loaded", async () => {
  const file = join(folder, "loaded");
  await using without = await startServer(join(folder, "without"), [], watching(file));
  await without.terminate();
  const loaded = await readFile(file, "utf8").catch(() => "");
  // The metrics library names its interface, and nothing of what sends.
  expect(loaded.split("\n").filter((url) => url !== "" && !url.includes("/@opentelemetry/api/"))).toEqual([]);
  using collector = await Collector.start();
  await using configured = await startServer(join(folder, "configured"), ["--otlp", collector.url], watching(file));
  await configured.terminate();
  expect(await readFile(file, "utf8")).toContain("/@opentelemetry/sdk-trace/");
});
