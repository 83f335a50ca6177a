import { expect, test } from "vitest";
import { initialSnapshot, type SessionEvent, step } from "../../../src/actors/upload/machine.ts";
import { allTransitionCounts, tellableSteps, transitionCount } from "./transitions.ts";

const after = (...events: SessionEvent[]) => events.reduce((snapshot, event) => step(snapshot, event).snapshot, initialSnapshot());
const counted = (before: ReturnType<typeof after>, event: SessionEvent) =>
  transitionCount({ before, event, after: step(before, event).snapshot });
const OPENED: SessionEvent = { type: "session.opened", receivedCount: 0, isCommitUncertain: false };

test("every transition of the machine has a count", () => {
  const all = allTransitionCounts();
  expect(all).toContain("transition.init.session.opened.receiving");
  expect(all).toContain("transition.receiving.chunk.claimed.receiving");
  expect(all).toContain("transition.receiving.merge.requested.verifying");
  expect(all).toContain("transition.verifying.merge.interrupted.receiving");
  expect(all).toContain("transition.instant.file.committed.merged");
  expect(new Set(all).size).toBe(all.length);
});

test("an event is counted as the transition it makes", () => {
  expect(counted(after(), OPENED)).toBe("transition.init.session.opened.receiving");
  expect(counted(after(OPENED), { type: "chunk.claimed" })).toBe("transition.receiving.chunk.claimed.receiving");
  expect(counted(after(OPENED), { type: "merge.requested", isComplete: true })).toBe("transition.receiving.merge.requested.verifying");
  expect(counted(after(OPENED), { type: "possession.proven", blobId: 7 })).toBe("transition.receiving.possession.proven.instant");
});

test("an event that changes nothing is no transition", () => {
  expect(counted(after(OPENED), { type: "merge.requested", isComplete: false })).toBeUndefined();
  expect(counted(after(OPENED, { type: "cancel.requested" }), { type: "cancel.requested" })).toBeUndefined();
});

test("what is counted is among all there are, whatever comes in whatever state", () => {
  const all = new Set(allTransitionCounts());
  const error = { code: "DISK_FULL", detail: "full", retryable: true };
  const events: SessionEvent[] = [
    OPENED,
    { type: "chunk.claimed" },
    { type: "chunk.released" },
    { type: "chunk.received" },
    { type: "merge.requested", isComplete: true },
    { type: "file.verified", digests: { blake3: "00".repeat(32) } },
    { type: "digest.mismatched", error },
    { type: "file.replicated", copies: 1 },
    { type: "commit.sent" },
    { type: "file.committed" },
    { type: "possession.proven", blobId: 7 },
    { type: "possession.lost" },
    { type: "possession.refused", error },
    { type: "merge.interrupted", error },
    { type: "session.broken", error },
    { type: "cancel.requested" },
    { type: "idle.expired" },
  ];
  const seen = new Set<string>();
  const visit = (snapshot: ReturnType<typeof after>, depth: number): void => {
    for (const event of events) {
      const count = counted(snapshot, event);
      if (count === undefined) continue;
      expect(all).toContain(count);
      seen.add(count);
      if (depth > 0) visit(step(snapshot, event).snapshot, depth - 1);
    }
  };
  visit(after(), 4);
  expect([...all].filter((count) => !seen.has(count))).toEqual([]);
});

test("told are the words users see", () => {
  const steps = tellableSteps();
  expect(steps).toContain("receiving committing");
  expect(steps).toContain("committing merged");
  expect(steps).not.toContain("merged receiving");
});
