/** Completion, as real shells do it with the scripts we print. */
import { mkdir, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { thisMachine } from "../../src/bin/this-machine.ts";
import { run } from "../support/program.ts";
import { commandRig } from "./command-rig.ts";

const { findProgram } = thisMachine();

/** What bash proposes for the last word of each line. */
async function proposed(lines: readonly (readonly string[])[]): Promise<string[][]> {
  await using rig = await commandRig();
  const { out } = await rig.run(["completion", "bash"]);
  expect(rig.gateway.seen).toEqual([]);
  await writeFile(rig.path("troupe.bash"), out);
  await writeFile(rig.path("a film.mkv"), "");
  await writeFile(rig.path("it's.mkv"), "");
  await mkdir(rig.path("a folder"));
  const calls = lines.map(
    (words) =>
      `COMP_WORDS=(troupe ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _troupe; printf '%s\\n' "\${COMPREPLY[@]}" --`,
  );
  const script = `set -u; source ./troupe.bash; complete -p troupe >/dev/null; ${calls.join("\n")}`;
  const said = await run("bash", ["--norc", "--noprofile", "-c", script], { workingDirectory: rig.directory });
  return said
    .toString()
    .split("--\n")
    .slice(0, -1)
    .map((part) => part.split("\n").filter((word) => word !== ""))
    .map((words) => words.sort());
}

describe.skipIf(findProgram("bash") === undefined)("bash", () => {
  it.each([
    [["up"], ["upload", "uploads"]],
    [["--gateway", "http://nas:8080", "--json", "down"], ["download"]],
    [["upload", "--dr"], ["--dry-run"]],
    [["ls", "--o"], ["--owner"]],
    [
      ["uploads", "--state", ""],
      ["cancelled", "expired", "failed", "merged", "receiving"],
    ],
    [
      ["completion", ""],
      ["bash", "fish", "zsh"],
    ],
    [["config", ""], ["print"]],
    [
      ["config", "print", "--tls"],
      ["--tls-cert", "--tls-key"],
    ],
    [["help", "comp"], ["completion"]],
    [["inspect", "--machine", ""], ["json"]],
    [
      ["inspect", "--svg", "a f"],
      ["a film.mkv", "a folder"],
    ],
    [
      ["upload", "a"],
      ["a film.mkv", "a folder"],
    ],
    [["upload", "--name", "upload", "it"], ["it's.mkv"]],
    [
      ["download", "x", "-o", "a f"],
      ["a film.mkv", "a folder"],
    ],
    // Only the server knows them.
    [["size", ""], []],
    [["upload", "--name", "a"], []],
  ])("after %j proposes %j", async (words, wanted) => {
    expect(await proposed([words])).toEqual([wanted]);
  });

  it("proposes every command", async () => {
    const [commands] = await proposed([[""]]);
    expect(commands).toEqual(expect.arrayContaining(["upload", "download", "ls", "link", "play", "completion", "help"]));
  });
});

describe("a script", () => {
  it.each([
    ["bash", ["-n"]],
    ["zsh", ["-f", "-n"]],
    ["fish", ["--no-execute"]],
  ])("for %s has every command and option of its own, in that shell's own grammar", async (shell, argv) => {
    await using rig = await commandRig();
    const { out } = await rig.run(["completion", shell]);
    for (const word of ["upload", "play", "print", "dry-run", "bwlimit", "merged"]) expect(out).toContain(word);
    const path = findProgram(shell);
    // A shell that is not here cannot read it.
    if (path === undefined) return;
    await writeFile(rig.path("script"), out);
    await run(path, [...argv, rig.path("script")]);
  });

  it("is for the name troupe, which help says how to make", async () => {
    await using rig = await commandRig();
    expect((await rig.run(["completion", "--help"])).out).toContain('troupe() { npx troupe "$@"; }');
  });

  it("is for one of three shells", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["completion", "tcsh"])).toMatchObject({ code: 2, err: expect.stringContaining("bash, zsh, fish") });
  });
});
