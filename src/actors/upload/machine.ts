/**
 * The upload session as a statechart, pure: it decides, and says what is to be done as named actions with parameters; the actor does
 * it and brings results back as events. `chunks` and `merge` are the two compound states users know; their leaves are the words the
 * HTTP API shows.
 *
 * U1: a commit that has begun is never cancelled, nor is one whose outcome is unknown.
 * U2: a final state is never left.
 * U4: while content that was proven to be the client's is being committed, bodies may still be ending; they change nothing but counts.
 * U3: every command has an answer in every state; what a state does not allow is a code from the table of errors ({@link refusal}).
 * U5: with one copy there is nothing to replicate: that is passed before any message is heard, and nothing can go wrong in it.
 */
import { assign, createActor, initialTransition, setup } from "xstate";
import type { ErrorCode } from "../../core/errors.ts";
import { ENDED_CODES, type FileDigests, type LastError, type UploadState } from "../../core/shapes.ts";

export interface SessionContext {
  readonly receivedCount: number;
  readonly inFlightCount: number;
  /** Known once verified. */
  readonly digests: FileDigests | undefined;
  /** Members on which everything is synced; known once replicated. */
  readonly copies: number;
  /** A commit was tried and its answer did not come: it may have happened. */
  readonly isCommitUncertain: boolean;
  /** The blob whose content was proven to be the client's, while the upload becomes a file of it. */
  readonly knownBlobId: number | undefined;
  readonly lastError: LastError | undefined;
}

export type SessionEvent =
  /** The journal is on disk and the catalog knows the upload; after a restart, with what the journal held. */
  | { readonly type: "session.opened"; readonly receivedCount: number; readonly isCommitUncertain: boolean }
  | { readonly type: "chunk.claimed" }
  | { readonly type: "chunk.released" }
  | { readonly type: "chunk.received" }
  | { readonly type: "merge.requested"; readonly isComplete: boolean }
  | { readonly type: "file.verified"; readonly digests: FileDigests }
  | { readonly type: "digest.mismatched"; readonly error: LastError }
  | { readonly type: "file.replicated"; readonly copies: number }
  | { readonly type: "commit.sent" }
  | { readonly type: "file.committed" }
  | { readonly type: "possession.proven"; readonly blobId: number }
  /** The content that was proven has gone before there was a file of it. */
  | { readonly type: "possession.lost" }
  /** The catalog has no such upload any more to make a file of. */
  | { readonly type: "possession.refused"; readonly error: LastError }
  /** A step did not succeed and may be tried again: back to the chunks, with the reason. */
  | { readonly type: "merge.interrupted"; readonly error: LastError }
  /** The session cannot go on: a lost disk, a refused commit. */
  | { readonly type: "session.broken"; readonly error: LastError }
  /** With why, where something else than a person's wish was the cause. */
  | { readonly type: "cancel.requested"; readonly error?: LastError | undefined }
  | { readonly type: "idle.expired" };

export type SessionEventType = SessionEvent["type"];

export const sessionMachine = setup({
  types: { context: {} as SessionContext, events: {} as SessionEvent },
  guards: {
    isComplete: ({ event }) => event.type === "merge.requested" && event.isComplete,
    isNotCommitting: ({ context }) => !context.isCommitUncertain,
  },
  actions: {
    // Named only: the actor performs them. A plain function here would be an effect in a pure machine.
    startVerifying: () => {},
    startReplicating: () => {},
    startCommitting: () => {},
    startKnownCommit: () => {},
    stopWriters: () => {},
    endUpload: () => {},
    endMerged: () => {},
    rememberError: assign({ lastError: ({ context, event }) => ("error" in event ? event.error : undefined) ?? context.lastError }),
    forgetError: assign({ lastError: undefined }),
    countClaim: assign({ inFlightCount: ({ context }) => context.inFlightCount + 1 }),
    countRelease: assign({ inFlightCount: ({ context }) => context.inFlightCount - 1 }),
    countReceived: assign({
      inFlightCount: ({ context }) => context.inFlightCount - 1,
      receivedCount: ({ context }) => context.receivedCount + 1,
    }),
    takeOpening: assign(({ event }) =>
      event.type === "session.opened" ? { receivedCount: event.receivedCount, isCommitUncertain: event.isCommitUncertain } : {},
    ),
    takeDigests: assign({ digests: ({ context, event }) => (event.type === "file.verified" ? event.digests : context.digests) }),
    takeCopies: assign({ copies: ({ context, event }) => (event.type === "file.replicated" ? event.copies : context.copies) }),
    takeKnown: assign({ knownBlobId: ({ event }) => (event.type === "possession.proven" ? event.blobId : undefined) }),
    markUncertain: assign({ isCommitUncertain: true }),
  },
}).createMachine({
  id: "upload",
  context: {
    receivedCount: 0,
    inFlightCount: 0,
    digests: undefined,
    copies: 0,
    isCommitUncertain: false,
    knownBlobId: undefined,
    lastError: undefined,
  },
  initial: "init",
  states: {
    init: {
      on: {
        "session.opened": { target: "chunks", actions: "takeOpening" },
      },
    },
    chunks: {
      initial: "receiving",
      states: {
        receiving: {
          on: {
            "chunk.claimed": { actions: "countClaim" },
            "chunk.released": { actions: "countRelease" },
            "chunk.received": { actions: "countReceived" },
            "merge.requested": { target: "#upload.merge", guard: "isComplete", actions: "forgetError" },
            "possession.proven": { target: "#upload.instant", guard: "isNotCommitting", actions: ["takeKnown", "forgetError"] },
            "cancel.requested": { target: "#upload.cancelled", guard: "isNotCommitting", actions: "rememberError" },
            "idle.expired": { target: "#upload.expired", guard: "isNotCommitting" },
            "session.broken": { target: "#upload.failed", actions: "rememberError" },
          },
        },
      },
    },
    merge: {
      initial: "verifying",
      states: {
        verifying: {
          entry: "startVerifying",
          on: {
            "file.verified": { target: "replicating", actions: "takeDigests" },
            "digest.mismatched": { target: "#upload.failed", actions: "rememberError" },
            "merge.interrupted": { target: "#upload.chunks", actions: "rememberError" },
            // U1: verifying again after an uncertain commit is still committing, as far as cancelling goes.
            "cancel.requested": { target: "#upload.cancelled", guard: "isNotCommitting", actions: "rememberError" },
            "session.broken": { target: "#upload.failed", actions: "rememberError" },
          },
        },
        replicating: {
          entry: "startReplicating",
          on: {
            // U5
            "file.replicated": { target: "committing", actions: "takeCopies" },
          },
        },
        committing: {
          entry: "startCommitting",
          on: {
            "commit.sent": { actions: "markUncertain" },
            "file.committed": { target: "#upload.merged" },
            "merge.interrupted": { target: "#upload.chunks", actions: "rememberError" },
            "session.broken": { target: "#upload.failed", actions: "rememberError" },
          },
        },
      },
    },
    instant: {
      initial: "committing",
      states: {
        committing: {
          entry: "startKnownCommit",
          on: {
            // U4
            "chunk.released": { actions: "countRelease" },
            "chunk.received": { actions: "countReceived" },
            "file.committed": { target: "#upload.merged" },
            "possession.lost": { target: "#upload.chunks", actions: "takeKnown" },
            "possession.refused": { target: "#upload.failed", actions: "rememberError" },
          },
        },
      },
    },
    // U2
    merged: { type: "final", entry: ["stopWriters", "endMerged"] },
    cancelled: { type: "final", entry: "endUpload" },
    expired: { type: "final", entry: "endUpload" },
    failed: { type: "final", entry: "endUpload" },
  },
});

