/**
 * Which spans of the traces that were found somebody may see.
 *
 * S1: nobody sees what somebody else's request did, also where both say that they belong to one trace.
 * S2: what no request is known of is seen by the owner of the upload it was found by, and of the only requests in its trace.
 */
import type { Span } from "../../core/span.ts";

export interface Looking {
  readonly owner: string;
  /** What was asked for is an upload of his. */
  readonly isOwnUpload: boolean;
  /** There is nobody else. */
  readonly isAlone: boolean;
}

/** @param found by their IDs */
export function shownTo({ owner, isOwnUpload, isAlone }: Looking, found: ReadonlyMap<string, Span>): (span: Span) => boolean {
  const requests = [...found.values()].filter((span) => span.owner !== undefined);
  const tracesOf = (isOwn: boolean) => new Set(requests.filter((span) => (span.owner === owner) === isOwn).map(({ traceId }) => traceId));
  const [own, others] = [tracesOf(true), tracesOf(false)];
  return (span) => {
    if (isAlone) return true;
    const request = requestOf(span, found);
    // S1
    if (request !== undefined) return request.owner === owner;
    // S2
    return (isOwnUpload || own.has(span.traceId)) && !others.has(span.traceId);
  };
}

/** The request of somebody's that a span belongs to, as far as what is between is known. */
function requestOf(span: Span, found: ReadonlyMap<string, Span>): Span | undefined {
  const passed = new Set<Span>();
  let at: Span | undefined = span;
  while (at !== undefined && at.owner === undefined && !passed.has(at)) {
    passed.add(at);
    at = at.parentId === undefined ? undefined : found.get(at.parentId);
  }
  return at?.owner === undefined ? undefined : at;
}
