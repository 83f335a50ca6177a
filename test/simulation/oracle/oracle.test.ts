/** A small cluster that did what its clients asked; then something is planted in it, and the oracle looks at everything. */
import { expect, test } from "vitest";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../../src/core/limits.ts";
import { Cluster, DATA_ROOT } from "../cluster.ts";
import type { FileInode } from "../disk/file-inode.ts";
import { topologyOf } from "../plan.ts";
import { endWish, openWish } from "../workload/history.ts";
import type { KnownFile } from "../workload/known-file.ts";
import { drawOperations } from "../workload/operations.ts";
import { Workload } from "../workload/workload.ts";
import { World } from "../world.ts";
import { ClusterView } from "./cluster-view.ts";
import { foundFiles } from "./known-rows.ts";
import { Oracle } from "./oracle.ts";

const NODES = { trackers: 1, allocators: 1, catalogs: 1, storages: 2, gateways: 2, clients: 2 };
const MINUTE_MS = 60_000;

class Finished {
  readonly world: World;
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly view: ClusterView;
  readonly oracle: Oracle;

  constructor(seed: number) {
    this.world = new World(seed);
    this.cluster = new Cluster(this.world, NODES);
    this.workload = new Workload(this.cluster, drawOperations(this.world.random, 0.5, topologyOf(NODES)));
    this.view = new ClusterView(this.cluster);
    this.oracle = new Oracle(this.cluster, this.workload.history);
  }

  async work(): Promise<this> {
    this.cluster.startAll();
    this.workload.start();
    await this.#until(() => this.workload.isDone);
    return this;
  }

  /** Rules that are broken. */
  async judge(): Promise<string[]> {
    let isOver = false;
    this.oracle.afterHealing().then(
      () => {
        isOver = true;
      },
      (error: unknown) => this.world.violate("oracle-failed", String(error)),
    );
    await this.#until(() => isOver);
    expect(isOver || this.world.violations.length > 0).toBe(true);
    return [...new Set(this.world.violations.map(({ rule }) => rule))];
  }

  sql(statement: string): void {
    this.cluster.databases.storage.inspect((committed) => committed.rows(statement));
  }

  /** One that is there. */
  get file(): KnownFile {
    const found = [...this.workload.history.files.values()].find((file) => !file.isDeleteAsked && file.content.sizeBytes > 0);
    if (found === undefined) throw new Error("some file is there");
    return found;
  }

  async #until(isOver: () => boolean): Promise<void> {
    await this.world.scheduler.runUntil(this.world.nowMs + 30 * MINUTE_MS, () => {
      this.oracle.afterEvent();
      return isOver() || this.world.violations.length > 0;
    });
  }
}

const finished = (seed = 1): Promise<Finished> => new Finished(seed).work();

test("what a cluster without faults did breaks no rule, and every file is read back", async () => {
  const world = await finished();
  expect(await world.judge()).toEqual([]);
  expect(world.world.counts.of("oracle.files-read-back")).toBeGreaterThan(5);
  // Four at each gateway, one of them begun before the restart and finished after it, which counts twice; in every way; slowly; and once more.
  expect(world.world.counts.of("oracle.files-used")).toBe(13);
});

test("a file that the catalog has lost is missed", async () => {
  const world = await finished();
  const { fileId } = world.file;
  for (const table of ["t_file_01", "t_file_02", "t_file_03", "t_file_id"])
    world.sql(`DELETE FROM ${table} WHERE CAST(file_id AS TEXT) = '${fileId}'`);
  expect(await world.judge()).toContain("references-are-rows");
});

test("rows are looked at while the world goes on", async () => {
  const world = await finished();
  world.sql("UPDATE t_blob SET reference_count = reference_count + 1 WHERE live IS 1");
  await world.world.scheduler.runUntil(world.world.nowMs + 30_000, () => {
    world.oracle.afterEvent();
    return false;
  });
  expect(world.world.violations.map(({ rule }) => rule)).toContain("references-are-rows");
});

test("a node that says nothing is found before a restart makes it speak", async () => {
  const world = await finished();
  world.cluster.life("storage2")?.pause(10 * 60 * MINUTE_MS);
  expect(await world.judge()).toEqual(["node-does-not-answer"]);
  expect(world.world.counts.of("oracle.files-used")).toBe(0);
});

test("uploads that fail are found before a restart", async () => {
  const world = await finished();
  for (const disk of world.cluster.disks.values())
    disk.faults.begin({ kind: "disk.io-error-write", atMs: 0, forMs: 0, with: { probability: 1 } });
  expect(await world.judge()).toEqual(["does-not-work"]);
  expect(world.world.violations.every(({ sentence }) => /^gateway[12]: /.test(sentence))).toBe(true);
});

