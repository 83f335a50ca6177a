/**
 * Uploads one local file: creates an upload or takes one up again, sends what is missing, merges, and checks the result.
 *
 * U1: only chunks the server says it misses are sent; of an upload taken up again the first and the last chunk it has go first, to be
 *     compared, so that parts of two files are never joined.
 * U2: the merge of a large file is asked for without waiting, so that no connection has to outlast its verification.
 * U3: success means that the server's BLAKE3 is that of the local file, read separately; and the file did not change meanwhile.
 * U4: bytes the server has are not sent: a small file's digest is known before it is sent, a large one's is computed meanwhile, and
 *     the server is asked as soon as it is there. The upload under way is cancelled only when the file is there.
 */

import { TroupeError } from "../core/errors.ts";
import {
  CHUNK_COUNT_MAX,
  CLIENT_DIGEST_FIRST_BYTES_MAX,
  CLIENT_INSTANT_BYTES_MIN,
  CLIENT_PARALLEL_DEFAULT,
  MISSING_RANGES_MAX,
} from "../core/limits.ts";
import type { Disk, DiskFile, FileStatus } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import { randomIdentity } from "../core/ports/random.ts";
import type { UploadState } from "../core/shapes.ts";
import { newTraceParent } from "../core/trace.ts";
import type { AgainPorts } from "./again.ts";
import type { StoredFile } from "./answers.ts";
import { ChunkLanes } from "./chunk-lanes.ts";
import { digestOf } from "./file-digest.ts";
import { mergeUpload } from "./merging.ts";
import type { Pace } from "./pace.ts";
import { createWithProof } from "./possession.ts";
import { Slots } from "./slots.ts";
import { checkSameFile, isOver, type OpenUpload, takeUp } from "./taking-up.ts";
import type { Created, TroupeClient } from "./troupe-client.ts";

export interface UploaderPorts extends AgainPorts {
  readonly disk: Disk;
  readonly hasher: Hasher;
}

export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** What goes on besides sending: the file is read for its digest, or what the server does once all bytes are there. */
  readonly state: UploadState | "reading";
}

/** An upload that chunks are about to be sent to. */
export interface BegunUpload {
  readonly uploadId: string;
  readonly chunkCount: number;
  /** What the server has already. */
  readonly receivedBytes: number;
  /** It was begun before. */
  readonly isContinued: boolean;
}

