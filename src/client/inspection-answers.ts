/** What the client reads of a gateway's answers about what goes on behind it. Fields it does not know are kept as they are. */
import { z } from "zod";
import { actorStatus } from "../actors/inspector/contract.ts";
import { machineFeed, machineInspection } from "../core/inspection.ts";
import { count, identity, wallMs } from "../core/shapes.ts";
import { span, spanCount } from "../core/span.ts";

/** An upload as its owner sees it, as far as it is shown here. */
const inspectedView = z.looseObject({
  state: z.string(),
  since: z.string().optional(),
  name: z.string().optional(),
  size: z.number().optional(),
  chunkBytes: z.number().optional(),
  chunkCount: count.optional(),
  receivedCount: count.optional(),
  receivedBytes: z.number().optional(),
  fileId: z.string().optional(),
});

export const uploadInspection = z.looseObject({
  /** Absent when nobody answers for it. */
  upload: inspectedView.optional(),
  host: z.string(),
  group: z.string().optional(),
  epoch: count.optional(),
  machine: machineInspection.loose().optional(),
  /** Why there is no machine. */
  missing: z.string().optional(),
  why: z.string(),
});
export type UploadInspection = z.output<typeof uploadInspection>;

export const uploadSteps = machineFeed.loose();
export type UploadSteps = z.output<typeof uploadSteps>;

/** What a stream about an upload brings: the whole, or the steps since. */
export type InspectionEvent =
  | { readonly kind: "inspection"; readonly inspection: UploadInspection }
  | { readonly kind: "steps"; readonly steps: UploadSteps };

const tracedSpan = span.extend({ nodeId: z.string() }).loose();
export type TracedSpan = z.output<typeof tracedSpan>;
const tracedCount = spanCount.extend({ nodeId: z.string() }).loose();
export type TracedCount = z.output<typeof tracedCount>;

export const traceReport = z.looseObject({
  id: z.string(),
  spans: z.array(tracedSpan),
  counts: z.array(tracedCount),
  processes: z.array(z.looseObject({ nodeId: z.string(), roles: z.array(z.string()) })),
  isTruncated: z.boolean(),
});
export type TraceReport = z.output<typeof traceReport>;

const reportedActor = actorStatus.loose();
export type ReportedActor = z.output<typeof reportedActor>;

const actorProcess = z.looseObject({
  nodeId: identity,
  roles: z.array(z.string()),
  version: z.string(),
  startedMs: wallMs,
  actors: z.array(reportedActor),
  counts: z.array(z.looseObject({ actor: z.string(), count })),
});
export const actorsReport = z.looseObject({ processes: z.array(actorProcess) });
export type ActorsReport = z.output<typeof actorsReport>;