test("what is acknowledged and not synced does not survive the restart", async () => {
  const world = await finished();
  for (const disk of world.cluster.disks.values()) {
    const syncDirectory = disk.syncDirectory.bind(disk);
    disk.syncDirectory = (path, beforeSequence) => path.includes("/blobs/") || syncDirectory(path, beforeSequence);
  }
  expect(await world.judge()).toContain("blob-missing");
  expect(world.world.counts.of("oracle.files-used")).toBe(13);
});

test("a chunk that is acknowledged and not synced does not survive it either", async () => {
  // One in which the power cut hits a node that has such an upload.
  const world = await finished(3);
  for (const disk of world.cluster.disks.values()) disk.sync = () => undefined;
  expect(await world.judge()).toEqual(["does-not-work"]);
  expect(world.world.violations.map(({ sentence }) => sentence).join()).toMatch(/upload [\w-]+ did not succeed/);
});

test("damage is known by the leaves that it is in", async () => {
  const world = await finished();
  const { view } = world;
  const [found] = foundFiles(view.rows).filter(({ sizeBytes }) => sizeBytes > 2 * LEAF_BYTES);
  if (found === undefined) throw new Error("some file has three leaves");
  const data = `${DATA_ROOT}/blobs/${found.blobPath}`;
  const inode = (path: string): FileInode =>
    [...world.cluster.disks.values()].map((disk) => disk.tree.find(path)).find((node) => node?.kind === "file") as FileInode;
  expect(view.damageOf(found.blobPath)).toEqual([]);
  inode(data).rot(LEAF_BYTES + 5, 1);
  expect(view.damageOf(found.blobPath)).toEqual([{ from: LEAF_BYTES, to: 2 * LEAF_BYTES }]);
  inode(`${data}.leaves`).rot(2 * LEAF_DIGEST_BYTES, 1);
  expect(view.damageOf(found.blobPath)).toContainEqual({ from: 2 * LEAF_BYTES, to: 3 * LEAF_BYTES });
});

test("a file that nobody has lost but was deleted, as clients know, is one too many", async () => {
  const world = await finished();
  const wish = openWish(0, "gateway1#1", world.world.nowMs);
  world.file.deletes.push(wish);
  endWish(wish, "acknowledged", world.world.nowMs);
  expect(await world.judge()).toEqual(["deleted-file-there"]);
});

/** Other bytes, of which no fault of the disk knows. */
function spoil(world: Finished, suffix: string): void {
  for (const disk of world.cluster.disks.values())
    for (const { path, sizeBytes } of disk.files()) {
      const inode = disk.tree.find(path);
      if (inode?.kind === "file" && path.startsWith(`${DATA_ROOT}/blobs/`) && path.endsWith(suffix))
        disk.tree.write(inode, Buffer.alloc(sizeBytes, 7), 0);
    }
}

function steal(world: Finished, suffix: string): void {
  const thief = world.cluster.beginLife("thief");
  for (const disk of world.cluster.disks.values()) {
    const mounted = disk.mount(thief);
    for (const { path } of disk.files()) if (path.startsWith(`${DATA_ROOT}/blobs/`) && path.endsWith(suffix)) void mounted.remove(path);
  }
}

test("a file that cannot be read is found before a restart", async () => {
  const world = await finished();
  spoil(world, ".leaves");
  expect(await world.judge()).toEqual(["file-unreadable"]);
  expect(world.world.counts.of("oracle.files-used")).toBe(0);
});

test("a blob without its leaf digests is found before a restart", async () => {
  const world = await finished();
  steal(world, ".leaves");
  expect(await world.judge()).toEqual(["leaves-missing"]);
  expect(world.world.counts.of("oracle.files-used")).toBe(0);
});

test("what no disk has any more is missed", async () => {
  const world = await finished();
  steal(world, ".record");
  expect(await world.judge()).toContain("record-missing");
});

test("work that is never done is told when its time is over", async () => {
  const world = await finished();
  const payload = JSON.stringify({ blobId: 1, path: "000/000/000/6955B90C_001", nodeIds: ["nobody"] });
  world.sql(`INSERT INTO t_outbox (kind, payload, attempt_count, due_time, create_time)
    VALUES ('blob.retired', CAST('${payload}' AS BLOB), 0, 0, 0)`);
  expect(await world.judge()).toContain("outbox-not-empty");
});

test("timers that stay are found, and subscriptions", async () => {
  const world = await finished();
  const gateway = world.cluster.life("gateway1");
  for (let count = 0; count < 50; count += 1) gateway?.later(10 * 60 * MINUTE_MS, "timer", () => undefined);
  const catalog = world.cluster.life("catalog1");
  if (catalog === undefined) throw new Error("a catalog lives");
  void world.cluster.bus.connect(catalog, { name: "leak" }).then((bus) => bus.subscribe("leak", () => undefined));
  await world.world.scheduler.runUntil(world.world.nowMs + 1_000);
  expect(await world.judge()).toEqual(["burden-stays"]);
  expect(world.world.violations.map(({ sentence }) => sentence.split(" ")[0])).toEqual(["catalog1", "gateway1"]);
});
