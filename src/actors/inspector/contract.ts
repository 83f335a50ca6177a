/** What a process can tell of itself to somebody who looks into it: what it did for whom, and which actors it hosts. Every process answers. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { standing } from "../../core/inspection.ts";
import { ACTORS_TOLD_MAX, PAGE_ITEMS_MAX, SPANS_TOLD_MAX, TRACES_FOLLOWED_MAX } from "../../core/limits.ts";
import { count, identity, wallMs } from "../../core/shapes.ts";
import { span, spanCount, traceId } from "../../core/span.ts";

/** Who answers: roles that one process plays. */
const processIdentity = { nodeId: identity, roles: z.array(identity).max(8) };

export const actorStatus = z.object({
  actor: identity,
  subject: z.string().max(256),
  /** By the chart of an actor's life. */
  state: z.string().max(64),
  ...standing.shape,
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
      input: z.object({
        actor: identity.optional(),
        /** Of uploads, these alone are told of; all are counted. */
        uploadIds: z.array(identity).max(PAGE_ITEMS_MAX).optional(),
      }),
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
