import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeDurableDirectory, publish, readFully, readSmallFile, replaceFile, writeFully } from "../../src/core/durable.ts";
import { TroupeError } from "../../src/core/errors.ts";
import type { Disk, DiskFile, OpenMode } from "../../src/core/ports/disk.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

/** A file in memory whose reads and writes move only as many bytes as the plan says, in turn; past the plan, all. */
class HesitantFile implements DiskFile {
  readonly path = "/hesitant";
  bytes = new Uint8Array(0);
  readonly #plan: number[];

  constructor(plan: readonly number[]) {
    this.#plan = [...plan];
  }

  async write(bytes: Uint8Array, offset: number): Promise<number> {
    const count = Math.min(bytes.length, this.#plan.shift() ?? bytes.length);
    const grown = new Uint8Array(Math.max(this.bytes.length, offset + count));
    grown.set(this.bytes);
    grown.set(bytes.subarray(0, count), offset);
    this.bytes = grown;
    return count;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const available = this.bytes.subarray(offset, offset + Math.min(into.length, this.#plan.shift() ?? into.length));
    into.set(available);
    return available.length;
  }

  async sync(): Promise<void> {}
  async truncate(): Promise<void> {}
  async sizeBytes(): Promise<number> {
    return this.bytes.length;
  }
  async close(): Promise<void> {}
}

/** The real disk, writing down what is done in which order, and failing one step when told to. */
class WatchedDisk extends NodeDisk {
  readonly steps: string[] = [];
  readonly #root: string;
  failing: string | undefined;
  beforeStep: ((step: string) => Promise<void>) | undefined;

  constructor(root: string) {
    super();
    this.#root = root;
  }

  #step(name: string, path: string): void {
    const step = `${name} ${path.slice(this.#root.length + 1) || "."}`;
    this.steps.push(step);
    if (step === this.failing) throw new TroupeError("DISK_FAILED", step, { facts: { syscall: name, errno: "EIO" } });
  }

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    this.#step(`open-${mode}`, path);
    const file = await super.open(path, mode);
    return {
      path,
      read: (into, offset) => file.read(into, offset),
      write: async (bytes, offset) => {
        this.#step("write", path);
        return file.write(bytes, offset);
      },
      sync: async () => {
        this.#step("sync", path);
        await file.sync();
      },
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      sizeBytes: () => file.sizeBytes(),
      close: async () => {
        this.#step("close", path);
        await file.close();
      },
    };
  }

  override async makeDirectory(path: string): Promise<void> {
    this.#step("make", path);
    await super.makeDirectory(path);
  }

  override async link(from: string, to: string): Promise<void> {
    this.#step("link", to);
    await super.link(from, to);
  }

  override async rename(from: string, to: string): Promise<void> {
    this.#step("rename", to);
    await super.rename(from, to);
  }

  override async syncDirectory(path: string): Promise<void> {
    this.#step("sync-directory", path);
    await this.beforeStep?.(this.steps.at(-1) ?? "");
    await super.syncDirectory(path);
  }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textOf(disk: Disk, path: string): Promise<string | undefined> {
  const bytes = await readSmallFile(disk, path, 1000);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

async function syncedFile(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, "create");
  await writeFully(file, bytesOf(text), 0);
  await file.sync();
  await file.close();
}

describe("writeFully and readFully", () => {
  it("write and read everything, however little the disk takes at a time", async () => {
    const counts = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 100 }), counts, counts, async (bytes, offset, writes, reads) => {
        const file = new HesitantFile([...writes]);
        await writeFully(file, bytes, offset);
        expect(file.bytes.subarray(offset, offset + bytes.length)).toEqual(bytes);
        const reader = new HesitantFile(reads);
        reader.bytes = file.bytes;
        const into = new Uint8Array(bytes.length);
        await readFully(reader, into, offset);
        expect(into).toEqual(bytes);
      }),
    );
  });

  it("F3: a disk that takes nothing and says nothing is full", async () => {
    const file = new HesitantFile([3, 4, 0]);
    await expect(writeFully(file, new Uint8Array(10), 0)).rejects.toMatchObject({
      code: "DISK_FULL",
      detail: expect.stringContaining("7 of 10"),
    });
    await expect(writeFully(new HesitantFile([0]), new Uint8Array(1), 0)).rejects.toMatchObject({ code: "DISK_FULL" });
  });

  it("F4: a file that ends too early is a disk failure", async () => {
    const file = new HesitantFile([]);
    await writeFully(file, new Uint8Array(10), 0);
    await expect(readFully(file, new Uint8Array(11), 0)).rejects.toMatchObject({ code: "DISK_FAILED", facts: { errno: "EOF" } });
    await expect(readFully(file, new Uint8Array(1), 10)).rejects.toMatchObject({ code: "DISK_FAILED" });
  });
});

