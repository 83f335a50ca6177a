import { describe, expect, it } from "vitest";
import { RandomStreams } from "./random-streams.ts";

describe("streams of random numbers", () => {
  it("know nothing of each other: what one draws shifts no other", () => {
    const alone = new RandomStreams(3).stream("bus", "delay");
    const streams = new RandomStreams(3);
    const beside = streams.stream("bus", "delay");
    const other = streams.stream("bus", "loss");
    const drawn: [number[], number[]] = [[], []];
    for (let count = 0; count < 50; count += 1) {
      drawn[0].push(alone.integer(1000));
      other.integer(1000);
      drawn[1].push(beside.integer(1000));
    }
    expect(drawn[1]).toEqual(drawn[0]);
  });

  it("differ by seed, component and purpose", () => {
    const first = (seed: number, component: string, purpose: string): string =>
      Buffer.from(new RandomStreams(seed).stream(component, purpose).bytes(16)).toString("hex");
    expect(new Set([first(1, "a", "b"), first(2, "a", "b"), first(1, "ab", ""), first(1, "a", "c"), first(1, "b", "a")]).size).toBe(5);
  });

  it("are even: each of ten numbers comes a tenth of the time, each bit of a byte half of it", () => {
    const random = new RandomStreams(5).stream("even", "numbers");
    const counts = new Array<number>(10).fill(0);
    for (let count = 0; count < 100_000; count += 1) {
      const drawn = random.integer(10);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    const bits = new Array<number>(8).fill(0);
    for (const byte of random.bytes(80_003)) for (let bit = 0; bit < 8; bit += 1) if ((byte >> bit) & 1) bits[bit] = (bits[bit] ?? 0) + 1;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(600);
    for (const count of bits) expect(Math.abs(count - 40_000)).toBeLessThan(900);
  });
});
