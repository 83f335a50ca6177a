import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { writeFully } from "../../../src/core/durable.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { GroupedSyncDisk } from "../../../src/store/grouped-sync.ts";
import type { Cluster } from "../cluster.ts";
import { NODES_USUAL, topologyOf } from "../plan.ts";
import { RandomStreams } from "../random-streams.ts";
import { DISK_FAULTS } from "./faults.ts";
import { Machine } from "./machine.ts";
import { SimulatedHasher } from "./simulated-hasher.ts";
import { storedKindOf } from "./stored-kind.ts";

const BLOB = "/data/troupe/blobs/000/000/000/65A0B0C0_001";
const UPLOAD = "/data/troupe/uploads/u1";
const LEAF = 65_536;

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);

/** `DISK_FAILED EIO` */
async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof TroupeError
    ? `${error.code} ${String(error.facts["errno"])} of ${String(error.facts["syscall"])}`
    : String(error);
}

/** A machine with an upload that has become a blob. */
async function withBlob(seed = 1): Promise<Machine> {
  const machine = new Machine(seed);
  const { disk } = machine;
  for (const folder of [UPLOAD, BLOB.slice(0, -13)]) await disk.makeDirectory(folder);
  await machine.write(`${UPLOAD}/journal`, filled(1000, 9), "synced");
  await machine.write(`${UPLOAD}/data`, filled(4 * LEAF, 1), "synced");
  await machine.write(`${UPLOAD}/leaves`, filled(64, 2), "synced");
  await machine.write(`${BLOB}.record`, filled(500, 3), "synced");
  await disk.link(`${UPLOAD}/data`, BLOB);
  await disk.link(`${UPLOAD}/leaves`, `${BLOB}.leaves`);
  return machine;
}

describe("a fault of the disk", () => {
  it.each(DISK_FAULTS.map((kind) => [kind.kind, kind] as const))(
    "%s hits the disk it names, and is over when it ends",
    async (_kind, kind) => {
      const drawn = kind.draw(new RandomStreams(7).stream("plan", kind.kind), topologyOf(NODES_USUAL));
      expect(JSON.parse(JSON.stringify(drawn))).toEqual(drawn);
      const machine = await withBlob();
      const cluster = { world: machine.world, disks: new Map([[drawn.with["storage"], machine.simulated]]) } as unknown as Cluster;
      const hits = "probability" in drawn.with ? { ...drawn.with, probability: 1 } : { ...drawn.with, leftBytes: 0, isLate: false };
      const fault = { kind: kind.kind, atMs: 0, forMs: drawn.forMs, with: hits };
      kind.begin(cluster, fault);
      const hasher = new SimulatedHasher(machine.process, machine.disk, machine.simulated.faults);
      const doAll = async (): Promise<void> => {
        await machine.disk.syncDirectory(dirname(BLOB));
        const file = await machine.disk.open(`${UPLOAD}/data`, "write");
        await file.write(filled(LEAF, 4), 4 * LEAF);
        await file.sync();
        await file.read(new Uint8Array(10), 0);
        await file.close();
        await machine.time.until(hasher.follow(`${UPLOAD}/data`, []).finish(4 * LEAF));
      };
      for (let again = 0; again < 3; again += 1) await doAll().catch(() => undefined);
      if (kind.kind === "disk.io-error-read") expect(await failure(machine.read(BLOB))).toBe("DISK_FAILED EIO of stat");
      expect(machine.world.counts.of(`fault.${kind.kind}`)).toBeGreaterThan(0);
      kind.end?.(cluster, fault);
      machine.dies("killed");
      await machine.write("/data/after", filled(1000, 1), "synced");
      expect(await machine.read("/data/after")).toEqual(filled(1000, 1));
      expect((await machine.disk.space("/data")).freeBytes).toBeGreaterThan(machine.simulated.totalBytes - 1024 * 1024);
    },
  );

  it("another kind less leaves what the rest draws as it was", async () => {
    const story = async (kinds: readonly string[]): Promise<string[]> => {
      const machine = await withBlob(3);
      const file = await machine.disk.open(BLOB, "read");
      for (const kind of kinds) machine.begin(kind, { probability: 0.3, delayMsMax: 0 });
      const results: string[] = [];
      for (let index = 0; index < 40; index += 1) results.push(await failure(file.read(new Uint8Array(1), 0)));
      await file.close();
      return results;
    };
    const alone = await story(["disk.io-error-read"]);
    expect(new Set(alone).size).toBe(2);
    expect(alone).toContain("DISK_FAILED EIO of read");
    expect(await story(["disk.io-error-read", "disk.slow", "disk.sync-error"])).toEqual(alone);
  });
});