describe("publish", () => {
  it("F6: makes directories durable from the top, links, then syncs the directory", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    await syncedFile(disk, join(directory.path, "staged"), "abc");
    disk.steps.length = 0;
    await publish(disk, join(directory.path, "staged"), join(directory.path, "a/b/final"));
    expect(disk.steps).toEqual(["make a", "sync-directory .", "make a/b", "sync-directory a", "link a/b/final", "sync-directory a/b"]);
    expect(await textOf(disk, join(directory.path, "a/b/final"))).toBe("abc");
    expect(await textOf(disk, join(directory.path, "staged"))).toBe("abc");
  });

  it("the same again is fine, and syncs again: the first may have failed at that", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    const [staged, final] = [join(directory.path, "staged"), join(directory.path, "a/final")];
    await syncedFile(disk, staged, "abc");
    disk.failing = "sync-directory a";
    await expect(publish(disk, staged, final)).rejects.toMatchObject({ code: "DISK_FAILED" });
    disk.failing = undefined;
    disk.steps.length = 0;
    await publish(disk, staged, final);
    expect(disk.steps.at(-1)).toBe("sync-directory a");
    expect(await textOf(disk, final)).toBe("abc");
  });

  it("a file that is not there, or a disk that fails, is an error", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    await expect(publish(disk, join(directory.path, "missing"), join(directory.path, "final"))).rejects.toMatchObject({
      facts: { errno: "ENOENT" },
    });
    await syncedFile(disk, join(directory.path, "staged"), "abc");
    disk.failing = "link final";
    await expect(publish(disk, join(directory.path, "staged"), join(directory.path, "final"))).rejects.toMatchObject({
      facts: { errno: "EIO" },
    });
    expect(disk.steps.at(-1)).toBe("link final");
  });

  it("many at once into directories that are not there yet", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    await syncedFile(disk, join(directory.path, "staged"), "abc");
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => publish(disk, join(directory.path, "staged"), join(directory.path, `a/b/c/${index % 10}`))),
    );
    expect((await disk.readDirectory(join(directory.path, "a/b/c"))).length).toBe(10);
  });
});