export type SessionSnapshot = ReturnType<typeof initialSnapshot>;
/** What the actor has to do; the built-in assignments are already in the next snapshot. */
export const SESSION_ACTIONS = [
  "startVerifying",
  "startReplicating",
  "startCommitting",
  "startKnownCommit",
  "stopWriters",
  "endUpload",
  "endMerged",
] as const;
export type SessionAction = (typeof SESSION_ACTIONS)[number];

/** What one event did, for whoever watches a session. One that its state does not know leaves the snapshot as it was. */
export interface SessionStep {
  readonly before: SessionSnapshot;
  readonly event: SessionEvent;
  readonly after: SessionSnapshot;
}

const INITIAL = initialTransition(sessionMachine)[0];

export function initialSnapshot() {
  return INITIAL;
}

/**
 * The actor that a transition of the machine asks for. There is none: what it would do is told, not done. One for all, because to make it
 * costs more than the transition, and each chunk has two.
 */
const INERT_ACTOR = createActor(sessionMachine);
const INERT_SCOPE = {
  self: INERT_ACTOR,
  id: INERT_ACTOR.id,
  sessionId: INERT_ACTOR.sessionId,
  system: INERT_ACTOR.system,
  logger: () => undefined,
  defer: () => undefined,
  emit: () => undefined,
  stopChild: () => undefined,
};

/** The next snapshot, and what to do. An event the state does not know changes nothing. */
export function step(
  snapshot: SessionSnapshot,
  event: SessionEvent,
): { readonly snapshot: SessionSnapshot; readonly actions: readonly SessionAction[] } {
  const actions: SessionAction[] = [];
  const actionExecutor = ({ type }: { readonly type: string }): void => {
    if ((SESSION_ACTIONS as readonly string[]).includes(type)) actions.push(type as SessionAction);
  };
  return { snapshot: sessionMachine.transition(snapshot, event, { ...INERT_SCOPE, actionExecutor }), actions };
}

/** Keys from the top: `chunks.receiving`. One innermost state is current at a time. */
export function pathOf({ value }: Pick<SessionSnapshot, "value">): string {
  return typeof value === "string" ? value : (Object.entries(value)[0]?.join(".") ?? "");
}

/** The word users see. */
export function stateOf(snapshot: SessionSnapshot): UploadState {
  const value = snapshot.value;
  if (typeof value === "string") return value as UploadState;
  return Object.values(value)[0] as UploadState;
}

/** Whether a file is being made of content that was there already. */
export function isInstant(snapshot: SessionSnapshot): boolean {
  return snapshot.matches("instant");
}

export type SessionCommand = "storeChunk" | "merge" | "cancel" | "prove";

/** U3: why a command is refused in this state, or `undefined` when it is not. */
export function refusal(snapshot: SessionSnapshot, command: SessionCommand): ErrorCode | undefined {
  const state = stateOf(snapshot);
  switch (state) {
    case "init":
      return "UPLOAD_BUSY";
    case "receiving":
      return command === "cancel" && snapshot.context.isCommitUncertain ? "UPLOAD_COMMITTING" : undefined;
    case "verifying":
      if (command === "storeChunk") return "UPLOAD_BUSY";
      return command === "cancel" && snapshot.context.isCommitUncertain ? "UPLOAD_COMMITTING" : undefined;
    case "replicating":
    case "committing":
      if (command === "storeChunk") return "UPLOAD_BUSY";
      return command === "cancel" ? "UPLOAD_COMMITTING" : undefined;
    case "merged":
      return command === "merge" || command === "prove" ? undefined : ENDED_CODES.merged;
    case "cancelled":
      return command === "cancel" ? undefined : ENDED_CODES.cancelled;
    case "expired":
    case "failed":
      return ENDED_CODES[state];
  }
}
