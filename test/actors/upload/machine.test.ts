import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  initialSnapshot,
  isInstant,
  refusal,
  type SessionAction,
  type SessionCommand,
  type SessionEvent,
  type SessionEventType,
  type SessionSnapshot,
  stateOf,
  step,
} from "../../../src/actors/upload/machine.ts";
import { type LastError, UPLOAD_STATES, type UploadState } from "../../../src/core/shapes.ts";

const DIGESTS = { blake3: "ab".repeat(32) };
const ERROR: LastError = { code: "DISK_FULL", detail: "full", retryable: true };

/** One of each kind. */
const EVENTS: Readonly<Record<SessionEventType, SessionEvent>> = {
  "session.opened": { type: "session.opened", receivedCount: 0, isCommitUncertain: false },
  "chunk.claimed": { type: "chunk.claimed" },
  "chunk.released": { type: "chunk.released" },
  "chunk.received": { type: "chunk.received" },
  "merge.requested": { type: "merge.requested", isComplete: true },
  "file.verified": { type: "file.verified", digests: DIGESTS },
  "digest.mismatched": { type: "digest.mismatched", error: ERROR },
  "file.replicated": { type: "file.replicated", copies: 1 },
  "commit.sent": { type: "commit.sent" },
  "file.committed": { type: "file.committed" },
  "merge.interrupted": { type: "merge.interrupted", error: ERROR },
  "session.broken": { type: "session.broken", error: ERROR },
  "possession.proven": { type: "possession.proven", blobId: 7 },
  "possession.lost": { type: "possession.lost" },
  "possession.refused": { type: "possession.refused", error: ERROR },
  "cancel.requested": { type: "cancel.requested" },
  "idle.expired": { type: "idle.expired" },
};

/** `instant` is the other committing: of content that was there already. */
const PLACES = [...UPLOAD_STATES, "instant"] as const;
type Place = (typeof PLACES)[number];
const wordOf = (place: Place): UploadState => (place === "instant" ? "committing" : place);

/** How to get into each state from the beginning. */
const WAYS: Readonly<Record<Place, readonly SessionEventType[]>> = {
  init: [],
  receiving: ["session.opened"],
  verifying: ["session.opened", "merge.requested"],
  replicating: ["session.opened", "merge.requested", "file.verified"],
  committing: ["session.opened", "merge.requested", "file.verified", "file.replicated"],
  merged: ["session.opened", "merge.requested", "file.verified", "file.replicated", "file.committed"],
  cancelled: ["session.opened", "cancel.requested"],
  expired: ["session.opened", "idle.expired"],
  failed: ["session.opened", "session.broken"],
  instant: ["session.opened", "possession.proven"],
};

function inState(state: Place): SessionSnapshot {
  return WAYS[state].reduce((snapshot, type) => step(snapshot, EVENTS[type]).snapshot, initialSnapshot());
}

type Row = readonly [next: UploadState, ...actions: SessionAction[]];

/** Every event that a state does not name leaves it as it is. */
const TABLE: Readonly<Record<Place, Partial<Record<SessionEventType, Row>>>> = {
  init: { "session.opened": ["receiving"] },
  receiving: {
    "merge.requested": ["verifying", "startVerifying"],
    "session.broken": ["failed", "endUpload"],
    "cancel.requested": ["cancelled", "endUpload"],
    "idle.expired": ["expired", "endUpload"],
    "possession.proven": ["committing", "startKnownCommit"],
  },
  verifying: {
    "file.verified": ["replicating", "startReplicating"],
    "digest.mismatched": ["failed", "endUpload"],
    "merge.interrupted": ["receiving"],
    "session.broken": ["failed", "endUpload"],
    "cancel.requested": ["cancelled", "endUpload"],
  },
  replicating: {
    "file.replicated": ["committing", "startCommitting"],
  },
  committing: {
    "file.committed": ["merged", "stopWriters", "endMerged"],
    "merge.interrupted": ["receiving"],
    "session.broken": ["failed", "endUpload"],
  },
  merged: {},
  cancelled: {},
  expired: {},
  failed: {},
  instant: {
    "file.committed": ["merged", "stopWriters", "endMerged"],
    "possession.lost": ["receiving"],
    "possession.refused": ["failed", "endUpload"],
  },
};

