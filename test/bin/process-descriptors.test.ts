import { expect, it } from "vitest";
import { readOpenMax } from "../../src/bin/process-descriptors.ts";
import { run } from "../support/program.ts";

const DESCRIPTORS_URL = new URL("../../src/bin/process-descriptors.ts", import.meta.url).href;

// In a process of its own: other tests open and close files of this one.
it.runIf(process.platform === "linux")("open descriptors are counted as they are", async () => {
  const program = `
    import { readdirSync } from "node:fs";
    import { open } from "node:fs/promises";
    const { processDescriptors } = await import(${JSON.stringify(DESCRIPTORS_URL)});
    const descriptors = processDescriptors();
    const before = descriptors.counts();
    const files = await Promise.all(Array.from({ length: 20 }, () => open("/dev/null")));
    const after = descriptors.counts();
    const listedCount = readdirSync("/proc/self/fd").length;
    for (const file of files) await file.close();
    console.log(JSON.stringify({ before, after, listedCount }));
  `;
  const told = JSON.parse((await run(process.execPath, ["--input-type=module", "-e", program])).toString());
  const { before, after, listedCount } = told as Record<"before" | "after", { openCount: number; openMax: number }> & {
    listedCount: number;
  };
  // One of the list is the folder's own.
  expect(after.openCount).toBe(listedCount - 1);
  expect(after.openCount - before.openCount).toBe(20);
  expect(after.openMax).toBeGreaterThan(after.openCount);
});

it("the limit is the soft one, and there may be none", () => {
  const limits = (soft: string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 4096                 files     \n`;
  expect(readOpenMax(limits("1024"))).toBe(1024);
  expect(readOpenMax(limits("unlimited"))).toBeUndefined();
});