describe("F5: a failed sync", () => {
  it("loses bytes that no later sync brings back, tells all who have the file open once, and those who open it later not", async () => {
    const machine = await withBlob();
    await machine.disk.syncDirectory("/data");
    await machine.write("/data/a", filled(LEAF, 1), "synced");
    await machine.disk.syncDirectory("/data");
    const file = await machine.disk.open("/data/a", "write");
    const other = await machine.disk.open("/data/a", "write");
    for (let index = 0; index < 16; index += 1) await file.write(filled(4096, 2), index * 4096);
    const end = machine.begin("disk.sync-error");
    expect(await failure(file.sync())).toBe("DISK_FAILED EIO of fdatasync");
    end();
    await file.sync();
    expect(await failure(other.sync())).toBe("DISK_FAILED EIO of fdatasync");
    await other.sync();
    const later = await machine.disk.open("/data/a", "write");
    await later.sync();
    const seen = (await machine.read("/data/a")) as Uint8Array;
    machine.dies("power");
    const durable = (await machine.read("/data/a")) as Uint8Array;
    const count = (bytes: Uint8Array, value: number): number => bytes.filter((byte) => byte === value).length;
    // Some were forgotten at once, some lived on in the cache until the power was cut.
    expect(count(durable, 1) + count(durable, 2)).toBe(LEAF);
    expect(count(seen, 2)).toBeLessThan(LEAF);
    expect(count(durable, 2)).toBeLessThan(count(seen, 2));
    expect(count(durable, 2)).toBeGreaterThan(0);
  });

  it("makes the device suspect", async () => {
    const machine = new Machine();
    const grouped = new GroupedSyncDisk(machine.disk);
    const file = await grouped.open("/data/a", "create");
    await file.write(filled(10, 1), 0);
    machine.begin("disk.sync-error");
    await expect(file.sync()).rejects.toMatchObject({ code: "DISK_FAILED" });
    expect(grouped.suspect).toBeDefined();
    await expect(grouped.syncDirectory("/data")).rejects.toMatchObject({ code: "DISK_FAILED" });
  });
});

describe("F3: a full disk", () => {
  it("takes what there is room for, then refuses, and takes more when there is room again", async () => {
    const machine = new Machine(1, 10 * 4096);
    const file = await machine.disk.open("/data/a", "create");
    expect(await file.write(filled(9 * 4096, 1), 100)).toBe(9 * 4096);
    expect(await file.write(filled(LEAF, 2), 4 * 4096)).toBe(6 * 4096);
    expect(await failure(file.write(filled(1, 1), LEAF))).toBe("DISK_FULL ENOSPC of write");
    // What takes no space is no trouble.
    expect(await file.write(filled(5000, 3), 0)).toBe(5000);
    await file.sync();
    expect((await machine.disk.space("/data")).freeBytes).toBe(0);
    expect(await failure(machine.disk.open("/data/b", "create"))).toBe("DISK_FULL ENOSPC of open");
    await file.truncate(0);
    expect((await machine.disk.space("/data")).freeBytes).toBe(10 * 4096);
    await writeFully(file, filled(10 * 4096, 1), 0);
    expect(machine.world.counts.of("fault.disk.full")).toBe(3);
  });

  it("may say that it has room", async () => {
    const machine = new Machine();
    const fault = { kind: "disk.full", atMs: 0, forMs: 0, with: { isUnseen: true } };
    machine.simulated.fill(fault, 4096);
    expect((await machine.disk.space("/data")).freeBytes).toBe(machine.simulated.totalBytes);
    expect(await failure(machine.write("/data/a", filled(5000, 1)))).toBe("DISK_FULL ENOSPC of write");
    expect((await machine.read("/data/a"))?.length).toBe(4096);
  });

  it("may be found out by the sync, which loses bytes", async () => {
    const machine = new Machine();
    const file = await machine.disk.open("/data/a", "create");
    const fault = { kind: "disk.full", atMs: 0, forMs: 0, with: { isLate: true } };
    machine.simulated.fill(fault, 0);
    expect((await machine.disk.space("/data")).freeBytes).toBe(0);
    await writeFully(file, filled(4096, 1), 0);
    expect(await failure(file.sync())).toBe("DISK_FULL ENOSPC of fdatasync");
    machine.simulated.unfill(fault);
    await writeFully(file, filled(4096, 2), 0);
    await file.sync();
  });
});

it("short writes are made whole by those who go on", async () => {
  const machine = new Machine();
  machine.begin("disk.short-write", { probability: 0.8 });
  const bytes = machine.process.random.bytes(50_000);
  await machine.write("/data/a", bytes);
  expect(machine.world.counts.of("fault.disk.short-write")).toBeGreaterThan(1);
  expect(await machine.read("/data/a")).toEqual(bytes);
});

it("F8: a slow disk answers within the time that the fault says", async () => {
  const machine = await withBlob();
  machine.begin("disk.slow", { probability: 1, delayMsMax: 10_000 });
  const beganMs = machine.world.nowMs;
  for (let index = 0; index < 20; index += 1) await machine.disk.status(BLOB);
  const tookMs = machine.world.nowMs - beganMs;
  expect(tookMs).toBeGreaterThan(20_000);
  expect(tookMs).toBeLessThan(200_000);
});

