/** Times as the clock on this machine's wall shows them. */
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { shortTime } from "../../src/cli/time-text.ts";

const MODULE = new URL("../../src/cli/time-text.ts", import.meta.url).href;

describe("a time", () => {
  it.each([
    ["UTC", "2026-01-31 23:34"],
    ["Asia/Kolkata", "2026-02-01 05:04"],
    ["America/New_York", "2026-01-31 18:34"],
  ])("is that of %s there", (zone, text) => {
    // A process reads its zone once.
    const program = `console.log((await import(${JSON.stringify(MODULE)})).shortTime("2026-01-31T23:34:56.789Z"))`;
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", program], { env: { ...process.env, TZ: zone } });
    expect(said.toString()).toBe(`${text}\n`);
  });

  it("that is not known is nothing", () => {
    expect(shortTime(undefined)).toBe("");
  });
});