describe("makeDurableDirectory", () => {
  it("does nothing for one that is there", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    await makeDurableDirectory(disk, directory.path);
    expect(disk.steps).toEqual([]);
  });

  it("F6: a directory somebody else has made and not yet synced into its parent is not taken for durable", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    await syncedFile(disk, join(directory.path, "staged"), "abc");
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    disk.beforeStep = async (step) => {
      if (step !== "sync-directory ." || disk.beforeStep === undefined) return;
      disk.beforeStep = undefined;
      reach();
      await held;
    };
    const maker = makeDurableDirectory(disk, join(directory.path, "a"));
    await reached;
    disk.steps.length = 0;
    await publish(disk, join(directory.path, "staged"), join(directory.path, "a/final"));
    expect(disk.steps).toEqual(["make a", "sync-directory .", "link a/final", "sync-directory a"]);
    release();
    await maker;
  });

  it("F5: a directory whose parent could not be synced is not taken for durable the next time", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    disk.failing = "sync-directory .";
    await expect(makeDurableDirectory(disk, join(directory.path, "a"))).rejects.toMatchObject({ code: "DISK_FAILED" });
    await expect(makeDurableDirectory(disk, join(directory.path, "a"))).rejects.toMatchObject({ code: "DISK_FAILED" });
    disk.failing = undefined;
    await makeDurableDirectory(disk, join(directory.path, "a"));
    disk.steps.length = 0;
    await makeDurableDirectory(disk, join(directory.path, "a"));
    expect(disk.steps).toEqual([]);
  });

  it("F1: below a given root, directories of an earlier process are synced into their parents once", async () => {
    await using directory = await temporaryDirectory();
    await new NodeDisk().makeDirectory(join(directory.path, "a/b"));
    const disk = new WatchedDisk(directory.path);
    await makeDurableDirectory(disk, join(directory.path, "a/b"), directory.path);
    expect(disk.steps.filter((step) => step.startsWith("sync"))).toEqual(["sync-directory .", "sync-directory a"]);
    disk.steps.length = 0;
    await makeDurableDirectory(disk, join(directory.path, "a/b"), directory.path);
    expect(disk.steps).toEqual([]);
    await makeDurableDirectory(disk, join(directory.path, "a/b/c"), directory.path);
    expect(disk.steps).toEqual(["make a/b/c", "sync-directory a/b"]);
  });

  it("a directory that was removed is made again", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    const path = join(directory.path, "a/b");
    await makeDurableDirectory(disk, path, directory.path);
    await disk.remove(join(directory.path, "a"));
    await makeDurableDirectory(disk, path, directory.path);
    expect((await disk.status(path))?.kind).toBe("directory");
  });
});

describe("replaceFile", () => {
  it("F6: writes beside, syncs, renames, syncs the directory", async () => {
    await using directory = await temporaryDirectory();
    const disk = new WatchedDisk(directory.path);
    await replaceFile(disk, join(directory.path, "f"), bytesOf("one"));
    expect(disk.steps).toEqual(["open-create f.new", "write f.new", "sync f.new", "close f.new", "rename f", "sync-directory ."]);
    await replaceFile(disk, join(directory.path, "f"), bytesOf("two"));
    expect(await textOf(disk, join(directory.path, "f"))).toBe("two");
    expect((await disk.readDirectory(directory.path)).map((entry) => entry.name)).toEqual(["f"]);
  });

  it("F1: whatever step fails, readers see the old bytes or the new, and a later attempt succeeds", async () => {
    for (const step of ["open-create f.new", "write f.new", "sync f.new", "close f.new", "rename f", "sync-directory ."]) {
      await using directory = await temporaryDirectory();
      const path = join(directory.path, "f");
      const disk = new WatchedDisk(directory.path);
      await replaceFile(disk, path, bytesOf("old"));
      disk.failing = step;
      await expect(replaceFile(disk, path, bytesOf("new")), step).rejects.toMatchObject({ code: "DISK_FAILED" });
      disk.failing = undefined;
      expect(await textOf(disk, path), step).toBe(step === "sync-directory ." ? "new" : "old");
      await replaceFile(disk, path, bytesOf("newer"));
      expect(await textOf(disk, path)).toBe("newer");
    }
  });
});

describe("readSmallFile", () => {
  it("gives the bytes, nothing for no file, and refuses a large one", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    const path = join(directory.path, "f");
    expect(await readSmallFile(disk, path, 10)).toBeUndefined();
    await syncedFile(disk, path, "0123456789");
    expect(new TextDecoder().decode(await readSmallFile(disk, path, 10))).toBe("0123456789");
    await expect(readSmallFile(disk, path, 9)).rejects.toMatchObject({ code: "TOO_LARGE" });
    await syncedFile(disk, join(directory.path, "empty"), "");
    expect((await readSmallFile(disk, join(directory.path, "empty"), 10))?.length).toBe(0);
  });
});
