import { expect, test } from "vitest";
import { isCovered, summaryLine, summaryOf } from "./campaign-summary.ts";

const result = (counts: Record<string, number>) => ({
  seed: 1,
  minutes: 1,
  realMs: 1_500,
  isRepeated: false,
  hash: "h",
  violations: [],
  counts,
  simulatedMs: 90_000,
  healedAtMs: 60_000,
  realUntilHealedMs: 500,
  eventCount: 5_000,
  operationCount: 40,
});
const expected = {
  faults: ["fault.bus.loss", "fault.disk.full"],
  transitions: ["transition.init.session.opened.receiving"],
  outcomes: ["operation.upload.done"],
};
const how = { knownCount: 1, isLong: true };

test("the last line sums up all runs, and names what never came about", () => {
  const summary = summaryOf([result({ "fault.bus.loss": 2 }), result({ "fault.bus.loss": 1, "upload.merge": 4 })], expected);
  expect(summaryLine(summary, how)).toBe(
    "2 seeds (1 known before, 0 run twice); 3.0 min simulated in 3.0 s of one process; " +
      "120 simulated s a second in a process until the world healed; 80 operations; 10,000 events; 3 faults took effect; " +
      "faults that never did: fault.disk.full; transitions that never were: transition.init.session.opened.receiving; " +
      "outcomes that never were: operation.upload.done; failures: 0",
  );
  expect(isCovered(summary)).toBe(false);
});

test("one of a thing is said as one", () => {
  const one = { ...result({ "fault.bus.loss": 1 }), operationCount: 1, eventCount: 1 };
  expect(summaryLine(summaryOf([one], expected), how)).toMatch(/^1 seed \(.* 1 operation; 1 event; 1 fault took effect; /);
});

test("a short run says how many kinds never came about, a long one which", () => {
  const summary = summaryOf([result({})], { ...expected, faults: ["fault.a", "fault.b", "fault.c", "fault.d"] });
  expect(summaryLine(summary, { ...how, isLong: false })).toContain("faults that never did: 4 kinds;");
  expect(summaryLine(summary, how)).toContain("faults that never did: fault.a, fault.b, fault.c, fault.d;");
});

test("runs in which everything came about cover what is expected", () => {
  const counts = { "fault.bus.loss": 1, "fault.disk.full": 1, "transition.init.session.opened.receiving": 1 };
  expect(isCovered(summaryOf([result(counts)], expected))).toBe(false);
  expect(isCovered(summaryOf([result({ ...counts, "operation.upload.done": 1 })], expected))).toBe(true);
});
