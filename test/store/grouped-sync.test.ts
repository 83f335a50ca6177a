import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import type { Disk, DiskFile } from "../../src/core/ports/disk.ts";
import { GroupedSyncDisk } from "../../src/store/grouped-sync.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { describeDisk } from "../contract/disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { settle } from "../support/virtual-clock.ts";

describeDisk("GroupedSyncDisk over NodeDisk", async () => {
  const directory = await temporaryDirectory();
  return {
    disk: new GroupedSyncDisk(new NodeDisk()),
    root: directory.path,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

const IO_ERROR = new TroupeError("DISK_FAILED", "the platter is scratched", { facts: { syscall: "fdatasync", errno: "EIO" } });
const FULL_ERROR = new TroupeError("DISK_FULL", "no room", { facts: { syscall: "fdatasync", errno: "ENOSPC" } });

interface Sync {
  readonly target: string;
  /** On a scale that counts every event of the test. */
  readonly startedAt: number;
  end(error?: TroupeError): void;
}

/** A disk of which only syncs work: each waits until the test ends it. */
class SlowSyncDisk implements Disk {
  now = 0;
  readonly started: Sync[] = [];
  readonly inFlight: Sync[] = [];
  mostInFlight = 0;

  sync(target: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const sync: Sync = {
        target,
        startedAt: this.now++,
        end: (error) => {
          this.inFlight.splice(this.inFlight.indexOf(sync), 1);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.started.push(sync);
      this.inFlight.push(sync);
      this.mostInFlight = Math.max(this.mostInFlight, this.inFlight.length);
    });
  }

  async open(path: string): Promise<DiskFile> {
    const sync = () => this.sync(path);
    return {
      path,
      sync,
      read: async () => 0,
      write: async () => 0,
      truncate: async () => undefined,
      sizeBytes: async () => 0,
      close: async () => undefined,
    };
  }

  syncDirectory(path: string): Promise<void> {
    return this.sync(path);
  }

  /** Ends the sync in flight, and lets the next one begin. */
  async end(error?: TroupeError): Promise<void> {
    const [sync] = this.inFlight;
    if (sync === undefined) throw new Error("no sync is in flight");
    sync.end(error);
    await settle(2);
  }

  async makeDirectory(): Promise<void> {}
  async readDirectory(): Promise<never[]> {
    return [];
  }
  async status(): Promise<undefined> {}
  async link(): Promise<void> {}
  async rename(): Promise<void> {}
  async remove(): Promise<void> {}
  async space(): Promise<{ totalBytes: number; freeBytes: number }> {
    return { totalBytes: 0, freeBytes: 0 };
  }
  async lock(): Promise<{ release(): Promise<void> }> {
    return { release: async () => undefined };
  }
}

/** A promise's end, readable without waiting. */
function watch(promise: Promise<void>): { outcome: string } {
  const watched = { outcome: "waiting" };
  promise.then(
    () => (watched.outcome = "synced"),
    (error: unknown) => (watched.outcome = error instanceof TroupeError ? error.code : "not a TroupeError"),
  );
  return watched;
}

describe("GroupedSyncDisk", () => {
  it("who asks while a sync is in flight shares the next one, and never the running one", async () => {
    const inner = new SlowSyncDisk();
    const file = await new GroupedSyncDisk(inner).open("a", "create");
    const first = watch(file.sync());
    const late = Array.from({ length: 10 }, () => watch(file.sync()));
    expect(inner.started.length).toBe(1);
    await inner.end();
    expect(first.outcome).toBe("synced");
    expect(late.map((each) => each.outcome)).toEqual(Array(10).fill("waiting"));
    expect(inner.started.length).toBe(2);
    await inner.end();
    expect(late.map((each) => each.outcome)).toEqual(Array(10).fill("synced"));
    expect(inner.started.length).toBe(2);
  });

  it("different files and directories take their turns, one in flight a device", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const a = await disk.open("a", "create");
    const b = await disk.open("b", "create");
    const all = [a.sync(), b.sync(), disk.syncDirectory("d"), a.sync(), b.sync(), disk.syncDirectory("d")];
    for (let round = 0; round < 4; round += 1) await inner.end();
    await Promise.all(all);
    expect(inner.started.map((sync) => sync.target)).toEqual(["a", "b", "d", "a"]);
    expect(inner.mostInFlight).toBe(1);
  });

  it("two open files of one path are two files", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const one = await disk.open("a", "write");
    const other = await disk.open("a", "write");
    const calls = [one.sync(), other.sync(), other.sync()].map(watch);
    await inner.end(IO_ERROR);
    await inner.end();
    expect(calls.map((call) => call.outcome)).toEqual(["DISK_FAILED", "synced", "synced"]);
    expect(inner.started.length).toBe(2);
  });

  it("F5: a failed sync rejects all its waiters and those of the next, is never retried, and the file object stays failed", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const file = await disk.open("a", "create");
    const other = await disk.open("b", "create");
    const waiters = [watch(file.sync()), watch(file.sync()), watch(file.sync())];
    const unconcerned = watch(other.sync());
    expect(disk.suspect).toBeUndefined();
    await inner.end(IO_ERROR);
    expect(waiters.map((waiter) => waiter.outcome)).toEqual(["DISK_FAILED", "DISK_FAILED", "DISK_FAILED"]);
    await expect(file.sync()).rejects.toBe(IO_ERROR);
    expect(disk.suspect).toBe(IO_ERROR);
    await inner.end();
    expect(unconcerned.outcome).toBe("synced");
    expect(inner.started.map((sync) => sync.target)).toEqual(["a", "b"]);
  });

  it("F3: a disk that is full at a sync fails the file object but is not suspect; the file opened anew syncs again", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const file = await disk.open("a", "create");
    const failed = watch(file.sync());
    await inner.end(FULL_ERROR);
    expect(failed.outcome).toBe("DISK_FULL");
    await expect(file.sync()).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(disk.suspect).toBeUndefined();
    const again = watch((await disk.open("a", "write")).sync());
    await inner.end();
    expect(again.outcome).toBe("synced");
  });

  it("F5: a directory whose sync failed stays failed, others do not", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const waiters = [watch(disk.syncDirectory("d")), watch(disk.syncDirectory("d"))];
    await inner.end(IO_ERROR);
    expect(waiters.map((waiter) => waiter.outcome)).toEqual(["DISK_FAILED", "DISK_FAILED"]);
    await expect(disk.syncDirectory("d")).rejects.toBe(IO_ERROR);
    const other = watch(disk.syncDirectory("e"));
    await inner.end();
    expect(other.outcome).toBe("synced");
  });

  it("F5: after very many failed directories none is believed", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    for (let index = 0; index < 64; index += 1) {
      const failed = watch(disk.syncDirectory(`d${index}`));
      await inner.end(IO_ERROR);
      expect(failed.outcome).toBe("DISK_FAILED");
    }
    await expect(disk.syncDirectory("untouched")).rejects.toBe(IO_ERROR);
  });

  it("a directory that is not there is an error of that call only", async () => {
    await using directory = await temporaryDirectory();
    const disk = new GroupedSyncDisk(new NodeDisk());
    const path = `${directory.path}/d`;
    await expect(disk.syncDirectory(path)).rejects.toMatchObject({ facts: { errno: "ENOENT" } });
    await disk.makeDirectory(path);
    await disk.syncDirectory(path);
    expect(disk.suspect).toBeUndefined();
  });

  it("closing a file rejects its syncs that have not begun, and the device is none the worse", async () => {
    const inner = new SlowSyncDisk();
    const disk = new GroupedSyncDisk(inner);
    const busy = await disk.open("busy", "create");
    const file = await disk.open("a", "create");
    const running = watch(busy.sync());
    const waiting = watch(file.sync());
    await file.close();
    await settle(2);
    expect(waiting.outcome).toBe("DISK_FAILED");
    expect(disk.suspect).toBeUndefined();
    await inner.end();
    expect(running.outcome).toBe("synced");
    expect(inner.started.length).toBe(1);
    const next = watch(busy.sync());
    await inner.end();
    expect(next.outcome).toBe("synced");
  });

  it("property: whatever the interleaving, a sync that returns is covered by one that began after the call, and none waits forever", async () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("sync" as const), target: fc.integer({ min: 0, max: 4 }) }) },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("end" as const), fails: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const inner = new SlowSyncDisk();
        const disk = new GroupedSyncDisk(inner);
        const files = await Promise.all(["f0", "f1", "f2"].map((path) => disk.open(path, "create")));
        const failedTargets = new Map<string, number>();
        const calls: { readonly target: string; readonly calledAt: number; outcome: string }[] = [];
        const end = async (error?: TroupeError): Promise<void> => {
          const [sync] = inner.inFlight;
          if (sync === undefined) return;
          if (error !== undefined) failedTargets.set(sync.target, inner.now);
          await inner.end(error);
        };
        for (const each of steps) {
          if (each.kind === "settle") await settle(1);
          else if (each.kind === "end") await end(each.fails ? IO_ERROR : undefined);
          else {
            const target = each.target < 3 ? `f${each.target}` : `d${each.target}`;
            const call = { target, calledAt: inner.now++, outcome: "waiting" };
            calls.push(call);
            const file = files[each.target];
            const covered = (): boolean =>
              inner.started.some((sync) => sync.target === target && sync.startedAt > call.calledAt && !inner.inFlight.includes(sync));
            (file === undefined ? disk.syncDirectory(target) : file.sync()).then(
              () => (call.outcome = covered() && !failedTargets.has(target) ? "synced" : `not covered: ${target}`),
              () => (call.outcome = failedTargets.has(target) ? "failed" : "failed for no reason"),
            );
          }
        }
        while (inner.inFlight.length > 0) await end();
        await settle(1);
        for (const call of calls) expect(["synced", "failed"]).toContain(call.outcome);
        expect(inner.mostInFlight).toBeLessThanOrEqual(1);
      }),
      { numRuns: 150 },
    );
  });
});
