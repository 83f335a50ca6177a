/**
 * One upload or request across all processes: each is asked what it did for it, and then for the rest of the traces that were found.
 *
 * T1: an answer that does not come in time leaves a gap, which is said: how many processes answered is told with the spans. When there is
 *     none at all, nobody knows what is kept.
 * T2: whatever is found, as much is asked; what of it is shown, the owners of its requests decide (shown-spans.ts).
 * T3: each process goes through all that it keeps: so nobody may ask often (`Gateway.lookups`).
 */
import { catalog } from "../../actors/catalog/contract.ts";
import { inspector } from "../../actors/inspector/contract.ts";
import { type CallOptions, client } from "../../bus/client.ts";
import type { InputOf } from "../../bus/contract.ts";
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { INSPECT_ANSWERS_MS, INSPECT_KNOWN_ANSWERS_MS, TRACES_FOLLOWED_MAX } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import type { Span, SpanCount } from "../../core/span.ts";
import type { GatewayPorts } from "../ports.ts";
import { shownTo } from "./shown-spans.ts";

export interface PlacedSpan extends Span {
  /** The process it was in. */
  readonly nodeId: string;
}

export interface TraceView {
  readonly id: string;
  /** By their start, as far as clocks of several machines agree. */
  readonly spans: readonly PlacedSpan[];
  readonly counts: readonly (SpanCount & { readonly nodeId: string })[];
  readonly processes: readonly { readonly nodeId: string; readonly roles: readonly string[] }[];
  readonly isTruncated: boolean;
}

const TRACE_ID = /^[0-9a-f]{32}$/;

/**
 * @throws {TroupeError} `NOT_FOUND`: nothing of it is kept, or it is somebody else's; `UNAVAILABLE`: no process answered in time; and what
 * the bus throws
 */
export async function findTrace(
  ports: GatewayPorts,
  id: string,
  { principal, isAlone }: { readonly principal: Principal; readonly isAlone: boolean },
  options: CallOptions,
): Promise<TraceView> {
  if (!isIdentity(id)) throw nothingKept();
  const isOwnUpload = !TRACE_ID.test(id) && (await isUploadOf(ports, id, { ...options, principal }));
  const first = await ask(ports, { id }, { timeoutMs: INSPECT_ANSWERS_MS, signal: options.signal });
  // T1
  if (first.processes.length === 0) throw new TroupeError("UNAVAILABLE", "No process answered in time: ask again.");
  // The newest are those one waits for.
  const traceIds = [...new Set(first.spans.toSorted(byStart).map(({ traceId }) => traceId))];
  // T2
  const rest = await ask(
    ports,
    { traceIds: traceIds.slice(-TRACES_FOLLOWED_MAX) },
    { timeoutMs: INSPECT_KNOWN_ANSWERS_MS, answersMax: first.processes.length, signal: options.signal },
  );
  const found = new Map([...first.spans, ...rest.spans].map((span) => [span.spanId, span]));
  const isShown = shownTo({ owner: principal.owner, isOwnUpload, isAlone }, found);
  const spans = [...found.values()].filter(isShown).sort(byStart);
  if (spans.length === 0) throw nothingKept();
  return {
    id,
    spans,
    counts: isOwnUpload || isAlone ? first.counts : [],
    processes: first.processes,
    isTruncated: first.isTruncated || rest.isTruncated || traceIds.length > TRACES_FOLLOWED_MAX,
  };
}

const byStart = (a: Span, b: Span): number => a.startMs - b.startMs;

function nothingKept(): TroupeError {
  return new TroupeError("NOT_FOUND", "No process remembers anything of it: it is too long ago, or it never was.");
}

async function isUploadOf(ports: GatewayPorts, uploadId: string, options: CallOptions): Promise<boolean> {
  try {
    await client(ports.bus, catalog).upload({ uploadId }, options);
    return true;
  } catch (error) {
    if (error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND") return false;
    throw error;
  }
}

/** T1 */
async function ask(ports: GatewayPorts, input: InputOf<typeof inspector, "spans">, options: CallOptions) {
  const answers = await client(ports.bus, inspector).spans(input, options);
  const outputs = answers.flatMap((answer) => (answer.ok ? [answer.output] : []));
  return {
    spans: outputs.flatMap(({ nodeId, spans }) => spans.map((span): PlacedSpan => ({ ...span, nodeId }))),
    counts: outputs.flatMap(({ nodeId, counts }) => counts.map((counted) => ({ ...counted, nodeId }))),
    processes: outputs.map(({ nodeId, roles }) => ({ nodeId, roles })),
    isTruncated: outputs.some(({ isTruncated }) => isTruncated),
  };
}
