/** `troupe upload FILE` run again: what an earlier run has begun is gone on with, and nothing else is. */
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CHUNK_BYTES_MIN } from "../../src/core/limits.ts";
import type { FileStatus } from "../../src/core/ports/disk.ts";
import { fileIdNumber, json, MemoryGateway, problem } from "../client/memory-gateway.ts";
import { diskFailed, FaultyDisk } from "../support/faulty-disk.ts";
import { commandRig } from "./command-rig.ts";

const CHUNK = CHUNK_BYTES_MIN;
const ARGV = ["upload", "a.bin", "--chunk", "64KiB", "--parallel", "1"];
const PUT = /^PUT /;
const urlOf = (number: number): string => `${MemoryGateway.url}/files/${fileIdNumber(number)}/a.bin\n`;

/** A run that was broken off when two of four chunks had arrived. */
async function brokenOff(argv: readonly string[] = ARGV, environment: Record<string, string> = {}) {
  const rig = await commandRig();
  const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
  rig.gateway.before = (seen) => (/chunks\/[23]$/.test(seen) ? problem(401, "UNAUTHORIZED") : undefined);
  const said = await rig.run(argv, { environment });
  if (said.code !== 4) throw new Error(said.err);
  rig.gateway.before = () => undefined;
  rig.gateway.seen.length = 0;
  return { ...rig, filePath: path, bytes, said, records: () => readdir(rig.state).catch(() => [] as string[]) };
}

