import { describe, expect, it } from "vitest";
import { makeDurableDirectory, publish, replaceFile, writeFully } from "../../../src/core/durable.ts";
import type { Disk } from "../../../src/core/ports/disk.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SECTOR_BYTES } from "./file-inode.ts";
import { Machine } from "./machine.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const SEEDS = 60;

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);

/** What comes of the same in many worlds, each once. */
async function outcomes(check: (machine: Machine) => Promise<unknown>): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed += 1) seen.add(JSON.stringify((await check(new Machine(seed))) ?? null));
  return seen;
}

/** Which bytes the sectors of a file have. */
async function sectorsOf(machine: Machine, path: string): Promise<number[] | undefined> {
  const bytes = await machine.read(path);
  if (bytes === undefined) return undefined;
  return Array.from({ length: Math.ceil(bytes.length / SECTOR_BYTES) }, (_, index) => {
    const sector = bytes.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES);
    expect(new Set(sector).size, "a sector is written whole or not at all").toBe(1);
    return sector[0] as number;
  });
}

describe("a process that writes", () => {
  it("may use its memory for something else at once", async () => {
    const machine = new Machine();
    const file = await machine.disk.open("/data/a", "create");
    const bytes = filled(70_000, 1);
    const written = file.write(bytes, 0);
    bytes.fill(2);
    await written;
    expect(await machine.read("/data/a")).toEqual(filled(70_000, 1));
  });

  it("may close a file while it writes: closing waits for that", async () => {
    const machine = new Machine();
    const file = await machine.disk.open("/data/a", "create");
    const written: string[] = [];
    const writes = Array.from({ length: 5 }, (_, index) => file.write(filled(1, index), index).then(() => written.push("written")));
    await file.close();
    expect(written).toHaveLength(5);
    await Promise.all(writes);
    await expect(file.write(filled(1, 1), 0)).rejects.toMatchObject({ facts: { errno: "EBADF" } });
  });
});

describe("a process that is killed", () => {
  it("leaves all it wrote and named to the operating system, synced or not", async () => {
    const machine = new Machine();
    await machine.disk.makeDirectory("/data/d");
    await machine.write("/data/d/a", filled(100_000, 1));
    await machine.disk.rename("/data/d/a", "/data/d/b");
    machine.dies("killed");
    expect(await machine.read("/data/d/b")).toEqual(filled(100_000, 1));
    expect(await machine.disk.status("/data/d/a")).toBeUndefined();
    expect(machine.simulated.pendingCount).toBe(4);
  });

  it("has done what it had asked for last, or never does", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(10, 1));
      const file = await machine.disk.open("/data/a", "write");
      void file.write(filled(10, 2), 0);
      machine.dies("killed");
      const before = await machine.read("/data/a");
      await machine.time.pass(60_000);
      expect(await machine.read("/data/a")).toEqual(before);
      return before?.[0];
    });
    expect([...seen].sort()).toEqual(["1", "2"]);
  });

  it("F20: gives up its lock and its open files", async () => {
    const machine = new Machine();
    await machine.disk.lock("/data");
    await machine.write("/data/a", filled(5000, 1));
    await machine.disk.open("/data/a", "read");
    await machine.disk.remove("/data/a");
    expect(machine.simulated.openFileCount).toBe(1);
    expect((await machine.disk.space("/data")).freeBytes).toBe(machine.simulated.totalBytes - 8192);
    machine.dies("killed");
    expect(machine.simulated.openFileCount).toBe(0);
    expect((await machine.disk.space("/data")).freeBytes).toBe(machine.simulated.totalBytes);
    await machine.disk.lock("/data");
  });

  it("F1: may have removed a part of a tree", async () => {
    const left = new Set<number>();
    for (let events = 0; events < 12; events += 1) {
      const machine = new Machine(events);
      await machine.disk.makeDirectory("/data/tree");
      for (const name of ["a", "b", "c"]) await machine.write(`/data/tree/${name}`, filled(1, 1));
      const removed = machine.disk.remove("/data/tree");
      machine.process.dieAfterEvents(events, "killed");
      await Promise.race([removed, machine.time.pass(1_000)]);
      machine.dies("killed");
      left.add(machine.simulated.files().length);
    }
    expect([...left].sort()).toEqual([0, 1, 2, 3]);
  });
});

