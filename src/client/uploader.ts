/**
 * Uploads one local file: creates an upload or takes one up again, sends what is missing, merges, and checks the result.
 *
 * U1: only chunks the server says it misses are sent; of an upload taken up again the first and the last chunk it has go first, to be
 *     compared, so that parts of two files are never joined.
 * U2: the merge is asked for without waiting, so that no connection has to outlast the verification of a large file.
 * U3: success means that the server's BLAKE3 is that of the local file, read separately; and the file did not change meanwhile.
 */

import { readFully } from "../core/durable.ts";
import { TroupeError } from "../core/errors.ts";
import { CHUNK_COUNT_MAX, CLIENT_PARALLEL_DEFAULT, CLIENT_PARALLEL_MAX, MISSING_RANGES_MAX, READ_BLOCK_BYTES } from "../core/limits.ts";
import type { Disk, DiskFile, FileStatus } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import { randomIdentity } from "../core/ports/random.ts";
import { isEnded, type UploadState } from "../core/shapes.ts";
import { type AgainPorts, again, MOVING_POLICY, pauseOrGiveUp, STARTING_POLICY, sleepUnlessAborted, throwIfCancelled } from "./again.ts";
import type { StoredFile } from "./answers.ts";
import { ChunkLanes } from "./chunk-lanes.ts";
import type { TroupeClient } from "./troupe-client.ts";

export interface UploaderPorts extends AgainPorts {
  readonly disk: Disk;
  readonly hasher: Hasher;
}

export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** What the server is doing once all bytes are there. */
  readonly state: UploadState;
}

export interface UploadPlan {
  /** Absolute. */
  readonly path: string;
  readonly name: string;
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  readonly contentType?: string | undefined;
  readonly chunkBytes?: number | undefined;
  /** An upload of the same file that was begun earlier. */
  readonly resume?: string | undefined;
  /** Chunks on their way at a time. */
  readonly parallel?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** From here on the upload can be resumed or cancelled by its ID. */
  readonly onUpload?: ((uploadId: string, chunkCount: number) => void) | undefined;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/** An upload at the server, and the chunks it misses. */
interface OpenUpload {
  readonly uploadId: string;
  readonly chunkBytes: number;
  readonly state: UploadState;
  readonly missing: readonly (readonly [number, number])[];
  /** There may be more after the last of them. */
  readonly missingTruncated: boolean;
}

/** One for each full list of missing ranges the largest upload can have, and some for chunks a server lost. */
const SEND_ROUNDS_MAX = Math.ceil(CHUNK_COUNT_MAX / MISSING_RANGES_MAX) + 3;
const MERGE_POLL_MIN_MS = 100;
const MERGE_POLL_MAX_MS = 2_000;

/**
 * @throws {TroupeError} what the server said; `PRECONDITION_FAILED` when the file changed or is not the one the upload was begun
 * with; `DIGEST_MISMATCH` when the stored bytes are not the file's; `DISK_FAILED`; `CANCELLED` upon the signal
 */
export async function uploadFile(client: TroupeClient, ports: UploaderPorts, plan: UploadPlan): Promise<StoredFile> {
  const before = await fileStatus(ports.disk, plan.path);
  const file = await ports.disk.open(plan.path, "read");
  const stop = new AbortController();
  const signal = plan.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, plan.signal]);
  try {
    // The first failure is the reason; it stops the other half, and the file is closed only after both have ended.
    const failures: unknown[] = [];
    const half = async <T>(work: Promise<T>): Promise<T | undefined> => {
      try {
        return await work;
      } catch (error) {
        failures.push(error);
        stop.abort();
        return undefined;
      }
    };
    // Both begin at once: reading the file for its digest is faster than any line, and what it reads the lanes find in memory.
    const [digest, stored] = await Promise.all([
      half(digestOf(file, before.sizeBytes, ports.hasher, signal)),
      half(store(client, ports, { ...plan, signal }, file, before)),
    ]);
    if (digest === undefined || stored === undefined) throw failures[0];
    if (stored.digest.blake3 !== digest) {
      throw new TroupeError(
        "DIGEST_MISMATCH",
        // What was begun with another file may well be that file, whole.
        `The server's file ${stored.fileId} is not ${plan.path}: its BLAKE3 differs. ${plan.resume === undefined ? "Delete it and upload again." : `Look what upload ${plan.resume} was begun with.`}`,
        {
          facts: { fileId: stored.fileId },
        },
      );
    }
    return stored;
  } finally {
    await file.close();
  }
}

