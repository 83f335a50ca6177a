/** What a process did for whom, as it is told: a span is one turn, exchange or effect. */
import { z } from "zod";
import { count, owner } from "./shapes.ts";

/** 32 hex digits. */
export const traceId = z.string().regex(/^[0-9a-f]{32}$/);
const spanId = z.string().regex(/^[0-9a-f]{16}$/);
/** With fractions. */
const milliseconds = z.number().nonnegative();

/** `http`: an exchange; `request`: a message to an actor; `turn`: a turn an actor asked of itself; `effect`: work beside the turns. */
export const SPAN_KINDS = ["http", "request", "turn", "effect"] as const;
export type SpanKind = (typeof SPAN_KINDS)[number];
export const SPAN_OK = "ok";

/** One turn, exchange or effect. */
export const span = z.object({
  traceId,
  spanId,
  parentId: spanId.optional(),
  requestId: z.string().max(64).optional(),
  uploadId: z.string().max(64).optional(),
  /** On whose behalf; of HTTP requests, which begin everything. */
  owner: owner.optional(),
  kind: z.enum(SPAN_KINDS),
  /** Who does it: `gateway`, `catalog`, `upload`. */
  actor: z.string().max(64),
  /** `catalog.commitFile`, `PUT /api/v1/uploads/:uploadId/chunks/:index`. */
  name: z.string().max(128),
  /** Since 1970, by the clock of the machine it was on. */
  startMs: milliseconds,
  /** In the mailbox, before its turn. */
  waitedMs: milliseconds.optional(),
  /** Absent while it is under way. */
  durationMs: milliseconds.optional(),
  /** {@link SPAN_OK}, or a code from the table of errors; absent while it is under way. */
  outcome: z.string().max(64).optional(),
});
export type Span = Readonly<z.output<typeof span>>;

/** Spans of one name that belong to one upload: how many there were, of which the newest are kept. */
export const spanCount = z.object({
  actor: z.string().max(64),
  name: z.string().max(128),
  count,
  failedCount: count,
  totalMs: milliseconds,
  maxMs: milliseconds,
});
export type SpanCount = Readonly<z.output<typeof spanCount>>;
