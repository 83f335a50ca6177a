/** `troupe link` and `troupe play`. */
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/cli/context.ts";
import { fileIdNumber, MemoryGateway, problem } from "../client/memory-gateway.ts";
import { commandRig } from "./command-rig.ts";

const ID = fileIdNumber(1);
const LINK = `${MemoryGateway.url}/files/${ID}?signature=s`;

async function playRig() {
  const rig = await commandRig();
  rig.gateway.add(ID, "films/a.mkv", Buffer.from("0123456789"));
  return rig;
}

/** A machine with these programs, and what was run on it. */
function machineWith(programs: readonly string[], code = 0, platform = "linux") {
  const ran: string[][] = [];
  const machine: Partial<Machine> = {
    platform,
    findProgram: (name) => (programs.includes(name) ? `/bin/${name}` : undefined),
    runProgram: async (path, argv) => {
      ran.push([path, ...argv]);
      return code;
    },
  };
  return { machine, ran };
}

describe("link", () => {
  it.each([ID, `http://elsewhere.test/files/${ID}/a.mkv`, "films/a.mkv"])("prints the URL only, for %s", async (word) => {
    await using rig = await playRig();
    expect(await rig.run(["link", word])).toEqual({ code: 0, out: `${LINK}\n`, err: "" });
    expect(rig.gateway.seen.at(-1)).toBe(`POST /api/v1/files/${ID}/link`);
  });

  it("asks for as long as it was told, in seconds, or leaves that to the server", async () => {
    await using rig = await playRig();
    await rig.run(["link", ID, "--expires", "7d"]);
    await rig.run(["link", ID]);
    expect(rig.gateway.requests.map(({ body }) => JSON.parse(String(body)))).toEqual([{ expiresSeconds: 604_800 }, {}]);
    expect(await rig.run(["link", ID, "--expires", "7"])).toMatchObject({ code: 2, err: expect.stringContaining("a number and a unit") });
  });

  it("is JSON with --json", async () => {
    await using rig = await playRig();
    expect(JSON.parse((await rig.run(["link", ID, "--json"])).out)).toEqual({ fileId: ID, url: LINK, expires: expect.any(String) });
  });

  it("of a name that no file has says so", async () => {
    await using rig = await playRig();
    expect(await rig.run(["link", "films"])).toMatchObject({ code: 3, err: expect.stringContaining('No file has the name "films"') });
  });

  it("refuses more than a year in words, and asks nobody", async () => {
    await using rig = await playRig();
    expect(await rig.run(["link", ID, "--expires", "9999d"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("It is 366d at most."),
    });
    expect(rig.gateway.seen).toEqual([]);
    expect((await rig.run(["link", ID, "--expires", "366d"])).code).toBe(0);
    expect((await rig.run(["link", "--help"])).out).toContain("at most 366d");
  });

  it("needs a gateway, and says so", async () => {
    await using rig = await playRig();
    const said = await rig.run(["--nats", "nats://c:p@bus:4222", "link", ID]);
    expect(said).toMatchObject({ code: 2, out: "", err: expect.stringContaining("give --gateway URL in place of --nats") });
  });
});

describe("a name", () => {
  const NEWEST = fileIdNumber(3);
  const words = (line: string) => line.split(" ");

  it.each([
    ["link films/a.mkv", `${MemoryGateway.url}/files/${NEWEST}?signature=s\n`],
    ["size films/a.mkv", "3\n"],
    ["download films/a.mkv -o -", "two"],
  ])("that several files have is that of the newest, and that is said: %s", async (line, out) => {
    await using rig = await playRig();
    rig.gateway.add(fileIdNumber(2), "films/a.mkv", Buffer.from("1"));
    rig.gateway.add(NEWEST, "films/a.mkv", Buffer.from("two"));
    rig.gateway.add(fileIdNumber(4), "films/a.mkv.part", Buffer.alloc(9));
    const said = await rig.run(words(line));
    expect(said).toEqual({
      code: 0,
      out,
      err: `3 files have the name "films/a.mkv"; this is the newest, ${NEWEST} (2026-01-31 12:34).\n`,
    });
    // A program reads there what went wrong.
    expect((await rig.run([...words(line), "--json"])).err).toBe("");
  });

  it("that files of several users have is none of them before somebody says which", async () => {
    await using rig = await playRig();
    rig.gateway.add(NEWEST, "films/a.mkv", Buffer.alloc(1), "anna");
    expect(await rig.run(["play", "films/a.mkv"])).toEqual({
      code: 2,
      out: "",
      err: `troupe: 2 users have a file of the name "films/a.mkv"; give the ID of one, newest first: ${NEWEST} (anna, 2026-01-31 12:34), ${ID} (default, 2026-01-31 12:34).\n`,
    });
  });

  it.each(["delete films/a.mkv", "delete films/a.mkv --json"])("is not enough to delete: %s", async (line) => {
    await using rig = await playRig();
    expect((await rig.run(words(line))).code).toBe(2);
    expect(rig.gateway.seen).toEqual([]);
    expect((await rig.run(["delete", "--help"])).out).toContain("never by its name");
  });
});

describe("play", () => {
  it.each([
    [["ffplay", "vlc", "mpv"], "linux", ["/bin/mpv", "--", LINK]],
    [["ffplay", "vlc"], "linux", ["/bin/vlc", "--play-and-exit", LINK]],
    [["ffplay", "open"], "linux", ["/bin/ffplay", "-autoexit", "--", LINK]],
    [["open", "iina"], "darwin", ["/bin/iina", LINK]],
    [["open"], "darwin", ["/bin/open", LINK]],
  ])("of %j on %s takes the first, with a signed link and no token", async (programs, platform, command) => {
    await using rig = await playRig();
    const { machine, ran } = machineWith(programs, 0, platform);
    const said = await rig.run(["play", "films/a.mkv", "--token", "alice:SECRET"], { machine });
    expect(said).toEqual({ code: 0, out: "", err: `Playing with ${command[0]}.\n` });
    expect(ran).toEqual([command]);
  });

  it("takes the player it was told, with its options", async () => {
    await using rig = await playRig();
    const { machine, ran } = machineWith(["mpv", "cvlc"]);
    await rig.run(["play", ID, "--player", "cvlc --no-audio"], { machine });
    expect(ran).toEqual([["/bin/cvlc", "--no-audio", LINK]]);
    const said = await rig.run(["play", ID, "--player", "nothing"], { machine });
    expect(said).toMatchObject({ code: 2, err: expect.stringContaining('No program "nothing" is found') });
  });

  it("says how the player ended", async () => {
    await using rig = await playRig();
    const { machine } = machineWith(["mpv"], 2);
    expect(await rig.run(["play", ID], { machine })).toMatchObject({ code: 1, err: expect.stringContaining("/bin/mpv ended with 2.") });
    const { out } = await rig.run(["play", ID, "--json"], { machine });
    expect(JSON.parse(out)).toEqual({ fileId: ID, url: LINK, player: "/bin/mpv", playerExitCode: 2 });
  });

  it("without a player names some, and prints the URL", async () => {
    await using rig = await playRig();
    const said = await rig.run(["play", ID], machineWith([]));
    expect(said).toMatchObject({ code: 1, out: `${LINK}\n`, err: expect.stringContaining("install mpv, vlc or ffmpeg") });
  });

  it("starts nothing for a file that is not there", async () => {
    await using rig = await playRig();
    const { machine, ran } = machineWith(["mpv"]);
    rig.gateway.before = () => problem(404, "FILE_NOT_FOUND");
    expect((await rig.run(["play", ID], { machine })).code).toBe(3);
    expect(ran).toEqual([]);
  });
});
