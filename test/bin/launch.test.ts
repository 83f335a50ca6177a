/** What an old Node is told. */
import { describe, expect, it } from "vitest";
import { nodeFault } from "../../src/bin/launch.js";

describe("the launcher", () => {
  it("refuses a Node that is too old in one line that says what to do", () => {
    for (const version of ["12.22.12", "18.0.0", "20.20.2", "23.11.1"]) {
      const fault = nodeFault(version);
      expect(fault).toMatch(/^Troupe needs Node 24 or later, and this is Node [\d.]+: .*\.$/);
      expect(fault).not.toContain("\n");
    }
  });

  it("accepts every later one", () => {
    expect(["24.0.0", "26.10.0", "100.0.0"].map(nodeFault)).toEqual([undefined, undefined, undefined]);
  });
});
