import { describe, expect, it } from "vitest";
import { again, MOVING_POLICY } from "../../src/client/again.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { QuickClock } from "./quick-clock.ts";

async function attemptsOf(error: TroupeError): Promise<number> {
  let attempts = 0;
  const work = async (): Promise<never> => {
    attempts += 1;
    throw error;
  };
  await expect(again(MOVING_POLICY, { clock: new QuickClock(), random: new SeededRandom(1) }, undefined, work)).rejects.toBe(error);
  return attempts;
}

describe("doing an exchange again", () => {
  it("goes on for a failure that may pass, and ends at once for one that has ended the upload", async () => {
    const lastError = { code: "DISK_FAILED", detail: "The disk failed.", retryable: true };
    expect(await attemptsOf(new TroupeError("DISK_FAILED"))).toBe(MOVING_POLICY.attemptsMax);
    expect(await attemptsOf(new TroupeError("DISK_FAILED", undefined, { facts: { lastError } }))).toBe(MOVING_POLICY.attemptsMax);
    expect(await attemptsOf(new TroupeError("DISK_FAILED", undefined, { facts: { lastError: { ...lastError, retryable: false } } }))).toBe(
      1,
    );
  });
});