describe("F7: what a disk did to bytes", () => {
  it("is known by the file, under all its names, and is over when it is written anew", async () => {
    const machine = await withBlob();
    expect(machine.simulated.rot("data", 0, 0.5, 3)).toBe(`${UPLOAD}/data`);
    const at = 2 * LEAF;
    expect(machine.simulated.damaged()).toEqual([{ paths: [BLOB, `${UPLOAD}/data`], ranges: [{ from: at, to: at + 3 }] }]);
    expect((await machine.read(BLOB))?.findIndex((byte) => byte !== 1)).toBe(at);
    machine.dies("killed");
    await machine.disk.remove(`${UPLOAD}/data`);
    expect(machine.simulated.damageAt(BLOB)).toEqual([{ from: at, to: at + 3 }]);
    const file = await machine.disk.open(BLOB, "write");
    await file.write(filled(2, 1), at);
    expect(machine.simulated.damageAt(BLOB)).toHaveLength(1);
    await file.sync();
    expect(machine.simulated.damageAt(BLOB)).toEqual([{ from: at + 2, to: at + 3 }]);
    await machine.disk.remove(BLOB);
    expect(machine.simulated.damaged()).toEqual([]);
  });

  it("is told by upload, whatever its files are called by now, and slow or short calls are not", async () => {
    const machine = await withBlob();
    const { simulated, disk } = machine;
    const { strikes } = simulated;
    expect([strikes.hasHeld("u1"), strikes.hasHeld("u2")]).toEqual([true, false]);
    await disk.remove(UPLOAD);
    simulated.rot("data", 0, 0, 1);
    machine.begin("disk.short-write", { probability: 1 });
    machine.begin("disk.slow", { probability: 1, delayMsMax: 1 });
    await machine.write("/data/a", filled(10, 1));
    machine.begin("disk.sync-error", { probability: 1 });
    await expect(disk.syncDirectory(BLOB.slice(0, -13))).rejects.toThrow();
    const struck = ["disk.rot", "disk.short-write", "disk.slow", "disk.sync-error"].filter((kind) => strikes.lastMs(kind) !== undefined);
    expect(struck).toEqual(["disk.rot", "disk.sync-error"]);
    expect(struck.filter((kind) => strikes.lastMs(kind, "u1") !== undefined)).toEqual(["disk.rot"]);
    expect(strikes.lastMs("disk.sync-error")).toBe(machine.world.nowMs);
    expect(strikes.hasHeld("u1")).toBe(true);
  });

  it("spares journals, records and the marker", () => {
    for (const path of [`${UPLOAD}/journal`, `${BLOB}.record`, `${BLOB}.record.new`, "/data/troupe/marker.json", "/data/troupe/retired/17"])
      expect(storedKindOf(path)).toBe("other");
    expect(storedKindOf(`${UPLOAD}/data`)).toBe("data");
    expect(storedKindOf(BLOB)).toBe("data");
    expect(storedKindOf(`${BLOB}.leaves`)).toBe("leaves");
  });

  it.each(["disk.lost-write", "disk.misdirected-write"])("%s: every wrong byte lies in a range that is known", async (kind) => {
    let landed = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      const machine = await withBlob(seed);
      await machine.disk.makeDirectory("/data/troupe/uploads/u2");
      const right = new Map([
        [BLOB, filled(4 * LEAF, 1)],
        [`${BLOB}.leaves`, filled(64, 2)],
        [`${BLOB}.record`, filled(500, 3)],
        [`${UPLOAD}/journal`, filled(1000, 9)],
        ["/data/troupe/uploads/u2/data", filled(LEAF + 100, 5)],
      ]);
      const end = machine.begin(kind);
      await machine.write(`${UPLOAD}/journal`, filled(1000, 9), "synced");
      expect(machine.simulated.damaged()).toEqual([]);
      await machine.write("/data/troupe/uploads/u2/data", filled(LEAF + 100, 5), "synced");
      end();
      expect(machine.world.counts.of(`fault.${kind}`)).toBe(1);
      for (const folder of ["/data", "/data/troupe", "/data/troupe/uploads", "/data/troupe/uploads/u2"])
        await machine.disk.syncDirectory(folder);
      const check = async (): Promise<void> => {
        for (const [path, bytes] of right) {
          const found = await machine.read(path);
          if (found === undefined) continue;
          expect(found.length).toBe(bytes.length);
          const ranges = machine.simulated.damageAt(path);
          expect(found.every((byte, index) => byte === bytes[index] || ranges.some(({ from, to }) => from <= index && index < to))).toBe(
            true,
          );
        }
      };
      await check();
      expect(machine.simulated.damageAt("/data/troupe/uploads/u2/data").length).toBeGreaterThan(0);
      landed += machine.simulated.damaged().length - 1;
      machine.dies("power");
      await check();
    }
    if (kind === "disk.misdirected-write") expect(landed).toBeGreaterThan(0);
    else expect(landed).toBe(0);
  });
});
