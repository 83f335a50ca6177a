/**
 * One file of `troupe upload`: goes on with what an earlier run began, or begins, and remembers it while it is under way.
 *
 * O1: a record that cannot be kept costs only the convenience: it is said, and the upload goes on.
 */
import { again, STARTING_POLICY } from "../../client/again.ts";
import type { StoredFile } from "../../client/answers.ts";
import type { BegunFile, BegunUploads } from "../../client/begun-uploads.ts";
import type { Pace } from "../../client/pace.ts";
import type { Slots } from "../../client/slots.ts";
import { type BegunUpload, uploadFile } from "../../client/uploader.ts";
import { approximateSize, sizeText } from "../../config/size.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { CHUNK_COUNT_MAX } from "../../core/limits.ts";
import type { Session } from "../session.ts";
import { printable } from "../table.ts";
import { Waiting } from "../waiting.ts";
import type { KnownNames } from "./known-names.ts";
import type { UploadOptions } from "./options.ts";
import type { Shown, ShownFile } from "./shown.ts";
import type { FileSource } from "./sources.ts";

/** What the files of one command share. */
export interface UploadRun {
  readonly session: Session;
  readonly options: UploadOptions;
  readonly shown: Shown;
  readonly slots: Slots;
  readonly pace: Pace | undefined;
  readonly names: KnownNames;
  /** `undefined` where the user has no state directory. */
  readonly begun: BegunUploads | undefined;
}

export type FileOutcome = StoredOutcome | UnfinishedOutcome;

export interface StoredOutcome {
  readonly kind: "stored";
  readonly file: StoredFile;
  /** It was there under this name with this content, before. */
  readonly isThere: boolean;
  readonly sentBytes: number;
}

export interface UnfinishedOutcome {
  readonly kind: "unfinished";
  readonly error: unknown;
  readonly sentBytes: number;
  /** What was begun at the server. */
  readonly uploadId: string | undefined;
  /** The same command goes on with it. */
  readonly isKept: boolean;
}

export const LABEL_DEFAULT = "default";

/** After these the upload can no longer become this file: it is not gone on with. */
const OVER: ReadonlySet<ErrorCode> = new Set([
  "UPLOAD_NOT_FOUND",
  "UPLOAD_CANCELLED",
  "UPLOAD_EXPIRED",
  "UPLOAD_FAILED",
  "UPLOAD_MERGED",
  "DIGEST_MISMATCH",
  "PRECONDITION_FAILED",
  "CHUNK_CONFLICT",
]);

/** What became of an upload that a run before this one began. */
const ENDINGS: Partial<Record<ErrorCode, string>> = {
  UPLOAD_NOT_FOUND: "is not known there any more",
  UPLOAD_CANCELLED: "was cancelled",
  UPLOAD_EXPIRED: "was idle too long and has expired",
  UPLOAD_FAILED: "failed",
  FILE_NOT_FOUND: "became a file that was deleted since",
  PRECONDITION_FAILED: "is of other bytes than the file has now",
};

export async function sendFile(run: UploadRun, source: FileSource): Promise<FileOutcome> {
  const shownFile = run.shown.begin(source);
  const kept = new KeptUpload(run, source, shownFile);
  try {
    const stored = await upload(run, source, shownFile, kept);
    await kept.forget();
    shownFile.end(true);
    return { kind: "stored", ...stored, sentBytes: shownFile.sentBytes };
  } catch (error) {
    if (error instanceof TroupeError && OVER.has(error.code)) await kept.forget();
    shownFile.end(!run.session.context.signal.aborted);
    return { kind: "unfinished", error, sentBytes: shownFile.sentBytes, uploadId: kept.uploadId, isKept: kept.isKept };
  }
}

export function begunFileOf({ session, options }: UploadRun, { path, name, sizeBytes, modifiedMs }: FileSource): BegunFile {
  const { app = LABEL_DEFAULT, user = LABEL_DEFAULT } = options;
  return { gateway: session.gateway, owner: session.owner, app, user, name, path, sizeBytes, modifiedMs };
}

/** What the server has under the file's name, if that may be the same; with `--fresh` nobody asks. */
export async function sameNamed(
  { names, options }: UploadRun,
  { folderName, name, sizeBytes }: FileSource,
): Promise<StoredFile | undefined> {
  const file = options.fresh === true ? undefined : await names.find(folderName, name);
  return file?.size === sizeBytes ? file : undefined;
}

