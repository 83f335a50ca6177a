/** How fast, and how long still. */
import { expect, it } from "vitest";
import { RateMeter } from "../../src/page/rate.ts";

it("a steady speed is told as it is", () => {
  const meter = new RateMeter();
  for (let atMs = 0; atMs <= 10_000; atMs += 500) meter.add(atMs, atMs * 2_000);
  expect(meter.bytesPerSecond).toBeCloseTo(2_000_000);
});

it("nothing is told before there is something to go by", () => {
  const meter = new RateMeter();
  expect(meter.bytesPerSecond).toBeUndefined();
  meter.add(0, 0);
  meter.add(100, 5_000_000);
  expect(meter.bytesPerSecond).toBeUndefined();
});

it("what was long ago does not count, and bytes that were lost make no negative speed", () => {
  const meter = new RateMeter();
  for (let atMs = 0; atMs <= 10_000; atMs += 500) meter.add(atMs, atMs * 10_000);
  for (let atMs = 10_500; atMs <= 20_000; atMs += 500) meter.add(atMs, 100_000_000 + (atMs - 10_000) * 100);
  expect(meter.bytesPerSecond).toBeCloseTo(100_000);
  meter.add(20_500, 50_000_000);
  meter.add(21_500, 50_100_000);
  expect(meter.bytesPerSecond).toBeCloseTo(100_000);
});
