/** A node that does not do its part of an exchange of bytes: one error, whose words name the node. */
import { TroupeError } from "../core/errors.ts";
import type { DataAccess } from "../core/ports/data-plane.ts";

export interface Unavailability {
  readonly cause?: unknown;
  /** Nothing reached the node, and a body to be sent is untouched: another way may be tried. */
  readonly unconnected?: boolean;
}

export function hostUnavailable({ nodeId, url }: DataAccess, why: string, { cause, unconnected }: Unavailability = {}): TroupeError {
  const node = url === undefined ? nodeId : `${nodeId} (${url})`;
  return new TroupeError("HOST_UNAVAILABLE", `The node ${node} is not available: ${why}`, {
    cause,
    facts: { nodeId, ...(unconnected === true ? { unconnected } : {}) },
  });
}

export function isUnconnected(error: unknown): boolean {
  return error instanceof TroupeError && error.code === "HOST_UNAVAILABLE" && error.facts["unconnected"] === true;
}
