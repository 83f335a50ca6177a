/** What the words of `troupe upload` stand for: files, stdin, and all that folders hold. */
import { basename, join, resolve } from "node:path";
import { walkFolder } from "../../client/folder-walk.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Disk } from "../../core/ports/disk.ts";
import { nameFault } from "../../core/shapes.ts";

export interface FileSource {
  readonly kind: "file";
  /** What a person calls it: as it was typed, or from the folder that was typed down. */
  readonly word: string;
  readonly path: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** The names of its folder begin so; `undefined` for a file that was named itself. */
  readonly folderName: string | undefined;
}

export type Source =
  | FileSource
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "skipped"; readonly word: string; readonly reason: string }
  | { readonly kind: "emptyFolder"; readonly word: string }
  | { readonly kind: "failed"; readonly word: string; readonly error: TroupeError };

const INPUT_NAME = "stdin";

/** @param name in place of the own name of the one file or folder */
export async function* sourcesOf(
  disk: Disk,
  workingDirectory: string,
  words: readonly string[],
  name: string | undefined,
): AsyncGenerator<Source> {
  for (const word of words) {
    if (word === "-") {
      yield { kind: "input", name: name ?? INPUT_NAME };
      continue;
    }
    const path = resolve(workingDirectory, word);
    let status: Awaited<ReturnType<Disk["status"]>>;
    try {
      status = await disk.status(path);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      yield { kind: "failed", word, error };
      continue;
    }
    if (status?.kind === "directory") yield* folderSources(disk, word, path, name ?? basename(path));
    else if (status === undefined) yield { kind: "failed", word, error: missing(path) };
    else {
      const { sizeBytes, modifiedMs } = status;
      yield { kind: "file", word, path, name: name ?? basename(path), sizeBytes, modifiedMs, folderName: undefined };
    }
  }
}

/** What cannot be looked at is none, and its reason comes as a source. */
export async function isFolder(disk: Disk, workingDirectory: string, word: string): Promise<boolean> {
  if (word === "-") return false;
  try {
    return (await disk.status(resolve(workingDirectory, word)))?.kind === "directory";
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    return false;
  }
}

async function* folderSources(disk: Disk, word: string, path: string, folderName: string): AsyncGenerator<Source> {
  const fault = nameFault(folderName);
  if (fault !== undefined) {
    const sentence = `${word} has no name that its files' names could begin with (${fault}); give one with --name.`;
    yield { kind: "failed", word, error: new TroupeError("BAD_REQUEST", sentence) };
    return;
  }
  for await (const found of walkFolder(disk, path)) {
    const below = join(word, found.name);
    const name = `${folderName}/${found.name}`;
    const nameProblem = found.kind === "file" ? nameFault(name) : undefined;
    if (nameProblem !== undefined)
      yield { kind: "failed", word: below, error: new TroupeError("BAD_NAME", `It cannot be a file's name here: ${nameProblem}.`) };
    else if (found.kind === "file") {
      const { sizeBytes, modifiedMs } = found;
      yield { kind: "file", word: below, path: found.path, name, sizeBytes, modifiedMs, folderName };
    } else if (found.kind === "unreadable") yield { kind: "failed", word: below, error: found.error };
    else if (found.kind === "emptyFolder") yield { kind: "emptyFolder", word: below };
    else
      yield {
        kind: "skipped",
        word: below,
        reason: found.kind === "link" ? "a symbolic link is not followed" : "it is neither a file nor a folder",
      };
  }
}

function missing(path: string): TroupeError {
  return new TroupeError("DISK_FAILED", `There is no file ${path}.`, { facts: { errno: "ENOENT" } });
}

/** How much there is: the same walk, keeping nothing. Stops early, with what it has, upon the signal. */
export async function countSources(sources: AsyncIterable<Source>, signal: AbortSignal): Promise<{ files: number; bytes: number }> {
  let files = 0;
  let bytes = 0;
  for await (const source of sources) {
    if (signal.aborted) break;
    if (source.kind !== "file") continue;
    files += 1;
    bytes += source.sizeBytes;
  }
  return { files, bytes };
}
