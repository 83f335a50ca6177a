/**
 * To which request this moment's work belongs: the trace of W3C Trace Context and the ID of the HTTP request it began with. It is ambient,
 * so that nothing a function is for has to carry it: whoever receives a message enters its trace, and whoever sends one says it again.
 *
 * T1: it decides nothing. Logs, spans and headers tell it; what is answered is the same without it.
 * T2: what was set up inside a request and outlives it (a timer, a queue that others use too) still bears its trace; whatever serves
 *     many enters none ({@link inTrace} with `undefined`).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Random } from "./ports/random.ts";

export interface Trace {
  /** 32 hex digits. */
  readonly traceId: string;
  /** Of the span the work is in, 16 hex digits. */
  readonly spanId: string;
  /** Whoever began the trace wants it to be kept. */
  readonly isSampled: boolean;
  /** Of the HTTP request, as its client was told. */
  readonly requestId: string | undefined;
  /** It looks into what others do: no span of it is kept, so that looking pushes out nothing of what is looked at. */
  readonly isLook?: boolean;
  /** Said when it turns out which upload the work is for. Absent where nobody writes that down. */
  belongsTo?(uploadId: string): void;
}

// https://www.w3.org/TR/trace-context/, 3.2.2: a later version may add fields, the first four keep their places; none is all zeros.
const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const REQUEST_ID = /^[\w-]{1,64}$/;
/** Of an exchange between processes; on the bus it has a header of its own. */
export const REQUEST_ID_FIELD = "troupe-request-id";
const SAMPLED_BIT = 1;

const AMBIENT = new AsyncLocalStorage<Trace | undefined>();

export function currentTrace(): Trace | undefined {
  return AMBIENT.getStore();
}

/** Runs `work`, and all it sets going, in this trace; in none when it is `undefined`. */
export function inTrace<T>(trace: Trace | undefined, work: () => T): T {
  return AMBIENT.run(trace, work);
}

/** What a message's headers say; what is malformed is not passed on. */
export function readTrace(parent: string | undefined, requestId: string | undefined, isLook = false): Trace | undefined {
  const [, traceId, spanId, flags] = (parent === undefined ? undefined : TRACE_PARENT.exec(parent)) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return {
    traceId,
    spanId,
    isSampled: (Number.parseInt(flags, 16) & SAMPLED_BIT) === SAMPLED_BIT,
    requestId: requestId !== undefined && REQUEST_ID.test(requestId) ? requestId : undefined,
    isLook,
  };
}

/** As the header `traceparent`. */
export function traceParent({ traceId, spanId, isSampled }: Trace): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** The headers by which whoever is asked now does it in the trace of this moment. @param requestIdName what that of the request is called there */
export function traceHeaders(requestIdName: string): Readonly<Record<string, string>> {
  const trace = currentTrace();
  if (trace === undefined) return {};
  return { traceparent: traceParent(trace), ...(trace.requestId === undefined ? {} : { [requestIdName]: trace.requestId }) };
}

/** The header of a trace that begins here. */
export function newTraceParent(random: Random): string {
  const hex = (bytes: number): string => Buffer.from(random.bytes(bytes)).toString("hex");
  return traceParent({ traceId: hex(16), spanId: hex(8), isSampled: true, requestId: undefined });
}