async function upload(
  run: UploadRun,
  source: FileSource,
  shownFile: ShownFile,
  kept: KeptUpload,
): Promise<Pick<StoredOutcome, "file" | "isThere">> {
  const { session, options, slots, pace } = run;
  const { word, path, name, sizeBytes } = source;
  const { client, context, json } = session;
  const { disk, clock, random, hasher, signal } = context;
  const { app, user, chunk, resume, checksum } = options;
  if (chunk !== undefined && sizeBytes / chunk > CHUNK_COUNT_MAX)
    throw new TroupeError(
      "BAD_REQUEST",
      `With --chunk ${sizeText(chunk)}, ${word} has more than ${CHUNK_COUNT_MAX} chunks; give a larger one.`,
    );
  const waiting = new Waiting(clock, (text) => shownFile.say(text));
  const ports = { disk, clock, random, hasher, onPause: (error: unknown, leftMs: number) => waiting.tell(error, leftMs) };
  const begun = await kept.find();
  const isAnew = begun === undefined && resume === undefined;
  const same = isAnew ? await again(STARTING_POLICY, ports, signal, () => sameNamed(run, source)) : undefined;
  try {
    const file = await uploadFile(client, ports, {
      path,
      name,
      app,
      user,
      chunkBytes: chunk,
      resume,
      begun,
      same,
      isDigestFirst: checksum,
      slots,
      pace,
      signal,
      onUpload: async (opened) => {
        await kept.keep(opened);
        if (opened.isContinued && !json)
          shownFile.say(
            `continues upload ${opened.uploadId}: ${approximateSize(opened.receivedBytes)} of ${approximateSize(sizeBytes)} are there.`,
          );
      },
      onAnew: ({ code, detail }) => {
        if (!json) shownFile.say(`upload ${begun}, begun before, ${ENDINGS[code] ?? `ended (${printable(detail)})`}: begins anew.`);
      },
      onProgress: (progress) => shownFile.update(progress),
    });
    return { file, isThere: file === same };
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "DISK_FULL") throw error;
    const detail = `The server has no room for ${word}, which has ${approximateSize(sizeBytes)}.`;
    throw new TroupeError("DISK_FULL", detail, { cause: error, facts: error.facts });
  }
}

/** The record of one file's upload (O1). */
class KeptUpload {
  uploadId: string | undefined;
  isKept = false;
  readonly #uploads: BegunUploads | undefined;
  readonly #file: BegunFile;
  readonly #shownFile: ShownFile;
  readonly #isSought: boolean;

  constructor(run: UploadRun, source: FileSource, shownFile: ShownFile) {
    const { fresh, resume } = run.options;
    this.#uploads = run.begun;
    this.#file = begunFileOf(run, source);
    this.#shownFile = shownFile;
    this.#isSought = fresh !== true && resume === undefined;
  }

  async find(): Promise<string | undefined> {
    if (!this.#isSought) return undefined;
    const problem = "Whether it was begun before cannot be read";
    this.uploadId = await this.#unlessDiskFails(async (uploads) => uploads.find(this.#file), problem);
    this.isKept = this.uploadId !== undefined;
    return this.uploadId;
  }

  async keep({ uploadId, chunkCount }: BegunUpload): Promise<void> {
    this.uploadId = uploadId;
    // Of a single chunk nothing is there to go on with.
    if (chunkCount < 2) return;
    const problem = `If this upload is broken off, only --resume ${uploadId} goes on with it: that cannot be written down`;
    await this.#unlessDiskFails(async (uploads) => {
      await uploads.keep(this.#file, uploadId);
      this.isKept = true;
    }, problem);
  }

  async forget(): Promise<void> {
    const { uploadId } = this;
    if (!this.isKept || uploadId === undefined) return;
    this.isKept = false;
    await this.#unlessDiskFails((uploads) => uploads.forget(this.#file, uploadId), "The record of this upload cannot be removed");
  }

  async #unlessDiskFails<T>(work: (uploads: BegunUploads) => Promise<T>, problem: string): Promise<T | undefined> {
    if (this.#uploads === undefined) return undefined;
    try {
      return await work(this.#uploads);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      this.#shownFile.say(`${problem} (${printable(error.detail.replace(/\.$/, ""))}).`);
      return undefined;
    }
  }
}
