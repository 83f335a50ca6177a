/**
 * Finished spans on their way to a collector, as OTLP over HTTP. Loaded only where that is set: nothing of the library costs anybody else.
 *
 * X1: a collector that is slow or away costs nothing but its spans: they are sent in batches beside the work, and dropped past a bound.
 * X2: whether it takes them is logged when that changes, not with each batch.
 * X3: a stop waits for it a moment only.
 */
import { SpanKind as OtlpKind, type SpanContext, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Log } from "../core/log.ts";
import type { Clock } from "../core/ports/clock.ts";
import { SPAN_OK, type Span } from "../core/span.ts";
import type { SpanBook } from "../core/span-book.ts";

export interface OtlpPorts {
  readonly clock: Clock;
  readonly log: Log;
}

export interface OtlpOptions {
  /** Of the collector, without the path: `http://collector:4318`. */
  readonly url: string;
  readonly nodeId: string;
  /** `tracker,catalog` */
  readonly roles: string;
  readonly version: string;
}

const QUEUE_SPANS_MAX = 8_192;
const BATCH_SPANS_MAX = 512;
const TIMEOUT_MS = 5_000;
const LAST_TIMEOUT_MS = 1_000;
const NONE = Object.freeze([]) as never[];

/** @returns sends what is left, and ends */
export function exportSpans(book: SpanBook, { clock, log }: OtlpPorts, { url, nodeId, roles, version }: OtlpOptions): () => Promise<void> {
  const exporter = watched(new OTLPTraceExporter({ url: `${url}/v1/traces`, timeoutMillis: TIMEOUT_MS }), url, log);
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: QUEUE_SPANS_MAX,
    maxExportBatchSize: BATCH_SPANS_MAX,
    exportTimeoutMillis: TIMEOUT_MS,
  });
  const resource = resourceFromAttributes({
    "service.name": "troupe",
    "service.version": version,
    "service.instance.id": nodeId,
    "troupe.roles": roles,
  });
  const instrumentationScope = { name: "troupe", version };
  book.onEnd = (span, isSampled) => {
    if (isSampled) processor.onEnd({ ...readable(span), resource, instrumentationScope });
  };
  return async () => {
    book.onEnd = () => undefined;
    const sent = processor.shutdown().then(
      () => true,
      () => false,
    );
    // X3
    const late = Promise.withResolvers<boolean>();
    const timer = clock.setTimer(LAST_TIMEOUT_MS, () => late.resolve(false));
    const isSent = await Promise.race([sent, late.promise]);
    timer.cancel();
    if (!isSent) log.warn({ url }, "The last spans could not be sent to the collector of traces.");
  };
}

/** X2 */
function watched(exporter: SpanExporter, url: string, log: Log): SpanExporter {
  let isTaken: boolean | undefined;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const wasTaken = isTaken;
        isTaken = result.error === undefined;
        if (isTaken && wasTaken === false) log.info({ url }, "The collector of traces takes spans again.");
        else if (!isTaken && wasTaken !== false)
          log.warn({ url, err: result.error }, "The collector of traces takes no spans; they are dropped.");
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => await exporter.forceFlush?.(),
  };
}

function readable(span: Span): Omit<ReadableSpan, "resource" | "instrumentationScope"> {
  const { traceId, spanId, parentId, kind, actor, name, startMs, waitedMs, durationMs = 0, outcome = SPAN_OK, uploadId, requestId } = span;
  const contextOf = (id: string): SpanContext => ({ traceId, spanId: id, traceFlags: TraceFlags.SAMPLED });
  const own = contextOf(spanId);
  return {
    name,
    kind: kind === "http" || kind === "request" ? OtlpKind.SERVER : OtlpKind.INTERNAL,
    spanContext: () => own,
    ...(parentId === undefined ? {} : { parentSpanContext: contextOf(parentId) }),
    startTime: hrTime(startMs),
    endTime: hrTime(startMs + durationMs),
    duration: hrTime(durationMs),
    ended: true,
    status: outcome === SPAN_OK ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: outcome },
    attributes: {
      "troupe.actor": actor,
      "troupe.kind": kind,
      ...(uploadId === undefined ? {} : { "troupe.upload_id": uploadId }),
      ...(requestId === undefined ? {} : { "troupe.request_id": requestId }),
      ...(waitedMs === undefined ? {} : { "troupe.waited_ms": waitedMs }),
      ...(outcome === SPAN_OK ? {} : { "error.type": outcome }),
    },
    links: NONE,
    events: NONE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Whole seconds, and nanoseconds of the next. */
function hrTime(milliseconds: number): [number, number] {
  const seconds = Math.floor(milliseconds / 1_000);
  return [seconds, Math.round((milliseconds - seconds * 1_000) * 1_000_000)];
}