const REFUSALS: Readonly<Record<Place, Readonly<Record<SessionCommand, string | undefined>>>> = {
  init: { storeChunk: "UPLOAD_BUSY", merge: "UPLOAD_BUSY", prove: "UPLOAD_BUSY", cancel: "UPLOAD_BUSY" },
  receiving: { storeChunk: undefined, merge: undefined, prove: undefined, cancel: undefined },
  verifying: { storeChunk: "UPLOAD_BUSY", merge: undefined, prove: undefined, cancel: undefined },
  replicating: { storeChunk: "UPLOAD_BUSY", merge: undefined, prove: undefined, cancel: "UPLOAD_COMMITTING" },
  committing: { storeChunk: "UPLOAD_BUSY", merge: undefined, prove: undefined, cancel: "UPLOAD_COMMITTING" },
  instant: { storeChunk: "UPLOAD_BUSY", merge: undefined, prove: undefined, cancel: "UPLOAD_COMMITTING" },
  merged: { storeChunk: "UPLOAD_MERGED", merge: undefined, prove: undefined, cancel: "UPLOAD_MERGED" },
  cancelled: { storeChunk: "UPLOAD_CANCELLED", merge: "UPLOAD_CANCELLED", prove: "UPLOAD_CANCELLED", cancel: undefined },
  expired: { storeChunk: "UPLOAD_EXPIRED", merge: "UPLOAD_EXPIRED", prove: "UPLOAD_EXPIRED", cancel: "UPLOAD_EXPIRED" },
  failed: { storeChunk: "UPLOAD_FAILED", merge: "UPLOAD_FAILED", prove: "UPLOAD_FAILED", cancel: "UPLOAD_FAILED" },
};

describe("the upload machine", () => {
  for (const state of PLACES) {
    for (const event of Object.values(EVENTS)) {
      const [next, ...actions] = TABLE[state][event.type] ?? [wordOf(state)];
      it(`${state} × ${event.type} → ${next}`, () => {
        const after = step(inState(state), event);
        expect(stateOf(after.snapshot)).toBe(next);
        expect(after.actions).toEqual(actions);
      });
    }
    it(`answers every command in ${state}`, () => {
      for (const command of ["storeChunk", "merge", "prove", "cancel"] as const)
        expect(refusal(inState(state), command), command).toBe(REFUSALS[state][command]);
    });
  }

  it("does not merge while a chunk is missing", () => {
    const after = step(inState("receiving"), { type: "merge.requested", isComplete: false });
    expect(stateOf(after.snapshot)).toBe("receiving");
    expect(after.actions).toEqual([]);
  });

  it("never cancels nor expires an upload whose commit may have happened", () => {
    const uncertain = (["commit.sent", "merge.interrupted"] as const).reduce(
      (snapshot, type) => step(snapshot, EVENTS[type]).snapshot,
      inState("committing"),
    );
    for (const type of ["cancel.requested", "idle.expired"] as const)
      expect(stateOf(step(uncertain, EVENTS[type]).snapshot)).toBe("receiving");
    // It has a blob of its own, which may be the file's by now.
    expect(stateOf(step(uncertain, EVENTS["possession.proven"]).snapshot)).toBe("receiving");
    expect(refusal(uncertain, "cancel")).toBe("UPLOAD_COMMITTING");
    const verifying = step(uncertain, EVENTS["merge.requested"]).snapshot;
    expect(stateOf(step(verifying, EVENTS["cancel.requested"]).snapshot)).toBe("verifying");
    expect(refusal(verifying, "cancel")).toBe("UPLOAD_COMMITTING");
  });

  it("counts bodies that end while known content is being committed, and goes on with what it has when that has gone", () => {
    const after = (
      ["chunk.claimed", "chunk.claimed", "possession.proven", "chunk.received", "chunk.released", "possession.lost"] as const
    ).reduce((snapshot, type) => step(snapshot, EVENTS[type]).snapshot, inState("receiving"));
    expect(after.context).toMatchObject({ receivedCount: 1, inFlightCount: 0, knownBlobId: undefined });
    expect(stateOf(step(after, EVENTS["merge.requested"]).snapshot)).toBe("verifying");
  });

  it("keeps the reason of an interrupted merge until the next one begins", () => {
    const interrupted = step(inState("committing"), EVENTS["merge.interrupted"]).snapshot;
    expect(interrupted.context.lastError).toEqual(ERROR);
    expect(step(interrupted, EVENTS["merge.requested"]).snapshot.context.lastError).toBeUndefined();
  });

  it("never leaves a final state and never counts below zero, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Object.values(EVENTS)), { maxLength: 40 }), (events) => {
        let snapshot = initialSnapshot();
        let ended: UploadState | undefined;
        let inFlight = 0;
        for (const event of events) {
          // The intake releases or receives only what it claimed.
          if ((event.type === "chunk.released" || event.type === "chunk.received") && inFlight === 0) continue;
          const before = stateOf(snapshot);
          const counts = before === "receiving" || isInstant(snapshot);
          snapshot = step(snapshot, event).snapshot;
          if (before === "receiving" && event.type === "chunk.claimed") inFlight += 1;
          if (counts && (event.type === "chunk.released" || event.type === "chunk.received")) inFlight -= 1;
          if (ended !== undefined) expect(stateOf(snapshot)).toBe(ended);
          if (["merged", "cancelled", "expired", "failed"].includes(stateOf(snapshot))) ended = stateOf(snapshot);
          expect(snapshot.context.inFlightCount).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
