/** What an old Node is told. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeFault } from "../../src/bin/launch.js";
import { temporaryDirectory } from "../support/temporary-directory.ts";

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

describe("a Node that is too old", () => {
  /** A package whose own Node takes over from one that is said to be old. */
  async function oldNode(ownNode: string | undefined) {
    const directory = await temporaryDirectory();
    const bin = join(directory.path, "src/bin");
    await mkdir(bin, { recursive: true });
    await copyFile(new URL("../../src/bin/launch.js", import.meta.url), join(bin, "launch.js"));
    await writeFile(join(directory.path, "package.json"), '{"type":"module"}');
    await writeFile(
      join(bin, "run.js"),
      'import { launch } from "./launch.js"; launch(new URL("./entry.js", import.meta.url), process.env.OLD);',
    );
    const entry = `process.on("SIGTERM", () => process.exit(9)); process.stdout.write(process.argv.slice(2).join() + "\\n");
      if (process.argv[2] === "wait") setTimeout(() => {}, 30_000); else process.exitCode = 7;`;
    await writeFile(join(bin, "entry.js"), entry);
    if (ownNode !== undefined) {
      const folder = join(directory.path, "node_modules/node/bin");
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "node"), ownNode, { mode: 0o755 });
    }
    const start = (...words: string[]) => {
      const child = spawn(process.execPath, [join(bin, "run.js"), ...words], { env: { ...process.env, OLD: "18.0.0" } });
      const said = { out: "", err: "" };
      child.stdout.on("data", (text) => void (said.out += text));
      child.stderr.on("data", (text) => void (said.err += text));
      return { child, said, end: once(child, "close").then(([code]) => ({ code: code as number, ...said })) };
    };
    return { start, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
  }
  const newer = `#!/bin/sh\nunset OLD\nexec '${process.execPath}' "$@"\n`;

  it("hands over to the one that came with the package, with its words, output and exit code", async () => {
    await using old = await oldNode(newer);
    expect(await old.start("a", "b c").end).toEqual({ code: 7, out: "a,b c\n", err: "" });
  });

  it("passes signals on", async () => {
    await using old = await oldNode(newer);
    const { child, end } = old.start("wait");
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect((await end).code).toBe(9);
  });

  it.each([
    ["there is none", undefined],
    ["it cannot be run", "#!/nowhere/at/all\n"],
  ])("says what to do and ends with 2 when %s", async (_, ownNode) => {
    await using old = await oldNode(ownNode);
    expect(await old.start().end).toEqual({ code: 2, out: "", err: expect.stringMatching(/^Troupe needs Node 24 or later[^\n]*\n$/) });
  });
});
