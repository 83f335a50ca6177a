/** What every Disk keeps: run on the real one and on the simulated one. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import type { Disk, DiskFile } from "../../src/core/ports/disk.ts";

export interface DiskUnderTest extends AsyncDisposable {
  readonly disk: Disk;
  /** An existing, empty directory. */
  readonly root: string;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function write(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, "create");
  await file.write(bytesOf(text), 0);
  await file.close();
}

async function read(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, "read");
  try {
    const into = new Uint8Array(1024);
    return new TextDecoder().decode(into.subarray(0, await file.read(into, 0)));
  } finally {
    await file.close();
  }
}

/** The error's code and errno, as `DISK_FAILED ENOENT`. */
async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TroupeError)) return `not a TroupeError: ${String(error)}`;
  expect(typeof error.facts["syscall"]).toBe("string");
  return `${error.code} ${String(error.facts["errno"])}`;
}

export function describeDisk(name: string, open: () => Promise<DiskUnderTest>): void {
  describe(`${name} as a disk`, () => {
    const claim = (title: string, check: (disk: Disk, at: (path: string) => string) => Promise<void>): void =>
      it(title, async () => {
        await using under = await open();
        await check(under.disk, (path) => join(under.root, path));
      });
    const withFile = async (disk: Disk, path: string, check: (file: DiskFile) => Promise<void>): Promise<void> => {
      const file = await disk.open(path, "create");
      try {
        await check(file);
      } finally {
        await file.close();
      }
    };

    claim("only `create` makes a file, and only where none is", async (disk, at) => {
      expect(await failure(disk.open(at("a"), "read"))).toBe("DISK_FAILED ENOENT");
      expect(await failure(disk.open(at("a"), "write"))).toBe("DISK_FAILED ENOENT");
      await write(disk, at("a"), "first");
      expect(await failure(disk.open(at("a"), "create"))).toBe("DISK_FAILED EEXIST");
      expect(await failure(disk.open(at("missing/a"), "create"))).toBe("DISK_FAILED ENOENT");
      expect(await read(disk, at("a"))).toBe("first");
    });

    claim("`write` keeps what is there and both reads and writes", async (disk, at) => {
      await write(disk, at("a"), "abcdef");
      const file = await disk.open(at("a"), "write");
      expect(file.path).toBe(at("a"));
      expect(await file.write(bytesOf("XY"), 2)).toBe(2);
      const into = new Uint8Array(6);
      expect(await file.read(into, 0)).toBe(6);
      expect(new TextDecoder().decode(into)).toBe("abXYef");
      await file.close();
    });

    claim("a file opened for reading refuses writes", async (disk, at) => {
      await write(disk, at("a"), "abc");
      const file = await disk.open(at("a"), "read");
      expect(await failure(file.write(bytesOf("x"), 0))).toBe("DISK_FAILED EBADF");
      await file.close();
    });

    claim("a read is short at the end of the file and 0 past it", async (disk, at) => {
      await withFile(disk, at("a"), async (file) => {
        await file.write(bytesOf("abcdef"), 0);
        const into = new Uint8Array(4).fill(0x7a);
        expect(await file.read(into, 4)).toBe(2);
        expect(new TextDecoder().decode(into)).toBe("efzz");
        expect(await file.read(into, 6)).toBe(0);
        expect(await file.read(into, 1_000_000)).toBe(0);
        expect(await file.read(new Uint8Array(0), 0)).toBe(0);
        expect(await file.write(new Uint8Array(0), 0)).toBe(0);
      });
    });

    claim("reads and writes keep to the given view of a larger buffer", async (disk, at) => {
      await withFile(disk, at("a"), async (file) => {
        const large = bytesOf("0123456789");
        expect(await file.write(large.subarray(3, 6), 0)).toBe(3);
        const into = new Uint8Array(8).fill(0x2e);
        expect(await file.read(into.subarray(2, 5), 0)).toBe(3);
        expect(new TextDecoder().decode(into)).toBe("..345...");
      });
    });

    claim("a write past the end leaves a hole of zeros", async (disk, at) => {
      await withFile(disk, at("a"), async (file) => {
        expect(await file.write(bytesOf("end"), 200_000)).toBe(3);
        expect(await file.sizeBytes()).toBe(200_003);
        const into = new Uint8Array(16).fill(1);
        expect(await file.read(into, 100_000)).toBe(16);
        expect(into.every((byte) => byte === 0)).toBe(true);
      });
    });

    claim("truncate shortens and lengthens", async (disk, at) => {
      await withFile(disk, at("a"), async (file) => {
        await file.write(bytesOf("abcdef"), 0);
        await file.truncate(2);
        expect(await file.sizeBytes()).toBe(2);
        await file.truncate(4);
        const into = new Uint8Array(8).fill(1);
        expect(await file.read(into, 0)).toBe(4);
        expect([...into.subarray(0, 4)]).toEqual([0x61, 0x62, 0, 0]);
        await file.sync();
      });
      expect((await disk.status(at("a")))?.sizeBytes).toBe(4);
    });

    claim("directories are made with their parents, and again without complaint", async (disk, at) => {
      await disk.makeDirectory(at("a/b/c"));
      await disk.makeDirectory(at("a/b/c"));
      await disk.makeDirectory(at("a/b/d"));
      expect((await disk.status(at("a/b/c")))?.kind).toBe("directory");
      expect((await disk.readDirectory(at("a/b"))).map((entry) => entry.name).sort()).toEqual(["c", "d"]);
      await write(disk, at("file"), "x");
      expect(await failure(disk.makeDirectory(at("file")))).toBe("DISK_FAILED EEXIST");
    });

    claim("a directory's entries have names and kinds", async (disk, at) => {
      await disk.makeDirectory(at("d"));
      await write(disk, at("f"), "x");
      const entries = await disk.readDirectory(at("."));
      expect(entries.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
        { name: "d", kind: "directory" },
        { name: "f", kind: "file" },
      ]);
      expect(await failure(disk.readDirectory(at("missing")))).toBe("DISK_FAILED ENOENT");
      expect(await failure(disk.readDirectory(at("f")))).toBe("DISK_FAILED ENOTDIR");
    });

    claim("status tells size and kind, and nothing of what is not there", async (disk, at) => {
      await write(disk, at("f"), "abc");
      expect(await disk.status(at("f"))).toMatchObject({ kind: "file", sizeBytes: 3 });
      expect((await disk.status(at("f")))?.modifiedMs).toBeTypeOf("number");
      expect(await disk.status(at("missing"))).toBeUndefined();
      expect(await disk.status(at("missing/deeper"))).toBeUndefined();
      expect(await disk.status(at("f/deeper"))).toBeUndefined();
    });

    claim("a linked file is the same file, and a taken name is EEXIST", async (disk, at) => {
      await write(disk, at("a"), "abc");
      await write(disk, at("other"), "other");
      await disk.link(at("a"), at("b"));
      expect(await failure(disk.link(at("a"), at("other")))).toBe("DISK_FAILED EEXIST");
      expect(await failure(disk.link(at("missing"), at("c")))).toBe("DISK_FAILED ENOENT");
      expect(await read(disk, at("other"))).toBe("other");
      await disk.remove(at("a"));
      expect(await read(disk, at("b"))).toBe("abc");
    });

    claim("rename replaces what was there", async (disk, at) => {
      await write(disk, at("new"), "new");
      await write(disk, at("old"), "old");
      await disk.rename(at("new"), at("old"));
      expect(await read(disk, at("old"))).toBe("new");
      expect(await disk.status(at("new"))).toBeUndefined();
      expect(await failure(disk.rename(at("missing"), at("x")))).toBe("DISK_FAILED ENOENT");
    });

    claim("a file that is removed or replaced can be read on by who has it open", async (disk, at) => {
      await write(disk, at("a"), "abc");
      await write(disk, at("b"), "def");
      const removed = await disk.open(at("a"), "read");
      const replaced = await disk.open(at("b"), "read");
      await disk.remove(at("a"));
      await write(disk, at("c"), "new");
      await disk.rename(at("c"), at("b"));
      const into = new Uint8Array(3);
      expect(await removed.read(into, 0)).toBe(3);
      expect(new TextDecoder().decode(into)).toBe("abc");
      expect(await replaced.read(into, 0)).toBe(3);
      expect(new TextDecoder().decode(into)).toBe("def");
      await removed.close();
      await replaced.close();
    });

    claim("remove takes a tree, and nothing there is fine", async (disk, at) => {
      await disk.makeDirectory(at("tree/a/b"));
      await write(disk, at("tree/a/b/file"), "x");
      await write(disk, at("tree/file"), "x");
      await disk.remove(at("tree"));
      expect(await disk.status(at("tree"))).toBeUndefined();
      await disk.remove(at("tree"));
      await disk.remove(at("tree/a"));
    });

    claim("files and directories sync", async (disk, at) => {
      await disk.makeDirectory(at("d"));
      await withFile(disk, at("d/f"), async (file) => {
        await file.write(bytesOf("abc"), 0);
        await file.sync();
        await file.sync();
      });
      await disk.syncDirectory(at("d"));
      await disk.syncDirectory(at("."));
      if (process.platform !== "win32") expect(await failure(disk.syncDirectory(at("missing")))).toBe("DISK_FAILED ENOENT");
    });

    claim("many reads and writes of one file at once do not mix", async (disk, at) => {
      await withFile(disk, at("a"), async (file) => {
        await Promise.all(Array.from({ length: 40 }, (_, index) => file.write(new Uint8Array(1000).fill(index), index * 1000)));
        await Promise.all(
          Array.from({ length: 40 }, async (_, index) => {
            const into = new Uint8Array(1000);
            expect(await file.read(into, index * 1000)).toBe(1000);
            expect(into.every((byte) => byte === index)).toBe(true);
          }),
        );
      });
    });

    claim("space tells what there is and what is free", async (disk, at) => {
      const { totalBytes, freeBytes } = await disk.space(at("."));
      expect(totalBytes).toBeGreaterThan(0);
      expect(freeBytes).toBeGreaterThanOrEqual(0);
      expect(freeBytes).toBeLessThanOrEqual(totalBytes);
      expect(await failure(disk.space(at("missing")))).toBe("DISK_FAILED ENOENT");
    });

    claim("F20: a directory has one owner until it is released", async (disk, at) => {
      await disk.makeDirectory(at("mine"));
      await disk.makeDirectory(at("other"));
      const lock = await disk.lock(at("mine"));
      await expect(disk.lock(at("mine"))).rejects.toMatchObject({ code: "DIRECTORY_IN_USE", detail: expect.stringContaining(at("mine")) });
      const otherLock = await disk.lock(at("other"));
      await lock.release();
      await lock.release();
      const again = await disk.lock(at("mine"));
      // Releasing an old lock twice must not have freed the new one.
      await lock.release();
      await expect(disk.lock(at("mine"))).rejects.toMatchObject({ code: "DIRECTORY_IN_USE" });
      await again.release();
      await otherLock.release();
      expect(await failure(disk.lock(at("missing")))).toBe("DISK_FAILED ENOENT");
    });
  });
}
