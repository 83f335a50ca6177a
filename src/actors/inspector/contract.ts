/** What a process can tell of itself to somebody who looks into it: what it did for whom, and which actors it hosts. Every process answers. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { ACTORS_TOLD_MAX, SPANS_TOLD_MAX, TRACES_FOLLOWED_MAX } from "../../core/limits.ts";
import { count, durationMs, identity, owner, wallMs } from "../../core/shapes.ts";
import { SPAN_KINDS } from "../../core/span-book.ts";

const traceId = z.string().regex(/^[0-9a-f]{32}$/);
const spanId = z.string().regex(/^[0-9a-f]{16}$/);
const milliseconds = z.number().nonnegative();

/** One turn, exchange or effect; see the span book. */
export const span = z.object({
  traceId,
  spanId,
  parentId: spanId.optional(),
  requestId: z.string().max(64).optional(),
  uploadId: z.string().max(64).optional(),
  owner: owner.optional(),
  kind: z.enum(SPAN_KINDS),
  actor: z.string().max(64),
  name: z.string().max(128),
  /** Milliseconds since 1970, with fractions, by the clock of the machine it was on. */
  startMs: milliseconds,
  waitedMs: milliseconds.optional(),
  /** Absent while it is under way. */
  durationMs: milliseconds.optional(),
  outcome: z.string().max(64).optional(),
});

export const spanCount = z.object({
  actor: z.string().max(64),
  name: z.string().max(128),
  count,
  failedCount: count,
  totalMs: milliseconds,
  maxMs: milliseconds,
});

/** Who answers: roles that one process plays. */
const processIdentity = { nodeId: identity, roles: z.array(identity).max(8) };

export const actorStatus = z.object({
  actor: identity,
  subject: z.string().max(256),
  /** By the chart of an actor's life. */
  state: z.string().max(64),
  sinceMs: durationMs,
  recent: z.array(z.object({ event: z.string().max(64).optional(), state: z.string().max(64), agoMs: durationMs })),
  turns: count,
  crashes: count,
  waiting: count,
  deferred: count,
  deadLetters: count,
});
export type InspectedActor = z.output<typeof actorStatus>;

export const inspector = defineContract({
  name: "inspector",
  doc: "Tells what a process did for whom, and does now, and which actors it hosts. Every process of the cluster answers.",
  subject: "troupe.v1.inspector",
  requests: {
    spans: request({
      doc: "Spans of an upload, a trace or an HTTP request, by its ID, with those that are under way; or all spans of some traces.",
      input: z.object({ id: z.string().min(1).max(64).optional(), traceIds: z.array(traceId).max(TRACES_FOLLOWED_MAX).optional() }),
      output: z.object({
        ...processIdentity,
        /** By their start. */
        spans: z.array(span).max(SPANS_TOLD_MAX),
        /** Of names of which there were more than are kept. */
        counts: z.array(spanCount).max(SPANS_TOLD_MAX),
        isTruncated: z.boolean(),
      }),
      errors: [],
      to: "all",
      lane: "priority",
      readOnly: true,
    }),
    actors: request({
      doc: "The actors a process hosts: those that crashed or have much to do first, and how many there are of each contract.",
      input: z.object({ actor: identity.optional() }),
      output: z.object({
        ...processIdentity,
        version: z.string().max(32),
        startedMs: wallMs,
        actors: z.array(actorStatus).max(ACTORS_TOLD_MAX),
        counts: z.array(z.object({ actor: identity, count })).max(ACTORS_TOLD_MAX),
      }),
      errors: [],
      to: "all",
      lane: "priority",
      readOnly: true,
    }),
  },
});