describe("the same command after a break", () => {
  it("sends only the missing chunks, says so in one line, and forgets", async () => {
    await using rig = await brokenOff();
    expect(await rig.records()).toHaveLength(1);
    expect(await rig.run(ARGV)).toEqual({
      code: 0,
      out: urlOf(1),
      err: "a.bin: continues upload u1: 128 KiB of 256 KiB are there.\n",
    });
    // The first and the last chunk it had were compared.
    expect(rig.gateway.count(PUT)).toBe(4);
    expect(rig.gateway.count(/^POST .*uploads$/)).toBe(0);
    expect(rig.gateway.files.get(fileIdNumber(1))?.bytes.equals(rig.bytes)).toBe(true);
    expect(await rig.records()).toEqual([]);
  });

  it("has written down what it begins before the first chunk leaves, and no secret", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 2 * CHUNK);
    let record = "";
    rig.gateway.before = async (seen) => {
      if (seen.endsWith("chunks/0")) for (const name of await readdir(rig.state)) record = await readFile(join(rig.state, name), "utf8");
      return undefined;
    };
    await rig.run([...ARGV, "--token", "alice:SECRET"]);
    expect(JSON.parse(record)).toMatchObject({ uploadId: "u1", file: { owner: "alice", path: rig.path("a.bin"), sizeBytes: 2 * CHUNK } });
    expect(record).not.toContain("SECRET");
  });

  it("writes nothing down of a file with a single chunk", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    rig.gateway.before = (seen) => (seen.endsWith("merge") ? problem(401, "UNAUTHORIZED") : undefined);
    expect((await rig.run(["upload", "a.bin"])).err).not.toContain("to go on");
    expect(await readdir(rig.state).catch(() => [])).toEqual([]);
  });

  it.each([
    ["was cancelled", "cancelled"],
    ["was idle too long and has expired", "expired"],
    ["failed", "failed"],
  ])("begins anew by itself, and says so, when the upload %s meanwhile", async (words, state) => {
    await using rig = await brokenOff();
    const upload = rig.gateway.uploads.get("u1");
    if (upload !== undefined) upload.state = state;
    const said = await rig.run(ARGV);
    expect(said).toEqual({ code: 0, out: urlOf(1), err: `a.bin: upload u1, begun before, ${words}: begins anew.\n` });
    expect(rig.gateway.count(PUT)).toBe(4);
    expect(await rig.records()).toEqual([]);
  });

  it("begins anew when nobody there knows the upload, or its file was deleted", async () => {
    await using rig = await brokenOff();
    rig.gateway.before = (seen) => (seen.endsWith("uploads/u1") ? problem(404, "UPLOAD_NOT_FOUND") : undefined);
    expect(await rig.run(ARGV)).toMatchObject({ code: 0, err: expect.stringContaining("is not known there any more: begins anew.") });
    await using other = await brokenOff();
    const merged = { state: "merged", fileId: fileIdNumber(9), chunkBytes: CHUNK, missing: [], receivedCount: 4 };
    other.gateway.before = (seen) => (seen === "GET /api/v1/uploads/u1" ? json(200, merged) : undefined);
    expect(await other.run(ARGV)).toMatchObject({ code: 0, err: expect.stringContaining("became a file that was deleted since") });
  });

  it("prints the file and sends nothing when the upload had become one", async () => {
    await using rig = await brokenOff();
    const [record = ""] = await rig.records();
    const text = await readFile(join(rig.state, record));
    await rig.run(ARGV);
    // As after a kill between the merge and the record's removal.
    await writeFile(join(rig.state, record), text);
    rig.gateway.seen.length = 0;
    expect(await rig.run(ARGV)).toEqual({ code: 0, out: urlOf(1), err: "" });
    expect(rig.gateway.count(PUT)).toBe(0);
    expect(await rig.records()).toEqual([]);
  });

  it("does not go on with a file that has changed since: another size or time asks nobody", async () => {
    await using rig = await brokenOff();
    await utimes(rig.filePath, new Date(0), new Date(5_000));
    expect(await rig.run(ARGV)).toMatchObject({ code: 0, err: "" });
    expect(rig.gateway.count(/uploads\/u1/)).toBe(0);
  });

  it("does not join the bytes of two files whose time and size are the same", async () => {
    await using rig = await brokenOff();
    const written = await rig.disk.status(rig.filePath);
    await writeFile(rig.filePath, Buffer.alloc(4 * CHUNK, 7));
    // As a file system with coarse times keeps it.
    class CoarseDisk extends FaultyDisk {
      override async status(path: string): Promise<FileStatus | undefined> {
        return path === rig.filePath ? written : await super.status(path);
      }
    }
    const said = await rig.run(ARGV, { disk: new CoarseDisk(rig.disk) });
    expect(said).toMatchObject({ code: 0, err: expect.stringContaining("is of other bytes than the file has now: begins anew.") });
    expect(rig.gateway.files.get(fileIdNumber(1))?.bytes.equals(Buffer.alloc(4 * CHUNK, 7))).toBe(true);
  });

  it.each([
    ["--fresh", [...ARGV, "--fresh"], {}],
    ["another name", [...ARGV, "--name", "b.bin"], {}],
    ["another user", [...ARGV, "--user", "u"], {}],
    ["another app", [...ARGV, "--app", "p"], {}],
    ["another gateway", [...ARGV, "--gateway", "http://other.test"], {}],
    ["another owner", ARGV, { TROUPE_TOKEN: "bob:x" }],
  ])("begins anew with %s", async (_, argv, environment) => {
    await using rig = await brokenOff();
    expect(await rig.run(argv, { environment })).toMatchObject({ code: 0, err: "" });
    expect(rig.gateway.uploads.get("u2")?.state).toBe("merged");
    expect(rig.gateway.count(/^GET .*u1/)).toBe(0);
  });

  it("goes on with another secret of the same owner", async () => {
    await using rig = await brokenOff(ARGV, { TROUPE_TOKEN: "bob:x" });
    expect((await rig.run(ARGV, { environment: { TROUPE_TOKEN: "bob:y" } })).err).toContain("continues upload u1");
  });

  it.each(["", "{", '{"version":9,"uploadId":"u1"}', "x".repeat(100_000)])("takes a damaged record for none: %.20s", async (text) => {
    await using rig = await brokenOff();
    const [record = ""] = await rig.records();
    await writeFile(join(rig.state, record), text);
    expect(await rig.run(ARGV)).toMatchObject({ code: 0, out: urlOf(1), err: "" });
    expect(await rig.records()).toEqual([]);
  });

  it("two at once share the upload, and both print its file", async () => {
    await using rig = await brokenOff();
    const [one, other] = await Promise.all([rig.run(ARGV), rig.run(ARGV)]);
    expect([one, other]).toMatchObject([
      { code: 0, out: urlOf(1) },
      { code: 0, out: urlOf(1) },
    ]);
    expect(rig.gateway.files.size).toBe(1);
    expect(await rig.records()).toEqual([]);
  });

  it("--resume ID is remembered like any other", async () => {
    await using rig = await brokenOff([...ARGV, "--name", "b.bin"]);
    rig.gateway.before = (seen) => (seen.endsWith("chunks/3") ? problem(401, "UNAUTHORIZED") : undefined);
    expect((await rig.run([...ARGV, "--resume", "u1"])).err).toContain("the same command again");
    rig.gateway.before = () => undefined;
    expect((await rig.run(ARGV)).err).toContain("continues upload u1: 192 KiB");
  });
});

describe("without a place for records", () => {
  it("an upload goes through, and says what would go on with it", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 2 * CHUNK);
    const disk = new FaultyDisk(rig.disk);
    disk.intercept = (call, path) => {
      if (call === "makeDirectory") throw diskFailed(path, "EACCES");
    };
    const said = await rig.run(ARGV, { disk });
    expect(said).toEqual({
      code: 0,
      out: urlOf(1),
      err: `a.bin: If this upload is broken off, only --resume u1 goes on with it: that cannot be written down (${rig.state}: EACCES).\n`,
    });
  });

  it("a user without a home is told the whole command", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 2 * CHUNK);
    rig.gateway.before = (seen) => (seen.endsWith("chunks/1") ? problem(401, "UNAUTHORIZED") : undefined);
    const options = { environment: { TROUPE_STATE_DIR: "" }, machine: { homeDirectory: undefined } };
    expect((await rig.run(ARGV, options)).err).toContain("  to go on    troupe upload --resume u1 a.bin\n");
  });
});