async function store(
  client: TroupeClient,
  ports: UploaderPorts,
  plan: UploadPlan,
  file: DiskFile,
  before: FileStatus,
): Promise<StoredFile> {
  const opened = await openUpload(client, ports, plan, before.sizeBytes);
  if ("file" in opened) return opened.file;
  const { uploadId, chunkBytes } = opened;
  const chunkCount = Math.ceil(before.sizeBytes / chunkBytes);
  let doneBytes = 0;
  let state = opened.state;
  const report = (): void => plan.onProgress?.({ doneBytes, totalBytes: before.sizeBytes, state });
  const lanes = new ChunkLanes({
    client,
    ports,
    file,
    uploadId,
    chunkBytes,
    sizeBytes: before.sizeBytes,
    parallel: Math.max(1, Math.min(CLIENT_PARALLEL_MAX, plan.parallel ?? CLIENT_PARALLEL_DEFAULT)),
    signal: plan.signal,
    onBytes: (change) => {
      doneBytes += change;
      report();
    },
  });
  let { missing } = opened;
  const { resume } = plan;
  if (resume !== undefined && state === "receiving") await checkSameFile(lanes, resume, plan.path, opened, chunkCount);
  plan.onUpload?.(uploadId, chunkCount);
  for (let round = 0; round < SEND_ROUNDS_MAX; round += 1) {
    const missingBytes = missing.reduce((sum, [first, last]) => sum + (last - first) * chunkBytes + lanes.lengthOf(last), 0);
    doneBytes = before.sizeBytes - missingBytes;
    report();
    await lanes.send(missing);
    await checkUnchanged(ports.disk, plan.path, before);
    const outcome = await merge(client, ports, uploadId, plan.signal, (next) => {
      state = next;
      report();
    });
    if ("file" in outcome) return outcome.file;
    // A list of missing chunks is cut after its first thousand ranges, so there may be more to send.
    missing = outcome.missing;
  }
  throw new TroupeError("INTERNAL", `The server misses chunks of upload ${uploadId} however often they are sent.`);
}

async function openUpload(
  client: TroupeClient,
  ports: UploaderPorts,
  plan: UploadPlan,
  sizeBytes: number,
): Promise<OpenUpload | { readonly file: StoredFile }> {
  const { resume, signal } = plan;
  if (resume === undefined) {
    // The same key each time: an answer that was lost does not leave a second upload behind.
    const idempotencyKey = randomIdentity(ports.random);
    const { name, contentType, chunkBytes, app, user } = plan;
    const created = await again(STARTING_POLICY, ports, signal, () =>
      client.create({ name, size: sizeBytes, contentType, chunkBytes, app, user, idempotencyKey }, signal),
    );
    return created.kind === "file" ? { file: created.file } : created.upload;
  }
  const progress = await again(STARTING_POLICY, ports, signal, () => client.status(resume, signal));
  if (progress.size !== undefined && progress.size !== sizeBytes) {
    throw new TroupeError(
      "PRECONDITION_FAILED",
      `Upload ${resume} is of a file of ${progress.size} bytes, and ${plan.path} has ${sizeBytes}.`,
    );
  }
  const { fileId } = progress;
  if (progress.state === "merged" && fileId !== undefined)
    return { file: await again(STARTING_POLICY, ports, signal, () => client.file(fileId, signal)) };
  if (isEnded(progress.state)) throw endedError(resume, progress.state, progress.lastError?.detail);
  return { ...progress, uploadId: resume };
}

/** @throws {TroupeError} `PRECONDITION_FAILED` when the upload has chunks of another file */
async function checkSameFile(lanes: ChunkLanes, uploadId: string, path: string, opened: OpenUpload, chunkCount: number): Promise<void> {
  for (const index of outermostReceived(opened, chunkCount)) {
    try {
      await lanes.compare(index);
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== "CHUNK_CONFLICT") throw error;
      throw new TroupeError(
        "PRECONDITION_FAILED",
        `${path} is not the file that upload ${uploadId} was begun with: chunk ${index} differs. Nothing was changed; upload it without --resume.`,
        { cause: error },
      );
    }
  }
}

