/** `troupe upload FOLDER`, and what `--dry-run` says of it. */
import { appendFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { CHUNK_BYTES_MIN, CLIENT_FILES_MAX } from "../../src/core/limits.ts";
import { problem } from "../client/memory-gateway.ts";
import { diskFailed, FaultyDisk } from "../support/faulty-disk.ts";
import { settle } from "../support/virtual-clock.ts";
import { commandRig } from "./command-rig.ts";

const CHUNK = CHUNK_BYTES_MIN;

async function folderRig(files: Readonly<Record<string, string>>) {
  const rig = await commandRig();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(rig.path(name)), { recursive: true });
    await writeFile(rig.path(name), text);
  }
  return {
    ...rig,
    /** Names and contents at the server. */
    stored: () => Object.fromEntries([...rig.gateway.files.values()].map(({ name, bytes }) => [name, bytes.toString()])),
  };
}

const namesIn = (out: string): string[] =>
  out
    .trim()
    .split("\n")
    .map((url) => url.replace(/^.*?\/files\/[^/]+\//, ""));
const PHOTOS = { "photos/b.jpg": "b", "photos/a/2.jpg": "2", "photos/a/1.jpg": "1", "photos/.hidden": "h" };

describe("a folder", () => {
  it.each(["photos", "photos/", "./photos"])("%s arrives with all it holds, below its name, in the order of names", async (word) => {
    await using rig = await folderRig(PHOTOS);
    const said = await rig.run(["upload", word]);
    expect(said).toMatchObject({ code: 0, err: expect.stringMatching(/^4 files uploaded, 4 B sent in \d+s\.\n$/) });
    expect(namesIn(said.out)).toEqual(["photos/.hidden", "photos/a/1.jpg", "photos/a/2.jpg", "photos/b.jpg"]);
    expect(rig.stored()).toEqual(PHOTOS);
  });

  it("gets another name with --name, and its own where it is called '.'", async () => {
    await using rig = await folderRig({ "photos/a": "1" });
    await rig.run(["upload", "photos/", "--name", "trips/2024"]);
    await rig.run(["upload", "."]);
    expect(Object.keys(rig.stored())).toEqual(["trips/2024/a", "c/photos/a"]);
    expect(await rig.run(["upload", "/"])).toMatchObject({ code: 2, err: expect.stringContaining("give one with --name") });
  });

  it("links and special files are skipped and told, empty folders counted, and it is no failure", async () => {
    await using rig = await folderRig({ "photos/a": "1" });
    await symlink("/etc/passwd", rig.path("photos/link"));
    await mkdir(rig.path("photos/empty"));
    const said = await rig.run(["upload", "photos"]);
    expect(said.code).toBe(0);
    expect(said.err).toMatch(
      /^Skipped photos\/link: a symbolic link is not followed\.\n1 file uploaded, 1 B sent in \d+s; 1 skipped; 1 empty folder left out\.\n$/,
    );
    expect(rig.stored()).toEqual({ "photos/a": "1" });
  });

  it("what cannot be read or named is told, the rest arrives, and it ends with 1", async () => {
    const long = "x".repeat(250);
    await using rig = await folderRig({ "photos/a": "1", "photos/b/c": "2", "photos/d": "3", [`photos/${long}`]: "4" });
    const disk = new FaultyDisk(rig.disk);
    disk.intercept = (call, path) => {
      if (call === "readDirectory" && path.endsWith("/b")) throw diskFailed(path, "EACCES");
      if (call === "open" && path.endsWith("/d")) throw diskFailed(path, "EIO");
    };
    const said = await rig.run(["upload", "photos"], { disk });
    expect(said.code).toBe(1);
    expect(namesIn(said.out)).toEqual(["photos/a"]);
    for (const part of ["photos/b: EACCES", "photos/d: EIO", `photos/${long}: It cannot be a file's name here`, "3 failed"])
      expect(said.err).toContain(part);
  });

  it("of 2,000 files arrives, with a bounded number at a time; again, nothing is sent", async () => {
    const files = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`many/${index % 20}/${index}`, `bytes of ${index}`]));
    await using rig = await folderRig(files);
    const said = await rig.run(["upload", "many", "--parallel", "3"]);
    expect(said).toMatchObject({ code: 0, err: expect.stringContaining("2000 files uploaded") });
    expect(rig.gateway.inFlightMax).toBeLessThanOrEqual(3);
    expect(rig.stored()).toEqual(files);
    rig.gateway.seen.length = 0;
    const again = await rig.run(["upload", "many"]);
    expect(again).toMatchObject({
      code: 0,
      out: said.out,
      err: expect.stringContaining("0 files uploaded, 0 B sent in 0s; 2000 already there"),
    });
    expect(rig.gateway.seen.every((seen) => seen.startsWith("GET "))).toBe(true);
  });

  it("its files share the chunks in flight", async () => {
    await using rig = await folderRig(Object.fromEntries(["a", "b", "c", "d"].map((name) => [`many/${name}`, name.repeat(6 * CHUNK)])));
    let flying = 0;
    let most = 0;
    rig.gateway.before = async (seen) => {
      if (!seen.startsWith("PUT")) return undefined;
      flying += 1;
      most = Math.max(most, flying);
      await settle();
      flying -= 1;
      return undefined;
    };
    expect((await rig.run(["upload", "many", "--chunk", "64KiB", "--parallel", "3"])).code).toBe(0);
    expect(most).toBe(3);
  });

  it("run again sends what is new and what has changed, also to the same size", async () => {
    await using rig = await folderRig(PHOTOS);
    await rig.run(["upload", "photos"]);
    await writeFile(rig.path("photos/b.jpg"), "B");
    await writeFile(rig.path("photos/new"), "n");
    rig.gateway.seen.length = 0;
    expect((await rig.run(["upload", "photos"])).err).toMatch(/^2 files uploaded, 2 B sent in \d+s; 3 already there\.\n$/);
    expect(rig.gateway.count(/^PUT/)).toBe(2);
  });

  it("continues the file it was broken off in", async () => {
    await using rig = await folderRig({ "photos/a": "1", "photos/b": "x".repeat(4 * CHUNK) });
    rig.gateway.before = (seen) => (seen.endsWith("chunks/3") ? problem(401, "UNAUTHORIZED") : undefined);
    const argv = ["upload", "photos", "--chunk", "64KiB", "--parallel", "1"];
    expect(await rig.run(argv)).toMatchObject({
      code: 4,
      err: expect.stringContaining("The same command again goes on where this one ended."),
    });
    rig.gateway.before = () => undefined;
    const said = await rig.run(argv);
    expect(said).toMatchObject({
      code: 0,
      err: expect.stringMatching(
        /^photos\/b: continues upload u2: 192 KiB of 256 KiB are there\.\n1 file uploaded, 64\.0 KiB sent in \d+s; 1 already there\.\n$/,
      ),
    });
  });

  it("is told once what every file of it would meet", async () => {
    await using rig = await folderRig(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`many/${index}`, "x"])));
    rig.gateway.before = (seen) => (seen.startsWith("POST") ? problem(401, "UNAUTHORIZED") : undefined);
    const said = await rig.run(["upload", "many"]);
    expect(said.code).toBe(4);
    expect(said.err.match(/UNAUTHORIZED/g)).toHaveLength(1);
    expect(rig.gateway.count(/^POST/)).toBe(1);
  });

  it("ends soon when the server goes away in the middle", async () => {
    await using rig = await folderRig(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`many/${index}`, "x"])));
    let left = 10;
    rig.gateway.before = (seen) =>
      seen.startsWith("POST") && seen.endsWith("uploads") && left-- <= 0 ? problem(401, "UNAUTHORIZED") : undefined;
    const said = await rig.run(["upload", "many"]);
    expect(said.code).toBe(4);
    expect(said.err).toContain("Not all files were begun. ");
    expect(rig.gateway.count(/^POST .*uploads$/)).toBeLessThanOrEqual(10 + CLIENT_FILES_MAX);
    expect(said.err.match(/UNAUTHORIZED/g)).toHaveLength(1);
  });

  it("a file that changes while it is sent is that file's failure", async () => {
    await using rig = await folderRig({ "photos/a": "1", "photos/b": "2" });
    rig.gateway.before = async (seen) => {
      if (seen.endsWith("u1/chunks/0")) await appendFile(rig.path("photos/a"), "more");
      return undefined;
    };
    expect(await rig.run(["upload", "photos"])).toMatchObject({ code: 1, err: expect.stringContaining("changed while it was sent") });
    expect(rig.stored()).toEqual({ "photos/b": "2" });
  });

  it("is one bar with the sum of all, which ends full", async () => {
    await using rig = await folderRig({ "photos/a": "x".repeat(1_000), "photos/b": "y".repeat(3_000) });
    await rig.run(["upload", "photos"], { isTerminal: true });
    expect(rig.bars).toMatchObject([{ label: "2 files", totalBytes: 4_000, stopped: true }]);
    expect(rig.bars[0]?.updates.at(-1)?.doneBytes).toBe(4_000);
  });

  it("stopped by Ctrl-C leaves the bar where it is, and counts what was under way as stopped and not as failed", async () => {
    await using rig = await folderRig(Object.fromEntries(["a", "b"].map((name) => [`photos/${name}`, name.repeat(4 * CHUNK)])));
    const controller = new AbortController();
    rig.gateway.before = async (seen, { body }) => {
      if (!seen.endsWith("u2/chunks/2")) return undefined;
      // It breaks off when the whole body has left and no answer has come.
      for await (const _ of body as AsyncIterable<Uint8Array>);
      controller.abort();
      throw new TroupeError("CANCELLED");
    };
    const argv = ["upload", "photos", "--chunk", "64KiB", "--parallel", "1"];
    const said = await rig.run(argv, { isTerminal: true, signal: controller.signal });
    expect(said).toMatchObject({ code: 1, out: expect.stringMatching(/^.*photos\/a\n$/) });
    expect(said.err).toMatch(
      /^Stopped\. The same command again goes on where this one ended\.\n1 file uploaded, 448 KiB sent in \d+s; 1 stopped\.\n$/,
    );
    const shown = rig.bars[0]?.updates.map(({ doneBytes }) => doneBytes) ?? [];
    expect(shown.at(-1)).toBe(7 * CHUNK);
    expect(shown).toEqual(shown.toSorted((one, other) => one - other));
    rig.gateway.before = () => undefined;
    const again = await rig.run([...argv, "--json"], { signal: AbortSignal.abort() });
    expect(again.err).toContain('"failed":0,"stopped":1,');
  });

  it("is one object a file with --json, and the rest on stderr", async () => {
    await using rig = await folderRig({ "photos/a": "1", "photos/b": "2" });
    await rig.run(["upload", "photos/a", "--name", "photos/a"]);
    await symlink("/etc/passwd", rig.path("photos/link"));
    const said = await rig.run(["upload", "photos", "--json"]);
    const lines = (text: string): unknown[] =>
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(lines(said.out)).toMatchObject([{ name: "photos/a", there: true }, { name: "photos/b" }]);
    expect(lines(said.err)).toMatchObject([
      { skipped: "photos/link" },
      { summary: { uploaded: 1, there: 1, skipped: 1, failed: 0, sentBytes: 1 } },
    ]);
  });

  it("cannot be what an upload is resumed with", async () => {
    await using rig = await folderRig({ "photos/a": "1" });
    expect((await rig.run(["upload", "photos", "--resume", "u1"])).code).toBe(2);
  });
});

