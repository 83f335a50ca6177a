import { readdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { expect, it } from "vitest";
import { processDescriptors, readOpenMax } from "../../src/bin/process-descriptors.ts";

it.runIf(process.platform === "linux")("open descriptors are counted as they are", async () => {
  const descriptors = processDescriptors();
  const before = descriptors.counts();
  const files = await Promise.all(Array.from({ length: 20 }, () => open("/dev/null")));
  const after = descriptors.counts();
  // One of the list is the folder's own.
  expect(after?.openCount).toBe(readdirSync("/proc/self/fd").length - 1);
  for (const file of files) await file.close();
  expect((after?.openCount ?? 0) - (before?.openCount ?? 0)).toBe(20);
  expect(after?.openMax).toBeGreaterThan(after?.openCount ?? 0);
});

it("the limit is the soft one, and there may be none", () => {
  const limits = (soft: string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 4096                 files     \n`;
  expect(readOpenMax(limits("1024"))).toBe(1024);
  expect(readOpenMax(limits("unlimited"))).toBeUndefined();
});
