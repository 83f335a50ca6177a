/** What the routes of the inspector answer, as far as the page uses it. */
import type { Inspected, InspectedNews } from "../../inspector/inspected.ts";
import type { SequenceSpan } from "../../inspector/sequence.ts";

/** One line of the list. */
export interface ListedSession {
  readonly uploadId: string;
  readonly name: string;
  readonly state: string;
  /** ISO times. */
  readonly created: string;
  readonly since: string;
  readonly size?: number;
  readonly lastError?: { readonly code: string; readonly detail: string };
}

export interface SessionsPage {
  readonly uploads: readonly ListedSession[];
  readonly cursor?: string;
}

/** An upload as its owner sees it. */
export interface SessionStatus {
  readonly uploadId: string;
  readonly name: string;
  readonly state: string;
  readonly since: string;
  readonly created?: string;
  readonly size?: number;
  readonly chunkBytes?: number;
  readonly chunkCount?: number;
  readonly receivedCount?: number;
  readonly receivedBytes?: number;
  readonly inFlightCount?: number;
  readonly followedBytes?: number;
  readonly expires?: string;
  /** When something came last. */
  readonly lastActivity?: string;
  readonly lastError?: { readonly code: string; readonly detail: string };
  readonly fileId?: string;
}

export interface Inspection {
  /** As far as the catalog knows it, when its host does not answer. */
  readonly upload: SessionStatus;
  readonly host: string;
  readonly group: string;
  readonly epoch: number;
  readonly machine?: Inspected;
  /** Why there is no machine to be seen. */
  readonly missing?: string;
  readonly why: string;
}

export type { Inspected, InspectedNews };

export interface TraceAnswer {
  readonly spans: readonly SequenceSpan[];
  readonly counts: readonly { readonly name: string; readonly count: number }[];
  readonly processes: readonly { readonly nodeId: string; readonly roles: readonly string[] }[];
  readonly isTruncated: boolean;
}

export interface ActorAnswer {
  readonly actor: string;
  readonly subject: string;
  readonly state: string;
  /** How long it has been in it. */
  readonly sinceMs: number;
  readonly recent: readonly { readonly event?: string; readonly state: string; readonly agoMs: number }[];
  readonly turns: number;
  readonly crashes: number;
  readonly waiting: number;
  readonly deferred: number;
  readonly deadLetters: number;
}

export interface ProcessAnswer {
  readonly nodeId: string;
  readonly roles: readonly string[];
  readonly version: string;
  readonly startedMs: number;
  readonly actors: readonly ActorAnswer[];
  readonly counts: readonly { readonly actor: string; readonly count: number }[];
}

export interface NodeAnswer {
  readonly nodeId: string;
  readonly group: string;
  readonly state: string;
  /** It stopped on purpose. */
  readonly left: boolean;
  readonly sinceMs: number;
  readonly recent: ActorAnswer["recent"];
  readonly silentMs: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly closedToUploads: boolean;
}