describe("--dry-run", () => {
  it("says of each file what would happen, and changes nothing", async () => {
    await using rig = await folderRig({ "photos/a": "1", "photos/big": "x".repeat(4 * CHUNK) });
    await rig.run(["upload", "photos/a", "--name", "photos/a"]);
    rig.gateway.before = (seen) => (seen.endsWith("chunks/2") ? problem(401, "UNAUTHORIZED") : undefined);
    await rig.run(["upload", "photos/big", "--name", "photos/big", "--chunk", "64KiB", "--parallel", "1"]);
    rig.gateway.before = () => undefined;
    await writeFile(rig.path("photos/new"), "12345");
    await symlink("/etc/passwd", rig.path("photos/link"));
    rig.gateway.seen.length = 0;
    const said = await rig.run(["upload", "photos", "--dry-run"]);
    expect(said.out).toBe("there            1 B  photos/a\n" + "continues    256 KiB  photos/big\n" + "new              5 B  photos/new\n");
    expect(said.err).toMatch(/^Skipped photos\/link: .*\nNothing was sent\. 2 files would be, 128 KiB; 1 already there; 1 skipped\.\n$/);
    expect(rig.gateway.seen.every((seen) => seen.startsWith("GET "))).toBe(true);
    expect((await rig.run(["upload", "photos", "--dry-run", "--fresh"])).out).toContain("new          256 KiB  photos/big\n");
  });

  it("is JSON with --json, and ends with 1 for what cannot be sent", async () => {
    await using rig = await folderRig({ a: "1" });
    const said = await rig.run(["upload", "a", "nothing", "--dry-run", "--json"]);
    expect(JSON.parse(said.out)).toEqual({ action: "new", path: rig.path("a"), size: 1, name: "a" });
    expect(said.code).toBe(1);
    expect(JSON.parse(said.err)).toMatchObject({ error: { code: "DISK_FAILED", path: "nothing" } });
  });
});
