/** A walk through a folder. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Found, walkFolder } from "../../src/client/folder-walk.ts";
import type { Disk } from "../../src/core/ports/disk.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { diskFailed, FaultyDisk } from "../support/faulty-disk.ts";
import { run } from "../support/program.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

async function folder(files: readonly string[]) {
  const directory = await temporaryDirectory();
  for (const name of files) {
    await mkdir(dirname(join(directory.path, name)), { recursive: true });
    await writeFile(join(directory.path, name), name);
  }
  return directory;
}

async function found(path: string, disk: Disk = new NodeDisk()): Promise<string[]> {
  const all: Found[] = [];
  for await (const each of walkFolder(disk, path)) all.push(each);
  return all.map(({ kind, name }) => `${kind} ${name}`);
}

describe("a walk", () => {
  it("finds everything below, hidden files too, in the order of names", async () => {
    await using directory = await folder(["b", "a/2", "a/1", "a/.x/y", "c/d/e/f", ".hidden"]);
    expect(await found(directory.path)).toEqual(["file .hidden", "file a/.x/y", "file a/1", "file a/2", "file b", "file c/d/e/f"]);
  });

  it("tells links, special files and empty folders, and follows no link", async () => {
    await using directory = await folder(["a"]);
    await mkdir(join(directory.path, "empty"));
    await symlink(directory.path, join(directory.path, "loop"));
    await symlink("/nowhere", join(directory.path, "dangling"));
    await run("mkfifo", [join(directory.path, "pipe")]);
    expect(await found(directory.path)).toEqual(
      ["link dangling", "emptyFolder empty", "link loop", "file a", "special pipe"].sort((a, b) =>
        (a.split(" ")[1] ?? "") < (b.split(" ")[1] ?? "") ? -1 : 1,
      ),
    );
  });

  it("goes on past what cannot be read", async () => {
    await using directory = await folder(["a/1", "b/1", "c"]);
    const disk = new FaultyDisk(new NodeDisk());
    disk.intercept = (call, path) => {
      if (call === "readDirectory" && path.endsWith("/a")) throw diskFailed(path, "EACCES");
      if (call === "status" && path.endsWith("/c")) throw diskFailed(path, "EIO");
    };
    expect(await found(directory.path, disk)).toEqual(["unreadable a", "file b/1", "unreadable c"]);
  });

  it("of an empty folder is that", async () => {
    await using directory = await folder([]);
    expect(await found(directory.path)).toEqual(["emptyFolder "]);
  });
});
