import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { describeDisk } from "../contract/disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

describeDisk("NodeDisk", async () => {
  const directory = await temporaryDirectory();
  return { disk: new NodeDisk(), root: directory.path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
});

/** A process that owns the directory; killed when the scope ends. */
async function ownerOf(directory: string): Promise<{ readonly process: ChildProcess } & AsyncDisposable> {
  const program = fileURLToPath(new URL("../support/directory-owner.js", import.meta.url));
  const child = spawn(process.execPath, ["--expose-gc", program, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  await Promise.race([
    once(child.stdout, "data"),
    exited.then(([code]) => Promise.reject(new Error(`the owner ended with ${String(code)}`))),
  ]);
  return {
    process: child,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The process's state letter as Linux tells it: `T` is stopped. */
async function stateOf(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/stat`, "utf8");
  return line.slice(line.lastIndexOf(")") + 2, line.lastIndexOf(")") + 3);
}

describe("NodeDisk's directory lock", () => {
  it("F20: a directory that another process owns is refused, and free once that process is killed", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    await using owner = await ownerOf(directory.path);
    await expect(disk.lock(directory.path)).rejects.toMatchObject({
      code: "DIRECTORY_IN_USE",
      detail: expect.stringContaining(directory.path),
    });
    await owner[Symbol.asyncDispose]();
    expect(owner.process.signalCode).toBe("SIGKILL");
    const lock = await disk.lock(directory.path);
    await lock.release();
  });

  it.runIf(process.platform === "linux")("F2: a process that is stopped still owns its directory", async () => {
    await using directory = await temporaryDirectory();
    await using owner = await ownerOf(directory.path);
    owner.process.kill("SIGSTOP");
    await expect.poll(() => stateOf(owner.process.pid as number)).toBe("T");
    await expect(new NodeDisk().lock(directory.path)).rejects.toMatchObject({ code: "DIRECTORY_IN_USE" });
  });

  it("a lock nobody refers to any more is not released by the garbage collector", async () => {
    await using directory = await temporaryDirectory();
    await using owner = await ownerOf(directory.path);
    await expect(new NodeDisk().lock(directory.path)).rejects.toMatchObject({ code: "DIRECTORY_IN_USE" });
    expect(owner.process.exitCode).toBeNull();
  });

  it("a lock file that is something else is a disk failure with a sentence", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "owner.lock"), "this is no database".repeat(100));
    await expect(new NodeDisk().lock(directory.path)).rejects.toMatchObject({
      code: "DISK_FAILED",
      detail: expect.stringContaining(join(directory.path, "owner.lock")),
    });
  });
});

describe("NodeDisk's errors", () => {
  it("name the path, the system call and the reason", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "missing");
    await expect(new NodeDisk().open(path, "read")).rejects.toMatchObject({
      code: "DISK_FAILED",
      detail: `${path}: open failed: no such file or directory (ENOENT).`,
      facts: { syscall: "open", errno: "ENOENT" },
      cause: expect.any(Error),
    });
  });

  it.runIf(process.platform === "linux")("F3: a full device is DISK_FULL", async () => {
    const file = await new NodeDisk().open("/dev/full", "write");
    await expect(file.write(new Uint8Array(10), 0)).rejects.toMatchObject({
      code: "DISK_FULL",
      facts: { syscall: "write", errno: "ENOSPC" },
    });
    await file.close();
  });

  it("a closed file is EBADF", async () => {
    await using directory = await temporaryDirectory();
    const file = await new NodeDisk().open(join(directory.path, "a"), "create");
    await file.close();
    await expect(file.sync()).rejects.toMatchObject({ code: "DISK_FAILED", facts: { errno: "EBADF" } });
  });

  it("a wrong argument is a programmer's error and stays one", async () => {
    await expect(new NodeDisk().open("/tmp/\0", "read")).rejects.toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
  });
});

describe("NodeDisk's files", () => {
  it.runIf(process.platform !== "win32")("are readable by their owner and group only", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    await disk.makeDirectory(join(directory.path, "d"));
    await (await disk.open(join(directory.path, "d/f"), "create")).close();
    expect((await stat(join(directory.path, "d"))).mode & 0o007).toBe(0);
    expect((await stat(join(directory.path, "d/f"))).mode & 0o007).toBe(0);
  });

  it("tells a symbolic link from what it points at", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    await writeFile(join(directory.path, "file"), "");
    await symlink(join(directory.path, "file"), join(directory.path, "link"));
    const entries = await disk.readDirectory(directory.path);
    expect(entries.sort((one, other) => (one.name < other.name ? -1 : 1))).toEqual([
      { name: "file", kind: "file" },
      { name: "link", kind: "link" },
    ]);
    expect((await disk.status(join(directory.path, "link")))?.kind).toBe("file");
  });

  it("a data directory may be a symbolic link, and removing a tree never follows one", async () => {
    await using directory = await temporaryDirectory();
    const disk = new NodeDisk();
    await disk.makeDirectory(join(directory.path, "real"));
    await writeFile(join(directory.path, "real/kept"), "x");
    await disk.makeDirectory(join(directory.path, "tree"));
    await symlink(join(directory.path, "real"), join(directory.path, "tree/link"));
    expect((await disk.status(join(directory.path, "tree/link")))?.kind).toBe("directory");
    await disk.remove(join(directory.path, "tree"));
    expect(await disk.status(join(directory.path, "real/kept"))).toMatchObject({ kind: "file" });
  });

  it("closing waits for what was begun", async () => {
    await using directory = await temporaryDirectory();
    const file = await new NodeDisk().open(join(directory.path, "a"), "create");
    const writes = Array.from({ length: 20 }, (_, index) => file.write(new Uint8Array(100_000).fill(index), index * 100_000));
    await file.close();
    expect(await Promise.all(writes)).toEqual(writes.map(() => 100_000));
    const written = await readFile(join(directory.path, "a"));
    expect(written.length).toBe(2_000_000);
    expect(written[1_950_000]).toBe(19);
  });

  it.runIf(process.platform !== "win32" && process.getuid?.() !== 0)("what may not be read is EACCES", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "a");
    await writeFile(path, "x");
    await chmod(path, 0);
    await expect(new NodeDisk().open(path, "read")).rejects.toMatchObject({ code: "DISK_FAILED", facts: { errno: "EACCES" } });
  });
});

it.skipIf(process.platform === "win32")("new files have the mode that is asked for, less the umask", async () => {
  await using directory = await temporaryDirectory();
  const umask = process.umask();
  for (const [mode, expected] of [
    [0o666, 0o666 & ~umask],
    [undefined, 0o640 & ~umask],
  ] as const) {
    const path = join(directory.path, String(mode));
    await (await new NodeDisk(mode).open(path, "create")).close();
    expect((await stat(path)).mode & 0o777).toBe(expected);
  }
});

it.skipIf(process.platform !== "linux")("a folder below one that takes none is an error, and not a search without end", async () => {
  await expect(new NodeDisk().makeDirectory("/proc/nothing/here")).rejects.toMatchObject({ code: "DISK_FAILED" });
});
