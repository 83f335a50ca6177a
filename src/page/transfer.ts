/**
 * One file on its way to the server.
 *
 * T1: pausing ends what is on its way and keeps what arrived; going on asks the server what is missing and sends only that.
 * T2: the digest is computed while chunks already go. When it is known in time, the server is asked whether it has the content; then
 *     nothing more is sent. No chunk waits for any of this, and an upload is not merged while that question is open: one drop is one file.
 * T3: success means that the server's BLAKE3 is that of the file on this device.
 * T4: where the newest file of the name has the same bytes, nothing is stored: it is that file.
 */
import type { MissingRange, OpenUpload, StoredFile, UploadStatus } from "./answers.ts";
import { type Sending, sendChunk, sendChunks } from "./chunks.ts";
import { digests } from "./digests.ts";
import { forget, remember } from "./fingerprints.ts";
import { persist } from "./patience.ts";
import { type Creation, cancelUpload, contentAtServer, createUpload, newKey, prove } from "./possession.ts";
import { RateMeter } from "./rate.ts";
import { ask, Refusal } from "./server.ts";
import type { Sibling, Siblings } from "./siblings.ts";
import { cancelWhole, sendWhole } from "./whole-file.ts";
import { errorText } from "./words.ts";

const MIB = 1024 * 1024;
/** A smaller file is sent in less time than it takes to ask whether it has to be; it goes as one request. */
const QUESTION_BYTES_MIN = MIB;
/** A file that is read faster than anybody notices has its digest told at once. */
const DIGEST_FIRST_BYTES_MAX = 16 * MIB;
/** Small chunks lose little when a connection breaks; a large file has larger ones. */
const CHUNKS_WANTED = 256;
const CHUNK_BYTES_MAX = 8 * MIB;
/** From here on the server chooses: it knows its bounds. */
const OWN_CHOICE_BYTES = 64 * 1024 * MIB;
/** A smaller file is merged before anybody could ask how far that is. */
const WAITED_FOR_BYTES_MAX = 64 * MIB;
const POLL_MS_MIN = 150;
const POLL_MS_MAX = 2_000;
const ROUNDS_MAX = 2_000;
const ENDED_CODES = new Set(["UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "UPLOAD_NOT_FOUND"]);
/** States in which the server works by itself. */
const GOES_ON = new Set(["init", "verifying", "replicating", "committing"]);

/** `finishing` is the server's turn. */
export type TransferState = "queued" | "starting" | "sending" | "finishing" | "paused" | "done" | "failed" | "cancelled";

export interface TransferPlan {
  readonly file: File;
  /** With its folders. */
  readonly name: string;
  readonly user: string;
  /** An unfinished upload this file belongs to. */
  readonly uploadId?: string | undefined;
  /** The upload was found by name and size only. */
  readonly isGuess?: boolean;
  readonly siblings: Siblings;
}

export class Transfer {
  readonly id: number;
  readonly name: string;
  readonly user: string;
  readonly file: File;
  readonly rate = new RateMeter();
  state: TransferState = "queued";
  /** Why it waits or failed, in words. */
  message: string | undefined;
  result: StoredFile | undefined;
  /** Its bytes were there already. */
  isInstant = false;
  /** T4 */
  isThere = false;
  uploadId: string | undefined;
  readonly #changed: () => void;
  readonly #moving = new Map<number, number>();
  #storedBytes = 0;
  #isGuess: boolean;
  readonly #siblings: Siblings;
  /** Of a file that goes as one request, from then on until it is over. */
  #whole: Creation | undefined;
  #digest: Promise<string | undefined> | undefined;
  #run: AbortController | undefined;

  constructor(id: number, plan: TransferPlan, changed: () => void) {
    this.id = id;
    this.file = plan.file;
    this.name = plan.name;
    this.user = plan.user;
    this.uploadId = plan.uploadId;
    this.#isGuess = plan.isGuess ?? false;
    this.#siblings = plan.siblings;
    this.#changed = changed;
  }

  get sentBytes(): number {
    let bytes = this.#storedBytes;
    for (const moving of this.#moving.values()) bytes += moving;
    return Math.min(bytes, this.file.size);
  }

  get isActive(): boolean {
    return this.state === "starting" || this.state === "sending" || this.state === "finishing";
  }

  get isOver(): boolean {
    return this.state === "done" || this.state === "cancelled";
  }

  get secondsLeft(): number | undefined {
    const speed = this.rate.bytesPerSecond;
    return speed === undefined || speed < 1 ? undefined : (this.file.size - this.sentBytes) / speed;
  }

  /** Resolves when it has ended, was paused or failed. */
  async start(): Promise<void> {
    const run = new AbortController();
    this.#run = run;
    this.#enter("starting");
    try {
      const stored = await this.#upload(run.signal);
      this.result = stored;
      this.isInstant = stored.instant === true;
      this.#storedBytes = this.file.size;
      this.#whole = undefined;
      this.#enter("done");
      if (this.uploadId !== undefined) forget(this.uploadId);
    } catch (error) {
      if (!run.signal.aborted) this.#fail(error);
    } finally {
      // Whatever still reads or asks for this run has nobody to tell.
      run.abort();
      this.#moving.clear();
      this.#changed();
    }
  }

  pause(): void {
    if (!this.isActive && this.state !== "queued") return;
    this.#enter("paused");
    this.#run?.abort();
  }

  /** Paused or failed: it may run again. */
  wait(): void {
    if (this.state === "paused" || this.state === "failed") this.#enter("queued");
  }

  /** Ends it and frees what the server keeps of it. */
  async cancel(): Promise<void> {
    this.#enter("cancelled");
    this.#run?.abort();
    if (this.#whole !== undefined) await cancelWhole(this.#whole);
    if (this.uploadId === undefined) return;
    forget(this.uploadId);
    await cancelUpload(this.uploadId);
  }

  tick(nowMs: number): void {
    if (this.state === "sending" && this.message === undefined) this.rate.add(nowMs, this.sentBytes);
    else this.rate.reset();
  }

  #enter(state: TransferState, message?: string): void {
    this.state = state;
    this.message = message;
    this.#changed();
  }

  #fail(error: unknown): void {
    const isEnded =
      error instanceof UploadEnded || error instanceof OtherBytes || (error instanceof Refusal && ENDED_CODES.has(error.code));
    if (isEnded && this.uploadId !== undefined) {
      forget(this.uploadId);
      this.uploadId = undefined;
      this.#storedBytes = 0;
    }
    // What its key stands for is over: another try is another upload.
    if (error instanceof Refusal && (isEnded || error.code === "FILE_NOT_FOUND")) this.#whole = undefined;
    this.#enter("failed", errorText(error));
  }

  readonly #onWaiting = (reason: string | undefined): void => {
    if (this.message === reason) return;
    this.message = reason;
    this.#changed();
  };

  readonly #onMoving = (index: number, bytes: number): void => {
    if (bytes === 0) this.#moving.delete(index);
    else this.#moving.set(index, bytes);
    this.#changed();
  };

  #patiently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return persist(work, { signal, onWaiting: this.#onWaiting });
  }

  async #upload(signal: AbortSignal): Promise<StoredFile> {
    const sibling = this.#whole === undefined ? await this.#sibling(signal) : undefined;
    if (this.uploadId === undefined && this.file.size <= DIGEST_FIRST_BYTES_MAX) {
      const same = await this.#sameAs(sibling, signal);
      if (same !== undefined) return same;
      if (this.file.size < QUESTION_BYTES_MIN) return await this.#checked(await this.#sendWhole(signal), signal);
    }
    const opened = this.uploadId === undefined ? await this.#open(signal) : await this.#takeUp(this.uploadId, signal);
    if ("fileId" in opened) return await this.#checked(opened, signal);
    const there = new AbortController();
    let found: StoredFile | undefined;
    let question: Promise<void> | undefined;
    let isSent = false;
    const isFound = (stored: StoredFile | undefined): void => {
      found = stored;
      if (stored !== undefined) there.abort();
    };
    if (opened.challenge !== undefined) void prove(opened.uploadId, this.file, opened.challenge, signal).then(isFound);
    else if (this.file.size > DIGEST_FIRST_BYTES_MAX) {
      const isKnown = this.#sameAs(sibling, signal).then(isFound);
      if (sibling !== undefined) question = isKnown;
      void isKnown
        .then(() => this.#readDigest(signal))
        .then((digest) => {
          if (digest !== undefined && found === undefined && !isSent)
            question = contentAtServer(this.#creation(digest), this.file, signal).then(isFound);
        });
    }
    try {
      if (opened.state === "receiving") await this.#send(opened, AbortSignal.any([signal, there.signal]));
      isSent = true;
      if (question !== undefined) this.#enter("finishing");
      await question;
      if (found === undefined) return await this.#checked(await this.#merge(opened, signal), signal);
    } catch (error) {
      // The proof may have made a file of the very upload whose chunks are then refused.
      signal.throwIfAborted();
      if (found === undefined) throw error;
    }
    if (question !== undefined) await cancelUpload(opened.uploadId).catch(() => undefined);
    return await this.#checked(found, signal);
  }

  /** The newest file of this name, if it may be the same. */
  async #sibling(signal: AbortSignal): Promise<Sibling | undefined> {
    try {
      const sibling = await this.#patiently(signal, () => this.#siblings.newest(this.name));
      return sibling?.size === this.file.size ? sibling : undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  /** T4 */
  async #sameAs(sibling: Sibling | undefined, signal: AbortSignal): Promise<StoredFile | undefined> {
    if (sibling === undefined) return undefined;
    const digest = await this.#readDigest(signal);
    try {
      const stored = await this.#file(sibling.fileId, signal);
      this.isThere = stored.name === this.name && stored.digest.blake3 === digest;
      return this.isThere ? stored : undefined;
    } catch (error) {
      // It was deleted in between, or is not ours to look at: then this one is stored. And whoever has paused is told elsewhere.
      if (signal.aborted || error instanceof Refusal) return undefined;
      throw error;
    }
  }

  async #sendWhole(signal: AbortSignal): Promise<StoredFile> {
    this.#whole ??= this.#creation(await this.#readDigest(signal));
    signal.throwIfAborted();
    this.#enter("sending");
    const onSent = (bytes: number): void => this.#onMoving(0, bytes);
    return await sendWhole(this.file, this.#whole, { signal, onWaiting: this.#onWaiting, onSent });
  }

  async #open(signal: AbortSignal): Promise<OpenUpload | StoredFile> {
    const { size } = this.file;
    const isFirst = size >= QUESTION_BYTES_MIN && size <= DIGEST_FIRST_BYTES_MAX;
    const digest = isFirst ? await this.#readDigest(signal) : undefined;
    const creation = this.#creation(digest);
    const opened = await this.#patiently(signal, () => createUpload(creation, signal));
    if ("fileId" in opened) return opened;
    this.uploadId = opened.uploadId;
    this.#isGuess = false;
    const { name, user, file } = this;
    remember({ uploadId: opened.uploadId, name, user, bytes: file.size, modifiedMs: file.lastModified });
    return opened;
  }

  #creation(digest: string | undefined): Creation {
    const { name, user, file } = this;
    return {
      name,
      user,
      size: file.size,
      ...(file.size < QUESTION_BYTES_MIN ? {} : { chunkBytes: chunkBytesFor(file.size) }),
      // The server knows types by their names, and adds what a browser leaves out.
      ...(name.includes(".") || file.type === "" ? {} : { contentType: file.type }),
      ...(digest === undefined ? {} : { digest: { algorithm: "blake3", value: digest } }),
      idempotencyKey: newKey(),
    };
  }

  /** T1: an upload that was begun before, and what it misses. */
  async #takeUp(uploadId: string, signal: AbortSignal): Promise<OpenUpload | StoredFile> {
    const status = await this.#patiently(signal, () => this.#statusIfKnown(uploadId, signal));
    if (status === undefined) return await this.#openAnew(signal);
    if (status.state === "merged" && status.fileId !== undefined) return await this.#file(status.fileId, signal);
    if (status.state !== "receiving" && !GOES_ON.has(status.state)) return await this.#openAnew(signal);
    const opened: OpenUpload = { ...status, uploadId, chunkCount: Math.ceil(this.file.size / status.chunkBytes) };
    if (this.#isGuess && !(await this.#isSameFile(opened, signal))) return await this.#openAnew(signal);
    const { name, user, file } = this;
    remember({ uploadId, name, user, bytes: file.size, modifiedMs: file.lastModified });
    return opened;
  }

  async #openAnew(signal: AbortSignal): Promise<OpenUpload | StoredFile> {
    this.uploadId = undefined;
    return await this.#open(signal);
  }

  /** Name and size alone are no proof: the first and the last chunk the server has are compared with this file's. */
  async #isSameFile(opened: OpenUpload, signal: AbortSignal): Promise<boolean> {
    for (const index of outermostReceived(opened)) {
      try {
        await sendChunk(this.#sending(opened, signal), index);
      } catch (error) {
        if (error instanceof Refusal && error.code === "CHUNK_CONFLICT") return false;
        throw error;
      }
    }
    return true;
  }

  async #send(opened: OpenUpload, signal: AbortSignal): Promise<void> {
    this.#enter("sending");
    let { missing } = opened;
    // A long list of missing chunks comes in parts.
    for (let round = 0; missing.length > 0 && round < ROUNDS_MAX; round += 1) {
      this.#storedBytes = this.file.size - bytesOf(missing, opened.chunkBytes, this.file.size);
      await sendChunks(this.#sending(opened, signal), missing);
      if (!isCut(missing)) return;
      ({ missing } = await this.#patiently(signal, () => this.#status(opened.uploadId, signal)));
    }
  }

  #sending(opened: OpenUpload, signal: AbortSignal): Sending {
    return {
      file: this.file,
      uploadId: opened.uploadId,
      chunkBytes: opened.chunkBytes,
      signal,
      onWaiting: this.#onWaiting,
      onMoving: this.#onMoving,
      onStored: (_, bytes) => {
        this.#storedBytes += bytes;
        this.#changed();
      },
    };
  }

  async #merge(opened: OpenUpload, signal: AbortSignal): Promise<StoredFile> {
    const { uploadId } = opened;
    // No connection has to outlast the verification of a large file.
    const headers = this.file.size < WAITED_FOR_BYTES_MAX ? {} : { prefer: "respond-async" };
    for (;;) {
      this.#enter("finishing");
      try {
        const { status, value } = await this.#patiently(signal, () =>
          ask<StoredFile>("POST", `/api/v1/uploads/${uploadId}/merge`, { headers, signal }),
        );
        if (status === 200) return value;
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "UPLOAD_INCOMPLETE") throw error;
      }
      const status = await this.#watch(uploadId, signal);
      if (status.state === "merged" && status.fileId !== undefined) return await this.#file(status.fileId, signal);
      if (status.state !== "receiving") throw new UploadEnded(status);
      // Something that it needs was away, or the server lost chunks: what is missing is sent, and it is asked again.
      if (status.missing.length > 0) await this.#send({ ...opened, missing: status.missing }, signal);
      else await sleep(POLL_MS_MAX, signal);
    }
  }

  /** Until the server has done what it can. */
  async #watch(uploadId: string, signal: AbortSignal): Promise<UploadStatus> {
    for (let pollMs = POLL_MS_MIN; ; pollMs = Math.min(POLL_MS_MAX, pollMs * 2)) {
      const status = await this.#patiently(signal, () => this.#status(uploadId, signal));
      if (!GOES_ON.has(status.state)) return status;
      await sleep(pollMs, signal);
    }
  }

  async #status(uploadId: string, signal: AbortSignal): Promise<UploadStatus> {
    return (await ask<UploadStatus>("GET", `/api/v1/uploads/${uploadId}`, { signal })).value;
  }

  async #statusIfKnown(uploadId: string, signal: AbortSignal): Promise<UploadStatus | undefined> {
    try {
      return await this.#status(uploadId, signal);
    } catch (error) {
      if (error instanceof Refusal && error.code === "UPLOAD_NOT_FOUND") return undefined;
      throw error;
    }
  }

  async #file(fileId: string, signal: AbortSignal): Promise<StoredFile> {
    return await this.#patiently(signal, async () => (await ask<StoredFile>("GET", `/api/v1/files/${fileId}`, { signal })).value);
  }

  /** T3. A file whose digest cannot be read here has the server's alone. */
  async #checked(stored: StoredFile, signal: AbortSignal): Promise<StoredFile> {
    const digest = await this.#readDigest(signal);
    signal.throwIfAborted();
    if (digest !== undefined && digest !== stored.digest.blake3) throw new OtherBytes();
    return stored;
  }

  /** Read once, however often the upload is paused after that; `undefined` when it cannot be read. */
  #readDigest(signal: AbortSignal): Promise<string | undefined> {
    this.#digest ??= digests.digestOf(this.file, signal).catch(() => {
      this.#digest = undefined;
      return undefined;
    });
    return this.#digest;
  }
}

