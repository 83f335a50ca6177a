/** Spans to a real HTTP server that stands for a collector. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { exportSpans } from "../../src/store/otlp-spans.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { readableLog } from "../bus/theatre.ts";
import { Collector } from "../support/collector.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const NOBODY = { url: "http://127.0.0.1:9", nodeId: "node1", roles: "catalog", version: "1.2.3" };

it("each span that ended is sent to the collector, with its parent, its times and its error", async () => {
  using collector = await Collector.start();
  const book = new SpanBook(new SystemClock(), "test");
  const stop = exportSpans(book, { clock: new VirtualClock(), log: SILENT_LOG }, { ...NOBODY, url: collector.url });
  const parent = book.begin({ kind: "http", actor: "gateway", name: "POST /api/v1/uploads" }, "request-1234567");
  const child = book.begin({ kind: "request", actor: "catalog", name: "catalog.registerUpload", parent, uploadId: "u1" });
  child.end("DATABASE_UNAVAILABLE");
  parent.end();
  await stop();
  expect(collector.paths).toEqual(["/v1/traces"]);
  expect(collector.resources[0]?.resource.attributes).toContainEqual({ key: "service.instance.id", value: { stringValue: "node1" } });
  const { spans } = collector;
  expect(spans.map(({ name, traceId, spanId, parentSpanId }) => ({ name, traceId, spanId, parentSpanId }))).toEqual([
    { name: "catalog.registerUpload", traceId: parent.traceId, spanId: child.spanId, parentSpanId: parent.spanId },
    { name: "POST /api/v1/uploads", traceId: parent.traceId, spanId: parent.spanId, parentSpanId: undefined },
  ]);
  expect(spans[0]?.status).toMatchObject({ code: 2, message: "DATABASE_UNAVAILABLE" });
  expect(spans[0]?.attributes).toContainEqual({ key: "troupe.upload_id", value: { stringValue: "u1" } });
  expect(BigInt(spans[1]?.endTimeUnixNano ?? 0)).toBeGreaterThanOrEqual(BigInt(spans[1]?.startTimeUnixNano ?? 0));
});

it("what a client does not want to be kept is not sent, and is in the book all the same", async () => {
  using collector = await Collector.start();
  const book = new SpanBook(new SystemClock(), "test");
  const stop = exportSpans(book, { clock: new SystemClock(), log: SILENT_LOG }, { ...NOBODY, url: collector.url });
  const parent = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", isSampled: false, requestId: undefined };
  book.begin({ kind: "request", actor: "catalog", name: "catalog.file", parent }).end();
  await stop();
  expect(collector.paths).toEqual([]);
  expect(book.find(parent.traceId).spans).toHaveLength(1);
});

it("a collector that is away is told of once, and nothing else comes of it", async () => {
  const book = new SpanBook(new SystemClock(), "test");
  const { log, lines } = readableLog();
  const stop = exportSpans(book, { clock: new VirtualClock(), log }, NOBODY);
  for (let index = 0; index < 2_000; index += 1) book.begin({ kind: "request", actor: "catalog", name: "catalog.file" }).end();
  await stop();
  expect(lines.map(({ sentence }) => sentence).filter((sentence) => sentence.includes("takes no spans"))).toHaveLength(1);
});

it("X3: a collector that takes a request and never answers keeps a stop waiting for a moment only", async () => {
  const hanging = createServer(() => undefined).listen(0, "127.0.0.1");
  await once(hanging, "listening");
  const asked = once(hanging, "request");
  const clock = new VirtualClock();
  const book = new SpanBook(clock, "test");
  const { log, lines } = readableLog();
  const stop = exportSpans(book, { clock, log }, { ...NOBODY, url: `http://127.0.0.1:${(hanging.address() as AddressInfo).port}` });
  book.begin({ kind: "request", actor: "catalog", name: "catalog.file" }).end();
  const stopped = stop();
  await asked;
  await clock.advance(1_000);
  await stopped;
  expect(lines.map(({ sentence }) => sentence)).toEqual(["The last spans could not be sent to the collector of traces."]);
  hanging.closeAllConnections();
  hanging.close();
});