export interface UploadPlan {
  /** Absolute. */
  readonly path: string;
  readonly name: string;
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  readonly contentType?: string | undefined;
  readonly chunkBytes?: number | undefined;
  /** An upload of the same file that was begun earlier; when it cannot be gone on with, that is an error. */
  readonly resume?: string | undefined;
  /** The same, when nobody insists: one that has ended, or is of another file, makes room for a new one. */
  readonly begun?: string | undefined;
  /** Know the digest before anything is sent, also of a large file. */
  readonly isDigestFirst?: boolean | undefined;
  /** A file of this name and size at the server: if its digest is this file's, it is the answer. */
  readonly same?: StoredFile | undefined;
  /** Chunks on their way at a time. */
  readonly slots?: Slots | undefined;
  readonly pace?: Pace | undefined;
  readonly signal?: AbortSignal | undefined;
  /** From here on the upload can be gone on with or cancelled by its ID; no chunk leaves before this has resolved. */
  readonly onUpload?: ((upload: BegunUpload) => void | Promise<void>) | undefined;
  /** What was begun cannot be gone on with, and why. */
  readonly onAnew?: ((reason: TroupeError) => void) | undefined;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/** One for each full list of missing ranges the largest upload can have, and some for chunks a server lost. */
const SEND_ROUNDS_MAX = Math.ceil(CHUNK_COUNT_MAX / MISSING_RANGES_MAX) + 3;
/** Somebody waits at a keyboard. */
const DISCARD_MS_MAX = 2_000;

/**
 * @throws {TroupeError} what the server said; `PRECONDITION_FAILED` when the file changed or is not the one the upload was begun
 * with; `DIGEST_MISMATCH` when the stored bytes are not the file's; `DISK_FAILED`; `CANCELLED` upon the signal
 */
export async function uploadFile(given: TroupeClient, ports: UploaderPorts, plan: UploadPlan): Promise<StoredFile> {
  // Whatever is asked for on the way, it is one trace.
  const client = given.inTrace(newTraceParent(ports.random));
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
    const digesting = half(digestOf(file, before.sizeBytes, ports.hasher, signal));
    const sending = new Sending(client, ports, { ...plan, signal }, file, before, digesting);
    const [digest, stored] = await Promise.all([digesting, half(sending.store())]);
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

/** One file on its way. */
class Sending {
  readonly #client: TroupeClient;
  readonly #ports: UploaderPorts;
  readonly #plan: UploadPlan;
  readonly #file: DiskFile;
  readonly #before: FileStatus;
  /** BLAKE3 in hex; `undefined` when that failed, and everything is being stopped. */
  readonly #digest: Promise<string | undefined>;
  #doneBytes = 0;
  #state: TransferProgress["state"] = "init";

  constructor(
    client: TroupeClient,
    ports: UploaderPorts,
    plan: UploadPlan,
    file: DiskFile,
    before: FileStatus,
    digest: Promise<string | undefined>,
  ) {
    this.#client = client;
    this.#ports = ports;
    this.#plan = plan;
    this.#file = file;
    this.#before = before;
    this.#digest = digest;
  }

  async store(): Promise<StoredFile> {
    const earlier = await this.#takenUp();
    if (earlier === undefined) return await this.#anew();
    return "file" in earlier ? earlier.file : await this.#fill(earlier, true);
  }

  async #takenUp(): Promise<OpenUpload | { readonly file: StoredFile } | undefined> {
    const { resume, begun, path, signal, onAnew } = this.#plan;
    const uploadId = resume ?? begun;
    if (uploadId === undefined) return undefined;
    try {
      const found = await takeUp(this.#client, this.#ports, uploadId, { path, sizeBytes: this.#before.sizeBytes, signal });
      if ("uploadId" in found && found.state === "receiving") await checkSameFile(this.#lanes(found), path, found, this.#chunkCount(found));
      return found;
    } catch (error) {
      if (resume !== undefined || !isOver(error)) throw error;
      onAnew?.(error);
      return undefined;
    }
  }

  async #anew(): Promise<StoredFile> {
    const { isDigestFirst, same } = this.#plan;
    const { sizeBytes } = this.#before;
    const isDigestAwaited = isDigestFirst === true || same !== undefined || sizeBytes <= CLIENT_DIGEST_FIRST_BYTES_MAX;
    if (isDigestAwaited && sizeBytes > CLIENT_DIGEST_FIRST_BYTES_MAX) this.#report("reading");
    const digest = isDigestAwaited ? await this.#digest : undefined;
    if (digest !== undefined && same?.digest.blake3 === digest) return same;
    const created = await this.#create(digest, this.#plan.signal, this.#ports);
    return created.kind === "file" ? created.file : await this.#fill(created.upload, false);
  }

  /** With a digest, the content need not be sent when the server has it. */
  async #create(
    digest: string | undefined,
    signal: AbortSignal | undefined,
    ports: AgainPorts,
    onUpload?: (uploadId: string) => void,
  ): Promise<Created> {
    const { name, contentType, chunkBytes, app, user } = this.#plan;
    const { sizeBytes: size } = this.#before;
    // The same key each time: an answer that was lost does not leave a second upload behind.
    const idempotencyKey = randomIdentity(this.#ports.random);
    const claim = digest === undefined || size === 0 ? {} : { digest: { algorithm: "blake3", value: digest } as const };
    const request = { name, size, contentType, chunkBytes, app, user, idempotencyKey, ...claim };
    return await createWithProof(this.#client, ports, this.#file, request, signal, onUpload);
  }

  async #fill(opened: OpenUpload, isContinued: boolean): Promise<StoredFile> {
    const { uploadId } = opened;
    const chunkCount = this.#chunkCount(opened);
    const lanes = this.#lanes(opened);
    this.#state = opened.state;
    this.#count(lanes, opened, opened.missing);
    await this.#plan.onUpload?.({ uploadId, chunkCount, receivedBytes: this.#doneBytes, isContinued });
    // What knew its digest before has asked.
    const isAsking = isContinued ? this.#plan.resume === undefined : !this.#hasAsked();
    const found = isAsking ? await this.#sendUnlessKnown(lanes, opened) : await this.#send(lanes, opened.missing);
    return found ?? (await this.#merged(lanes, opened));
  }

  #hasAsked(): boolean {
    const { isDigestFirst, same } = this.#plan;
    return isDigestFirst === true || same !== undefined || this.#before.sizeBytes <= CLIENT_DIGEST_FIRST_BYTES_MAX;
  }

  /** Sends, and meanwhile asks for the file by its digest (U4). @returns the file when it came that way */
  async #sendUnlessKnown(lanes: ChunkLanes, { uploadId, missing }: OpenUpload): Promise<StoredFile | undefined> {
    const known = new AbortController();
    const asking = new AbortController();
    const attempt = this.#askByDigest(asking.signal).then((file) => {
      if (file !== undefined) known.abort();
      return file;
    });
    try {
      await this.#send(lanes, missing, known.signal);
    } catch (error) {
      if (!known.signal.aborted) {
        asking.abort();
        await attempt;
        throw error;
      }
    }
    // A merge beside it could make two files of one.
    const file = await attempt;
    if (file !== undefined) await this.#discard(uploadId);
    return file;
  }

  /** Never rejects: whatever is wrong, the bytes are on their way. */
  async #askByDigest(signal: AbortSignal): Promise<StoredFile | undefined> {
    const digest = await this.#digest;
    if (digest === undefined || this.#before.sizeBytes - this.#doneBytes < CLIENT_INSTANT_BYTES_MIN) return undefined;
    let uploadId: string | undefined;
    try {
      const { clock, random } = this.#ports;
      // What it has to wait for is nobody's business: the bytes are on their way.
      const created = await this.#create(digest, signal, { clock, random }, (id) => void (uploadId = id));
      if (created.kind === "file") return created.file;
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
    }
    if (uploadId !== undefined) await this.#discard(uploadId);
    return undefined;
  }

  /** An upload that is not needed, also after Ctrl-C; one that cannot be cancelled at once expires. */
  async #discard(uploadId: string): Promise<void> {
    const stop = new AbortController();
    const timer = this.#ports.clock.setTimer(DISCARD_MS_MAX, () => stop.abort());
    try {
      await this.#client.cancel(uploadId, stop.signal);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Who shares the upload may have merged it meanwhile: then nothing is left to send. */
  async #send(lanes: ChunkLanes, missing: OpenUpload["missing"], until?: AbortSignal): Promise<undefined> {
    try {
      await lanes.send(missing, until);
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== "UPLOAD_MERGED") throw error;
    }
  }

  /** Everything has been sent once: merges, and sends what the server misses after all. */
  async #merged(lanes: ChunkLanes, opened: OpenUpload): Promise<StoredFile> {
    const { uploadId } = opened;
    const { signal } = this.#plan;
    for (let round = 0; round < SEND_ROUNDS_MAX; round += 1) {
      await this.#checkUnchanged(uploadId);
      const outcome = await mergeUpload(this.#client, this.#ports, {
        uploadId,
        isSmall: this.#before.sizeBytes <= CLIENT_DIGEST_FIRST_BYTES_MAX,
        signal,
        onState: (state) => this.#report(state),
      });
      if ("file" in outcome) return outcome.file;
      // A list of missing chunks is cut after its first thousand ranges, so there may be more to send.
      this.#count(lanes, opened, outcome.missing);
      await this.#send(lanes, outcome.missing);
    }
    throw new TroupeError("INTERNAL", `The server misses chunks of upload ${uploadId} however often they are sent.`);
  }

  /** Parts of different versions can never become a file: the upload is given up. */
  async #checkUnchanged(uploadId: string): Promise<void> {
    const { path } = this.#plan;
    const now = await this.#ports.disk.status(path);
    if (now?.sizeBytes === this.#before.sizeBytes && now.modifiedMs === this.#before.modifiedMs) return;
    await this.#discard(uploadId);
    throw new TroupeError("PRECONDITION_FAILED", `${path} changed while it was sent; what had arrived is cancelled. Upload it again.`);
  }

  #lanes({ uploadId, chunkBytes }: OpenUpload): ChunkLanes {
    const { slots = new Slots(CLIENT_PARALLEL_DEFAULT), pace, signal } = this.#plan;
    return new ChunkLanes({
      client: this.#client,
      ports: this.#ports,
      file: this.#file,
      uploadId,
      chunkBytes,
      sizeBytes: this.#before.sizeBytes,
      slots,
      pace,
      signal,
      onBytes: (change) => {
        this.#doneBytes += change;
        this.#report(this.#state);
      },
    });
  }

  #chunkCount({ chunkBytes }: OpenUpload): number {
    return Math.ceil(this.#before.sizeBytes / chunkBytes);
  }

  #count(lanes: ChunkLanes, { chunkBytes }: OpenUpload, missing: OpenUpload["missing"]): void {
    const missingBytes = missing.reduce((sum, [first, last]) => sum + (last - first) * chunkBytes + lanes.lengthOf(last), 0);
    this.#doneBytes = this.#before.sizeBytes - missingBytes;
    this.#report(this.#state);
  }

  #report(state: TransferProgress["state"]): void {
    this.#state = state;
    this.#plan.onProgress?.({ doneBytes: this.#doneBytes, totalBytes: this.#before.sizeBytes, state });
  }
}

async function fileStatus(disk: Disk, path: string): Promise<FileStatus> {
  const status = await disk.status(path);
  if (status === undefined) throw new TroupeError("DISK_FAILED", `There is no file ${path}.`, { facts: { errno: "ENOENT" } });
  if (status.kind !== "file") throw new TroupeError("DISK_FAILED", `${path} is not a file.`, { facts: { errno: "EISDIR" } });
  return status;
}
