/** What of a storage node's directory is there after its machine lost power, on a disk that keeps no more than what was synced. */
import { describe, expect, it } from "vitest";
import { BlobStore } from "../../../src/actors/storage/blob-store.ts";
import { openDataDirectory } from "../../../src/actors/storage/data-directory.ts";
import { blobPath } from "../../../src/core/blob-path.ts";
import { LEAF_BYTES } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { GroupedSyncDisk } from "../../../src/store/grouped-sync.ts";
import { Machine } from "../../simulation/disk/machine.ts";

const ROOT = "/data/troupe";
const GRACE_MS = 5_000;
const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);
const BYTES = new Uint8Array(1_000).fill(1);
const PLACE = { blobId: 77, path: blobPath(77, Date.UTC(2026, 0, 1)) };
const RECORD = {
  blobId: PLACE.blobId,
  group: "group001",
  sizeBytes: BYTES.length,
  leafBytes: LEAF_BYTES,
  digests: { blake3: "ab".repeat(32) },
  files: [],
};

async function start(machine: Machine): Promise<BlobStore> {
  const ports = { disk: new GroupedSyncDisk(machine.disk), clock: machine.process.clock, random: machine.process.random, log: SILENT_LOG };
  const { layout } = await openDataDirectory(ports, ROOT, "storage1");
  const store = new BlobStore(ports, layout, GRACE_MS);
  await store.recover();
  return store;
}

async function publish(machine: Machine, store: BlobStore): Promise<void> {
  const folder = `${ROOT}/uploads/upload1`;
  await machine.disk.makeDirectory(folder);
  await machine.write(`${folder}/data`, BYTES, "synced");
  await machine.write(`${folder}/leaves`, new Uint8Array(16), "synced");
  await store.publish(PLACE, { dataPath: `${folder}/data`, leavesPath: `${folder}/leaves` }, RECORD);
}

describe("after a power cut", () => {
  it("F6: a published blob is there, wherever the first start was killed before", async () => {
    for (const seed of SEEDS) {
      const machine = new Machine(seed);
      machine.process.dieAfterEvents(seed % 20, "killed");
      // Cut off, it never ends.
      void start(machine);
      await machine.time.pass(1_000);
      machine.dies("killed");
      const store = await start(machine);
      await publish(machine, store);
      machine.dies("power");
      expect(await machine.read((await start(machine)).locate(PLACE)), `seed ${seed}`).toEqual(BYTES);
    }
  });

  it("F7: a blob that was mended leaves nothing beside it once it is removed, wherever the mending was cut off, also the second time", async () => {
    for (let events = 0; events < 24; events += 1) {
      const machine = new Machine(events);
      const first = await start(machine);
      await publish(machine, first);
      const folder = `${ROOT}/uploads/upload1`;
      const synced = { dataPath: `${folder}/data`, leavesPath: `${folder}/leaves` };
      machine.process.dieAfterEvents(events, "killed");
      // Cut off, it never ends.
      void first.replace(PLACE, synced, RECORD);
      await machine.time.pass(1_000);
      machine.dies("killed");
      const store = await start(machine);
      await store.replace(PLACE, synced, RECORD);
      const mended = machine.simulated.files().map(({ path }) => path);
      expect(
        mended.filter((path) => path.endsWith(".mending")),
        `mended after event ${events}`,
      ).toEqual([]);
      machine.process.dieAfterEvents(events, "killed");
      void store.replace(PLACE, synced, RECORD);
      await machine.time.pass(1_000);
      machine.dies("killed");
      await (await start(machine)).discard(PLACE);
      expect(
        machine.simulated.files().filter(({ path }) => path.includes("/blobs/")),
        `removed after event ${events}`,
      ).toEqual([]);
    }
  });

  it("F25: a blob that was removed is gone for good, with all that was beside it", async () => {
    for (const seed of SEEDS) {
      const machine = new Machine(seed);
      const store = await start(machine);
      await publish(machine, store);
      await store.retire(PLACE);
      await machine.time.pass(GRACE_MS + 50);
      await store.close();
      machine.dies("power");
      await start(machine);
      await machine.time.pass(2 * GRACE_MS);
      const left = machine.simulated.files().map(({ path }) => path);
      expect(
        left.filter((path) => path.includes("/blobs/") || path.includes("/retired/")),
        `seed ${seed}`,
      ).toEqual([]);
    }
  });
});
