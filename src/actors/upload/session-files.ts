/** An upload's folder on its host: made at creation, read again after a restart, removed at the end. */
import { join } from "node:path";
import { makeDurableDirectory } from "../../core/durable.ts";
import { LazyFile } from "../../core/lazy-file.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import { Journal } from "./journal.ts";
import type { UploadCreation } from "./ports.ts";

export interface SessionPaths {
  readonly folder: string;
  readonly data: string;
  readonly journal: string;
  readonly leaves: string;
}

export function sessionPaths(folder: string): SessionPaths {
  return { folder, data: join(folder, "data"), journal: join(folder, "journal"), leaves: join(folder, "leaves") };
}

/** Everything a session needs to be hosted, durable when this resolves. */
export async function createSessionFolder(disk: Disk, hasher: Hasher, folder: string, creation: UploadCreation): Promise<void> {
  const paths = sessionPaths(folder);
  await makeDurableDirectory(disk, folder);
  await createData(disk, paths.data, creation.plan.sizeBytes);
  const journal = await Journal.create(disk, paths.journal, hasher, creation);
  await journal.close();
  await disk.syncDirectory(folder);
}

/**
 * The same of a folder whose creation may have been cut off when its journal was there: the other file may have lost its name with the power,
 * and what is there may not be durable.
 */
export async function finishSessionFolder(disk: Disk, folder: string, { plan }: UploadCreation): Promise<void> {
  const paths = sessionPaths(folder);
  if ((await disk.status(paths.data)) === undefined) await createData(disk, paths.data, plan.sizeBytes);
  const journal = await disk.open(paths.journal, "write");
  try {
    await journal.sync();
  } finally {
    await journal.close();
  }
  await disk.syncDirectory(folder);
}

/** A hole of the file's size: chunks are written where they belong, in any order. */
async function createData(disk: Disk, path: string, sizeBytes: number | undefined): Promise<void> {
  const data = await disk.open(path, "create");
  try {
    if (sizeBytes !== undefined) await data.truncate(sizeBytes);
    await data.sync();
  } finally {
    await data.close();
  }
}

export function openData(disk: Disk, folder: string): LazyFile {
  return new LazyFile(disk, sessionPaths(folder).data, "write");
}
