/** Records of uploads that may be gone on with. */
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type BegunFile, BegunUploads } from "../../src/client/begun-uploads.ts";
import { BEGUN_UPLOADS_KEPT_MS, BEGUN_UPLOADS_MAX } from "../../src/core/limits.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { FaultyDisk } from "../support/faulty-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const FILE: BegunFile = {
  gateway: "http://nas:8080",
  owner: "alice",
  app: "default",
  user: "default",
  name: "film.mkv",
  path: "/home/alice/film.mkv",
  sizeBytes: 5,
  modifiedMs: 1_000.25,
};

async function recordsRig(disk = new FaultyDisk(new NodeDisk())) {
  const directory = await temporaryDirectory();
  const path = join(directory.path, "state", "troupe");
  const clock = new VirtualClock();
  return {
    path,
    clock,
    disk,
    open: () => new BegunUploads({ disk, clock }, path),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("a record", () => {
  it("is found by all that makes the file what it is, and by nothing less", async () => {
    await using rig = await recordsRig();
    await rig.open().keep(FILE, "u1");
    const uploads = rig.open();
    expect(await uploads.find({ ...FILE })).toBe("u1");
    for (const [field, value] of Object.entries(FILE))
      expect(await uploads.find({ ...FILE, [field]: typeof value === "number" ? value + 0.25 : `${value}x` })).toBeUndefined();
  });

  it("is durable, with the directories that lead to it, when it is kept", async () => {
    await using rig = await recordsRig();
    const calls: string[] = [];
    rig.disk.intercept = (call, path) => void calls.push(`${call} ${path.slice(rig.path.length - "state/troupe".length)}`);
    await rig.open().keep(FILE, "u1");
    const at = (wanted: string): number => calls.findIndex((call) => call.startsWith(wanted));
    const last = calls.lastIndexOf("syncDirectory state/troupe");
    expect([at("syncDirectory state"), at("sync state/troupe/"), at("rename"), last].every((index) => index >= 0)).toBe(true);
    expect(at("sync state/troupe/")).toBeLessThan(at("rename"));
    expect(at("rename")).toBeLessThan(last);
  });

  it("is forgotten only by whoever knows its upload", async () => {
    await using rig = await recordsRig();
    const uploads = rig.open();
    await uploads.keep(FILE, "u1");
    await uploads.keep(FILE, "u2");
    await uploads.forget(FILE, "u1");
    expect(await uploads.find(FILE)).toBe("u2");
    await uploads.forget(FILE, "u2");
    expect(await readdir(rig.path)).toEqual([]);
  });

  it("older than a month goes when another is kept, and what is not ours stays", async () => {
    await using rig = await recordsRig();
    await rig.open().keep(FILE, "u1");
    const [old = ""] = await readdir(rig.path);
    const oldTime = (rig.clock.wallMs() - BEGUN_UPLOADS_KEPT_MS - 1_000) / 1000;
    await utimes(join(rig.path, old), oldTime, oldTime);
    await writeFile(join(rig.path, "notes.txt"), "mine");
    await utimes(join(rig.path, "notes.txt"), oldTime, oldTime);
    await rig.open().keep({ ...FILE, name: "other" }, "u2");
    const names = await readdir(rig.path);
    expect(names).toHaveLength(2);
    expect(names).toContain("notes.txt");
    expect(names).not.toContain(old);
  });

  it("is one of a bounded number: the oldest go", async () => {
    await using rig = await recordsRig();
    await mkdir(rig.path, { recursive: true });
    const names = Array.from({ length: BEGUN_UPLOADS_MAX }, (_, index) => `${index.toString(16).padStart(40, "0")}.json`);
    const nowMs = rig.clock.wallMs();
    // Real files would be ten thousand; what the disk says of them is enough.
    const removed: string[] = [];
    class FullDisk extends FaultyDisk {
      override async readDirectory() {
        return names.map((name) => ({ name, kind: "file" as const }));
      }
      override async status(path: string) {
        const index = names.indexOf(path.slice(-45));
        return index < 0 ? await super.status(path) : { kind: "file" as const, sizeBytes: 9, modifiedMs: nowMs - 1_000_000 + index };
      }
      override async remove(path: string) {
        removed.push(path.slice(-45));
        await super.remove(path);
      }
    }
    await new BegunUploads({ disk: new FullDisk(new NodeDisk()), clock: rig.clock }, rig.path).keep(FILE, "u1");
    expect(removed.filter((name) => names.includes(name))).toEqual([names[0]]);
  });
});