/** The first and the last chunk the server is known to have: none, one or two. */
function outermostReceived({ missing, missingTruncated }: OpenUpload, chunkCount: number): number[] {
  const found = new Set<number>();
  const [head, tail] = [missing[0], missing.at(-1)];
  const first = head?.[0] === 0 ? head[1] + 1 : 0;
  // What comes after a list that was cut is not known.
  const end = missingTruncated && tail !== undefined ? tail[1] + 1 : chunkCount;
  const last = tail !== undefined && tail[1] === end - 1 ? tail[0] - 1 : end - 1;
  if (first < end) found.add(first);
  if (last >= first) found.add(last);
  return [...found];
}

/** Asks for the merge and watches it (U2). Chunks still missing are an answer, not an error. */
async function merge(
  client: TroupeClient,
  ports: UploaderPorts,
  uploadId: string,
  signal: AbortSignal | undefined,
  onState: (state: UploadState) => void,
): Promise<{ readonly file: StoredFile } | { readonly missing: OpenUpload["missing"] }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const merged = await client.merge(uploadId, signal);
      if (merged.kind === "file") return { file: merged.file };
      const progress = await watchMerge(client, ports, uploadId, signal, onState);
      const { fileId } = progress;
      if (progress.state === "merged" && fileId !== undefined)
        return { file: await again(MOVING_POLICY, ports, signal, () => client.file(fileId, signal)) };
      if (progress.state !== "receiving") throw endedError(uploadId, progress.state, progress.lastError?.detail);
      // It went back: either chunks are missing, or something it needs was away and merging again may help.
      if (progress.missing.length > 0) return { missing: progress.missing };
      throw new TroupeError("UNAVAILABLE", progress.lastError?.detail ?? "The merge was put off.");
    } catch (error) {
      if (error instanceof TroupeError && error.code === "UPLOAD_INCOMPLETE") {
        const progress = await again(MOVING_POLICY, ports, signal, () => client.status(uploadId, signal));
        if (progress.missing.length > 0) return { missing: progress.missing };
      }
      await pauseOrGiveUp(error, MOVING_POLICY, attempt, ports, signal);
    }
  }
}

async function watchMerge(
  client: TroupeClient,
  ports: UploaderPorts,
  uploadId: string,
  signal: AbortSignal | undefined,
  onState: (state: UploadState) => void,
) {
  for (let delayMs = MERGE_POLL_MIN_MS; ; delayMs = Math.min(MERGE_POLL_MAX_MS, delayMs * 2)) {
    await sleepUnlessAborted(ports.clock, delayMs, signal);
    const progress = await again(MOVING_POLICY, ports, signal, () => client.status(uploadId, signal));
    onState(progress.state);
    if (progress.state === "receiving" || isEnded(progress.state)) return progress;
  }
}

function endedError(uploadId: string, state: UploadState, detail: string | undefined): TroupeError {
  const why = detail === undefined ? "" : `: ${detail.replace(/\.$/, "")}`;
  if (state === "cancelled") return new TroupeError("UPLOAD_CANCELLED", `Upload ${uploadId} was cancelled; start a new one.`);
  if (state === "expired")
    return new TroupeError("UPLOAD_EXPIRED", `Upload ${uploadId} was idle too long and has expired; start a new one.`);
  return new TroupeError("UPLOAD_FAILED", `Upload ${uploadId} failed for good${why}. Start a new one.`);
}

async function fileStatus(disk: Disk, path: string): Promise<FileStatus> {
  const status = await disk.status(path);
  if (status === undefined) throw new TroupeError("DISK_FAILED", `There is no file ${path}.`, { facts: { errno: "ENOENT" } });
  if (status.kind !== "file") throw new TroupeError("DISK_FAILED", `${path} is not a file.`, { facts: { errno: "EISDIR" } });
  return status;
}

async function checkUnchanged(disk: Disk, path: string, before: FileStatus): Promise<void> {
  const now = await disk.status(path);
  if (now?.sizeBytes === before.sizeBytes && now.modifiedMs === before.modifiedMs) return;
  throw new TroupeError(
    "PRECONDITION_FAILED",
    `${path} changed while it was sent, so parts of the upload are of different versions. Cancel it and upload again.`,
  );
}

/** @returns BLAKE3 in hex */
async function digestOf(file: DiskFile, sizeBytes: number, hasher: Hasher, signal: AbortSignal): Promise<string> {
  const hash = hasher.stream("blake3");
  for (let offset = 0; offset < sizeBytes; offset += READ_BLOCK_BYTES) {
    throwIfCancelled(signal);
    const block = new Uint8Array(Math.min(READ_BLOCK_BYTES, sizeBytes - offset));
    await readFully(file, block, offset);
    hash.update(block);
  }
  return hash.digestHex();
}
