import { expect, it } from "vitest";
import { ServerTime } from "../../src/store/redis-cache-time.ts";

const HOUR_MS = 3_600_000;

it("F9: a server's clock that goes on, stands a moment, drifts or jumps ahead is believed", () => {
  const time = new ServerTime();
  // Ours, theirs: answers that overlap, come late, and after a long silence.
  for (const [sentMs, answeredMs, serverMs] of [
    [0, 1, 5_000],
    [0.5, 3, 5_002],
    [2, 150, 5_003],
    [200, 201, 5_201],
    [300, 301, 5_301 + HOUR_MS],
    [300 + HOUR_MS, 301 + HOUR_MS, 5_301 + 2 * HOUR_MS - 3_000],
  ] as const) {
    expect(time.observe(sentMs, answeredMs, serverMs)).toBe(false);
    expect(time.isBelieved(serverMs)).toBe(true);
  }
});

it("F9, F17: after a server's clock was set back, what was written before is not believed, also not when that time comes again", () => {
  const time = new ServerTime();
  const startMs = 10 * HOUR_MS;
  time.observe(0, 1, startMs);
  time.observe(999, 1_000, startMs + 999);
  // Somebody else wrote this one moment before the clock was set back.
  const writtenMs = startMs + 1_400;
  expect(time.observe(1_500, 1_501, startMs - HOUR_MS + 1_500)).toBe(true);
  expect(time.isBelieved(startMs - HOUR_MS + 1_500)).toBe(false);
  expect(time.isBelieved(writtenMs)).toBe(false);
  const laterMs = HOUR_MS + 1_450;
  expect(time.observe(laterMs, laterMs + 1, startMs + 1_450)).toBe(false);
  expect(time.isBelieved(writtenMs)).toBe(false);
  // It has caught up, and what is written from now on is as good as ever.
  expect(time.observe(laterMs + 100, laterMs + 101, startMs + 1_550)).toBe(false);
  expect(time.isBelieved(startMs + 1_550)).toBe(true);
});

it("F9: a clock set back by a second is noticed at once", () => {
  const time = new ServerTime();
  time.observe(0, 1, 100_000);
  expect(time.observe(500, 501, 99_500)).toBe(true);
  expect(time.isBelieved(100_400)).toBe(false);
  expect(time.observe(600, 601, 99_600)).toBe(false);
  expect(time.isBelieved(99_600)).toBe(false);
});
