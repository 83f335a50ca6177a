/**
 * Everything below a folder, one entry at a time, in the order of names. Symbolic links are not followed, so the walk ends.
 *
 * K1: memory is that of the folders on the way down to the entry, not of all there is.
 * K2: what cannot be read is an entry, too; the rest goes on.
 */
import { join } from "node:path";
import { TroupeError } from "../core/errors.ts";
import type { DirectoryEntry, Disk } from "../core/ports/disk.ts";

export type Found =
  | {
      readonly kind: "file";
      readonly path: string;
      /** From the folder down, with slashes. */
      readonly name: string;
      readonly sizeBytes: number;
      readonly modifiedMs: number;
    }
  | { readonly kind: "link" | "special" | "emptyFolder"; readonly path: string; readonly name: string }
  | { readonly kind: "unreadable"; readonly path: string; readonly name: string; readonly error: TroupeError };

interface Level {
  readonly path: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  /** In reverse order: the next one is the last. */
  readonly entries: DirectoryEntry[];
}

/** @param folder absolute */
export async function* walkFolder(disk: Disk, folder: string): AsyncGenerator<Found> {
  const levels: Level[] = [];
  /** What there is to say of the folder itself. */
  const enter = async (path: string, prefix: string): Promise<Found | undefined> => {
    const name = prefix.slice(0, -1);
    try {
      const entries = await disk.readDirectory(path);
      if (entries.length === 0) return { kind: "emptyFolder", path, name };
      entries.sort((one, other) => (one.name < other.name ? 1 : -1));
      levels.push({ path, prefix, entries });
      return undefined;
    } catch (error) {
      return { kind: "unreadable", path, name, error: diskError(error) };
    }
  };
  const top = await enter(folder, "");
  if (top !== undefined) yield top;
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const entry = level.entries.pop();
    if (entry === undefined) {
      levels.pop();
      continue;
    }
    const path = join(level.path, entry.name);
    const name = level.prefix + entry.name;
    const found = entry.kind === "directory" ? await enter(path, `${name}/`) : await look(disk, path, name, entry.kind);
    if (found !== undefined) yield found;
  }
}

async function look(disk: Disk, path: string, name: string, kind: "file" | "link" | "other"): Promise<Found> {
  if (kind !== "file") return { kind: kind === "link" ? "link" : "special", path, name };
  try {
    const status = await disk.status(path);
    if (status === undefined)
      throw new TroupeError("DISK_FAILED", `There is no file ${path} any more, or its name is not UTF-8.`, { facts: { errno: "ENOENT" } });
    return { kind: "file", path, name, sizeBytes: status.sizeBytes, modifiedMs: status.modifiedMs };
  } catch (error) {
    return { kind: "unreadable", path, name, error: diskError(error) };
  }
}

/** Anything else is a mistake of ours. */
function diskError(error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  throw error;
}