class UploadEnded extends Error {
  readonly code: string;

  constructor({ state, lastError }: UploadStatus) {
    super(lastError?.detail ?? "The server could not finish this upload. Try again to start anew.");
    this.code = state === "cancelled" ? "UPLOAD_CANCELLED" : state === "expired" ? "UPLOAD_EXPIRED" : "";
  }
}

class OtherBytes extends Error {
  constructor() {
    super("What the server stored is not this file: it changed while it was sent, or was damaged on its way. Delete it and try again.");
  }
}

/** `undefined`: the server chooses. */
function chunkBytesFor(bytes: number): number | undefined {
  if (bytes >= OWN_CHOICE_BYTES) return undefined;
  return Math.min(CHUNK_BYTES_MAX, Math.max(MIB, Math.ceil(bytes / CHUNKS_WANTED / MIB) * MIB));
}

function bytesOf(missing: readonly MissingRange[], chunkBytes: number, fileBytes: number): number {
  return missing.reduce((sum, [first, last]) => sum + Math.min(fileBytes, (last + 1) * chunkBytes) - first * chunkBytes, 0);
}

/** The server lists at most so many ranges at once. */
const isCut = (missing: readonly MissingRange[]): boolean => missing.length >= 1000;

/** The first and the last chunk that are surely there: none, one or two. */
function outermostReceived({ missing, chunkCount }: OpenUpload): number[] {
  if (isCut(missing)) return missing[0]?.[0] === 0 ? [missing[0][1] + 1] : [0];
  const first = missing[0]?.[0] === 0 ? missing[0][1] + 1 : 0;
  const tail = missing.at(-1);
  const last = tail?.[1] === chunkCount - 1 ? tail[0] - 1 : chunkCount - 1;
  return first > last ? [] : [...new Set([first, last])];
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