describe("F6: a power cut", () => {
  it("keeps what was synced under names that were synced", async () => {
    const seen = await outcomes(async (machine) => {
      await makeDurableDirectory(machine.disk, "/data/x/y");
      await machine.write("/data/x/y/a", filled(70_000, 1), "synced");
      await machine.disk.syncDirectory("/data/x/y");
      machine.dies("power");
      expect(machine.simulated.pendingCount).toBe(0);
      return await sectorsOf(machine, "/data/x/y/a");
    });
    expect([...seen]).toEqual([JSON.stringify([...filled(137, 1)])]);
  });

  it("may take the name of a file whose bytes were synced, but not its bytes", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(3000, 1), "synced");
      machine.dies("power");
      return (await machine.read("/data/a"))?.every((byte) => byte === 1);
    });
    expect([...seen].sort()).toEqual(["null", "true"]);
  });

  it("takes everything below a directory that was not synced into its parent", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.disk.makeDirectory("/data/d");
      await machine.write("/data/d/a", filled(1, 1), "synced");
      await machine.disk.syncDirectory("/data/d");
      machine.dies("power");
      return machine.simulated.files().length;
    });
    expect([...seen].sort()).toEqual(["0", "1"]);
  });

  it("keeps, drops or tears each write that was not synced, sector by sector", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(20 * SECTOR_BYTES, 1), "synced");
      await machine.disk.syncDirectory("/data");
      await machine.write("/data/a", filled(20 * SECTOR_BYTES, 2));
      machine.dies("power");
      const sectors = await sectorsOf(machine, "/data/a");
      return new Set(sectors).size > 1 ? "torn" : sectors?.[0];
    });
    expect([...seen].sort()).toEqual(['"torn"', "1", "2"]);
  });

  it("leaves a file its old size, its new one, or one between, and zeros where bytes were dropped", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(SECTOR_BYTES, 1), "synced");
      await machine.disk.syncDirectory("/data");
      await machine.write("/data/a", filled(3 * SECTOR_BYTES, 1));
      machine.dies("power");
      return await sectorsOf(machine, "/data/a");
    });
    for (const outcome of [[1], [1, 1], [1, 1, 1], [1, 0, 0], [1, 0, 1]]) expect(seen).toContain(JSON.stringify(outcome));
  });

  it("keeps with a sector also what was written to it before", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(0, 0), "synced");
      await machine.disk.syncDirectory("/data");
      const file = await machine.disk.open("/data/a", "write");
      await file.write(filled(10, 1), 0);
      await file.write(filled(10, 2), 10);
      machine.dies("power");
      const bytes = (await machine.read("/data/a")) ?? [];
      return [bytes.length, bytes[0], bytes[10]];
    });
    expect(seen).toContain("[20,1,2]");
    expect(seen).toContain("[10,1,null]");
    expect(seen).not.toContain("[20,0,2]");
  });

  it("renames in one step: the old name for the old bytes, or the new name alone", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(1, 1), "synced");
      await machine.write("/data/b", filled(1, 2), "synced");
      await machine.disk.syncDirectory("/data");
      await machine.disk.rename("/data/b", "/data/a");
      machine.dies("power");
      return [await sectorsOf(machine, "/data/a"), await sectorsOf(machine, "/data/b")];
    });
    expect([...seen].sort()).toEqual(["[[1],[2]]", "[[2],null]"]);
  });

  it("renames into another directory in one step, with what went before there", async () => {
    const moved = (synced: "none" | "from" | "to") => async (machine: Machine) => {
      await machine.disk.makeDirectory("/data/from");
      await machine.disk.makeDirectory("/data/to");
      await machine.disk.syncDirectory("/data");
      await machine.write("/data/from/a", filled(1, 1), "synced");
      await machine.disk.syncDirectory("/data/from");
      await machine.write("/data/to/a", filled(1, 2), "synced");
      await machine.disk.rename("/data/from/a", "/data/to/a");
      if (synced !== "none") await machine.disk.syncDirectory(`/data/${synced}`);
      machine.dies("power");
      return [await sectorsOf(machine, "/data/from/a"), await sectorsOf(machine, "/data/to/a")];
    };
    expect([...(await outcomes(moved("none")))].sort()).toEqual(["[[1],[2]]", "[[1],null]", "[null,[1]]"]);
    for (const synced of ["from", "to"] as const) expect([...(await outcomes(moved(synced)))]).toEqual(["[null,[1]]"]);
  });

  it("may take what was written or named while a sync ran", async () => {
    const bytes = await outcomes(async (machine) => {
      await machine.write("/data/a", filled(1, 1), "synced");
      await machine.disk.syncDirectory("/data");
      const file = await machine.disk.open("/data/a", "write");
      const synced = file.sync();
      await Promise.all([synced, file.write(filled(1, 2), 0)]);
      machine.dies("power");
      return await sectorsOf(machine, "/data/a");
    });
    expect([...bytes].sort()).toEqual(["[1]", "[2]"]);
    const names = await outcomes(async (machine) => {
      const synced = machine.disk.syncDirectory("/data");
      await Promise.all([synced, machine.disk.makeDirectory("/data/d")]);
      machine.dies("power");
      return (await machine.disk.status("/data/d"))?.kind;
    });
    expect([...names].sort()).toEqual(['"directory"', "null"]);
  });

  it("brings removed names back unless their directory was synced, also the later without the earlier", async () => {
    const removedAll = (isSynced: boolean) => async (machine: Machine) => {
      for (const name of ["a", "b"]) await machine.write(`/data/${name}`, filled(1, 1), "synced");
      await machine.disk.syncDirectory("/data");
      for (const name of ["a", "b"]) await machine.disk.remove(`/data/${name}`);
      if (isSynced) await machine.disk.syncDirectory("/data");
      machine.dies("power");
      return machine.simulated.files().map(({ path }) => path.at(-1));
    };
    expect([...(await outcomes(removedAll(true)))]).toEqual(["[]"]);
    expect([...(await outcomes(removedAll(false)))].sort()).toEqual(['["a","b"]', '["a"]', '["b"]', "[]"]);
  });

  it("spares what the operating system has had time to write by itself", async () => {
    const seen = await outcomes(async (machine) => {
      await machine.disk.makeDirectory("/data/d");
      await machine.write("/data/d/a", filled(70_000, 1));
      await machine.time.pass(40_000);
      machine.dies("power");
      return await sectorsOf(machine, "/data/d/a");
    });
    expect([...seen]).toEqual([JSON.stringify([...filled(137, 1)])]);
  });

  it("leaves the space as it is counted: by what has a name", async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const machine = new Machine(seed);
      for (const name of ["a", "b", "c"]) await machine.write(`/data/${name}`, filled(9000, 1), name === "a" ? "synced" : "unsynced");
      await machine.disk.link("/data/a", "/data/second");
      await machine.disk.remove("/data/b");
      machine.dies("power");
      const allocated = new Map([...machine.simulated.tree.files()].map(({ inode }) => [inode, inode.allocatedBytes]));
      const used = [...allocated.values()].reduce((sum, bytes) => sum + bytes, 0);
      expect((await machine.disk.space("/data")).freeBytes).toBe(machine.simulated.totalBytes - used);
      for (const name of ["a", "b", "c", "second"]) await machine.disk.remove(`/data/${name}`);
      expect((await machine.disk.space("/data")).freeBytes).toBe(machine.simulated.totalBytes);
    }
  });

  it("at any moment of replacing a small file leaves the old or the new", async () => {
    for (let events = 0; events < SEEDS; events += 1) {
      const machine = new Machine(events);
      await replaceFile(machine.disk, "/data/a", filled(2000, 1));
      const replaced = replaceFile(machine.disk, "/data/a", filled(3000, 2)).then(() => true);
      machine.process.dieAfterEvents(events % 12, "power");
      const isDone = await Promise.race([replaced, machine.time.pass(1_000)]);
      machine.dies("power");
      const sectors = await sectorsOf(machine, "/data/a");
      if (isDone === true) expect(sectors).toEqual([2, 2, 2, 2, 2, 2]);
      else expect([JSON.stringify([1, 1, 1, 1]), JSON.stringify([2, 2, 2, 2, 2, 2])]).toContain(JSON.stringify(sectors));
    }
  });

  it("finds out who forgets to sync a directory, a new directory's parent, or the bytes", async () => {
    const published = (forgotten: "nothing" | "directory" | "parent" | "bytes") => async (machine: Machine) => {
      const forgetful = forgets(
        machine.disk,
        (path) => path === (forgotten === "directory" ? "/data/b" : forgotten === "parent" ? "/data" : ""),
      );
      await machine.write("/data/a", filled(2000, 1), forgotten === "bytes" ? "unsynced" : "synced");
      await publish(forgetful, "/data/a", "/data/b/c");
      machine.dies("power");
      return await sectorsOf(machine, "/data/b/c");
    };
    expect([...(await outcomes(published("nothing")))]).toEqual(["[1,1,1,1]"]);
    for (const forgotten of ["directory", "parent", "bytes"] as const)
      expect((await outcomes(published(forgotten))).size).toBeGreaterThan(1);
  });
});

function forgets(disk: Disk, isForgotten: (path: string) => boolean): Disk {
  return new Proxy(disk, {
    get: (target, key) =>
      key === "syncDirectory"
        ? async (path: string) => {
            if (!isForgotten(path)) await target.syncDirectory(path);
          }
        : (Reflect.get(target, key) as unknown),
  });
}

it("the same seed gives the same story", async () => {
  const story = async (seed: number): Promise<string> => {
    const world = new World(seed);
    const disk = new SimulatedDisk(world, "storage1", "/data");
    const process = new SimulatedProcess(world, "storage1", 1);
    const mounted = disk.mount(process);
    void (async () => {
      for (let index = 0; ; index += 1) {
        const file = await mounted.open(`/data/${index}`, "create");
        await writeFully(file, filled(2000, index), 0);
        if (index % 3 === 0) await file.sync();
        await file.close();
      }
    })();
    process.dieAfterEvents(200, "power");
    await world.scheduler.runUntil(10_000);
    return `${world.trace.hash} ${JSON.stringify(disk.files())}`;
  };
  expect(await story(5)).toBe(await story(5));
  expect(await story(5)).not.toBe(await story(6));
});
