/**
 * The record beside a blob: what the database knows of it, for rebuilding a lost database from the disks. Lines of JSON, the format
 * version first; a line is added for each file that refers to the blob later. The same file twice means the same as once.
 */
import { readSmallFile, replaceFile, writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { FileDigests } from "../../core/shapes.ts";
import type { FileRecord } from "../catalog/contract.ts";

export const RECORD_FORMAT_VERSION = 1;
const FORMAT = "troupe-blob";
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

export interface BlobRecord {
  readonly blobId: number;
  readonly group: string;
  readonly sizeBytes: number;
  readonly leafBytes: number;
  readonly digests: FileDigests;
  readonly files: readonly FileRecord[];
}

export async function writeRecord(disk: Disk, path: string, record: BlobRecord): Promise<void> {
  const { files, ...blob } = record;
  const lines = [{ format: FORMAT, formatVersion: RECORD_FORMAT_VERSION, ...blob }, ...files.map((file) => ({ file }))];
  await replaceFile(disk, path, Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
}

export async function addFile(disk: Disk, path: string, file: FileRecord): Promise<void> {
  const handle = await disk.open(path, "write");
  try {
    // The line break first: a line that was torn by a crash stays alone and is passed over when read.
    await writeFully(handle, Buffer.from(`\n${JSON.stringify({ file })}\n`), await handle.sizeBytes());
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws {TroupeError} `FORMAT_TOO_NEW`, `DISK_FAILED` for a record that cannot be read */
export async function readRecord(disk: Disk, path: string): Promise<BlobRecord | undefined> {
  const bytes = await readSmallFile(disk, path, RECORD_BYTES_MAX);
  if (bytes === undefined) return undefined;
  const [first, ...rest] = new TextDecoder().decode(bytes).split("\n");
  const head = parseLine(first ?? "") as ({ format?: unknown; formatVersion?: unknown } & Omit<BlobRecord, "files">) | undefined;
  if (head?.format !== FORMAT || typeof head.formatVersion !== "number")
    throw new TroupeError("DISK_FAILED", `${path} is not a blob's record.`);
  if (head.formatVersion > RECORD_FORMAT_VERSION)
    throw new TroupeError("FORMAT_TOO_NEW", `${path} has format ${head.formatVersion}; this program reads ${RECORD_FORMAT_VERSION}.`);
  const files = new Map<string, FileRecord>();
  for (const line of rest) {
    const file = (parseLine(line) as { file?: FileRecord } | undefined)?.file;
    if (file !== undefined) files.set(file.fileId, file);
  }
  const { blobId, group, sizeBytes, leafBytes, digests } = head;
  return { blobId, group, sizeBytes, leafBytes, digests, files: [...files.values()] };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // A torn line: what it said was never answered for.
    return undefined;
  }
}
