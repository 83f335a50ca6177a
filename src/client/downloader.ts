/**
 * Downloads a file or a span of it: in order, going on where a broken connection ended, verified when it is the whole file.
 *
 * N1: after a break the rest is asked for with `If-Range`, so that bytes of two versions are never joined.
 * N2: a file under its final name is whole: bytes go to `<file>.part`, are synced and, when they are all of the file, compared with the
 *     server's BLAKE3 before the rename. After a failure no part is left, unless the caller stopped it and wants to keep what came.
 */
import { dirname } from "node:path";
import { writeFully } from "../core/durable.ts";
import { TroupeError } from "../core/errors.ts";
import type { Disk, DiskFile } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import { type AgainPorts, MOVING_POLICY, pauseOrGiveUp, throwIfCancelled } from "./again.ts";
import type { StoredFile } from "./answers.ts";
import { spanOf, type WantedRange } from "./byte-range.ts";
import { type Pace, paced } from "./pace.ts";
import type { TroupeClient } from "./troupe-client.ts";

export interface DownloaderPorts extends AgainPorts {
  readonly hasher: Hasher;
}

export interface DownloadPlan {
  readonly file: StoredFile;
  readonly range?: WantedRange | undefined;
  readonly pace?: Pace | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export interface DownloadTarget {
  /** Absolute. */
  readonly path: string;
  /** Replace what is there. */
  readonly overwrite: boolean;
  /** What had come when the signal stopped it stays in `<file>.part`; the error's `facts.part` names it. */
  readonly keepPart?: boolean;
}

/**
 * @returns the number of bytes written
 * @throws {TroupeError} what the server said; `DIGEST_MISMATCH`; `PRECONDITION_FAILED` when the target is taken; `DISK_…`; `CANCELLED`
 */
export async function downloadToFile(
  client: TroupeClient,
  ports: DownloaderPorts & { readonly disk: Disk },
  plan: DownloadPlan,
  target: DownloadTarget,
): Promise<number> {
  const { disk } = ports;
  const { path, overwrite, keepPart = false } = target;
  const partPath = `${path}.part`;
  await refuseTaken(disk, path, overwrite);
  const part = await createPart(disk, partPath, overwrite);
  let offset = 0;
  try {
    try {
      for await (const block of downloadBlocks(client, ports, plan)) {
        await writeFully(part, block, offset);
        offset += block.length;
      }
      await part.sync();
    } finally {
      await part.close();
    }
    await refuseTaken(disk, path, overwrite);
    await disk.rename(partPath, path);
    await disk.syncDirectory(dirname(path));
    return offset;
  } catch (error) {
    if (keepPart && offset > 0 && error instanceof TroupeError && error.code === "CANCELLED")
      throw new TroupeError("CANCELLED", undefined, { cause: error, facts: { ...error.facts, part: partPath } });
    await disk.remove(partPath);
    throw error;
  }
}

/** The bytes in order. When the whole file is wanted, its digest is verified before the iteration ends. */
export async function* downloadBlocks(client: TroupeClient, ports: DownloaderPorts, plan: DownloadPlan): AsyncGenerator<Uint8Array> {
  const { file, range, pace, signal, onProgress } = plan;
  const { offset, end } = range === undefined ? { offset: 0, end: file.size } : spanOf(range, file.size);
  const isWhole = offset === 0 && end === file.size;
  const hash = isWhole ? ports.hasher.stream("blake3") : undefined;
  let doneBytes = 0;
  onProgress?.(0, end - offset);
  for await (const block of paced(resumedBlocks(client, ports, file.fileId, offset, end, signal), pace, signal)) {
    hash?.update(block);
    yield block;
    doneBytes += block.length;
    onProgress?.(doneBytes, end - offset);
  }
  if (hash !== undefined && hash.digestHex() !== file.digest.blake3) {
    throw new TroupeError(
      "DIGEST_MISMATCH",
      `The bytes of ${file.fileId} that arrived do not have its BLAKE3. Download it again; if it happens again, its stored copy is damaged.`,
    );
  }
}

async function* resumedBlocks(
  client: TroupeClient,
  ports: DownloaderPorts,
  fileId: string,
  first: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let offset = first;
  let etag: string | undefined;
  for (let attempt = 1; offset < end; ) {
    try {
      const opened = await client.open(fileId, { first: offset, last: end - 1 }, etag, signal);
      // N1: the whole file in place of the rest means that it is no longer the file whose beginning we have.
      if (opened.first !== offset)
        throw new TroupeError("PRECONDITION_FAILED", `The server did not go on with ${fileId} where the connection broke off.`);
      etag ??= opened.etag;
      for await (const block of opened.body) {
        throwIfCancelled(signal);
        // A server may ignore the range; what comes after its end is not wanted.
        if (offset >= end) return;
        const wanted = block.subarray(0, end - offset);
        offset += wanted.length;
        attempt = 1;
        yield wanted;
      }
      if (offset >= end) return;
      throw new TroupeError("UNAVAILABLE", `${client.gateway} ended its answer before all of it had come.`, {
        facts: { unreachable: true },
      });
    } catch (error) {
      await pauseOrGiveUp(error, MOVING_POLICY, attempt, ports, signal);
      attempt += 1;
    }
  }
}

async function refuseTaken(disk: Disk, path: string, overwrite: boolean): Promise<void> {
  const status = await disk.status(path);
  if (status === undefined || (overwrite && status.kind === "file")) return;
  throw new TroupeError("PRECONDITION_FAILED", status.kind === "file" ? `${path} exists.` : `${path} is not a file.`, {
    facts: { taken: path },
  });
}

async function createPart(disk: Disk, partPath: string, overwrite: boolean): Promise<DiskFile> {
  if (overwrite) await disk.remove(partPath);
  try {
    return await disk.open(partPath, "create");
  } catch (error) {
    // Two downloads into one part would mix their bytes.
    if (error instanceof TroupeError && error.facts["errno"] === "EEXIST") {
      throw new TroupeError("PRECONDITION_FAILED", `${partPath} exists: another download is under way, or was killed.`, {
        facts: { taken: partPath },
      });
    }
    throw error;
  }
}
