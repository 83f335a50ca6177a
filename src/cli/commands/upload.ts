/** `troupe upload FILE…`: each file's URL on stdout, everything else on stderr. */
import { basename, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { StoredFile } from "../../client/answers.ts";
import { fileIdOf } from "../../client/file-address.ts";
import { uploadFile } from "../../client/uploader.ts";
import { approximateSize, parseSize, sizeText } from "../../config/size.ts";
import { type ErrorCode, isRetryable, TroupeError } from "../../core/errors.ts";
import { checkIdentity } from "../../core/identity.ts";
import {
  CHUNK_BYTES_DEFAULT,
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  CHUNK_COUNT_MAX,
  CLIENT_PARALLEL_DEFAULT,
  CLIENT_PARALLEL_MAX,
  LEAF_BYTES,
} from "../../core/limits.ts";
import { nameFault } from "../../core/shapes.ts";
import { EXIT, type ExitCode, exitCodeOf, failureJson, failureLine } from "../exit-code.ts";
import { TransferDisplay } from "../progress.ts";
import { type Definition, quoted, type Session } from "../session.ts";
import { printable } from "../table.ts";
import { Told } from "../told.ts";
import { Waiting } from "../waiting.ts";

interface UploadOptions {
  readonly name?: string;
  readonly app?: string;
  readonly user?: string;
  readonly parallel?: number;
  readonly chunk?: number;
  readonly resume?: string;
}

const EXAMPLES = `
Prints the URL of each file on stdout, one a line; with --json one object a line. '-' is stdin.

Examples:
  troupe upload film.mkv
  troupe upload *.jpg --user anna
  tar c photos | troupe upload - --name photos.tar
  troupe upload film.mkv --name holidays/film.mkv --parallel 8 --chunk 16MiB
  troupe upload --resume V1StGXR8_Z5jdHi6B-myT0 film.mkv     send only what is missing
`;

/** After these the upload cannot go on. */
const ENDED: ReadonlySet<ErrorCode> = new Set([
  "UPLOAD_NOT_FOUND",
  "UPLOAD_CANCELLED",
  "UPLOAD_EXPIRED",
  "UPLOAD_FAILED",
  "UPLOAD_MERGED",
  "DIGEST_MISMATCH",
]);
/** After these it cannot become the file, and only giving it up makes sense. */
const SPOILT: ReadonlySet<ErrorCode> = new Set(["PRECONDITION_FAILED", "CHUNK_CONFLICT"]);

export const uploadCommand: Definition = (program, act) => {
  program
    .command("upload")
    .description("upload files; prints their URLs")
    .argument("<file...>", "files, or - for stdin")
    .option("--name <name>", "the name it gets (one file; may hold slashes)")
    .option("--app <label>", "the app label (default: default)")
    .option("--user <label>", "the user label (default: default)")
    .option("--parallel <count>", `chunks sent at a time (default: ${CLIENT_PARALLEL_DEFAULT})`, readParallel)
    .option("--chunk <size>", "bytes a chunk, a multiple of 64KiB up to 64MiB (default: the server's, 8MiB)", readChunk)
    .option("--resume <id>", "go on with an upload of the same file that was broken off")
    .addHelpText("after", EXAMPLES)
    .action(
      act<UploadOptions>(async (session, words, options) => {
        checkUsage(words, options);
        const { context, json } = session;
        let worst: ExitCode = EXIT.done;
        let uploadedCount = 0;
        for (const [index, word] of words.entries()) {
          const { exitCode, isForAll } = await uploadOne(session, word, options, words.length > 1);
          if (exitCode === EXIT.done) uploadedCount += 1;
          else if (worst === EXIT.done) worst = exitCode;
          if (!isForAll && !context.signal.aborted) continue;
          const left = words.slice(index + 1);
          if (left.length > 0 && !json) context.terminal.err(`Not begun: ${left.map((name) => printable(quoted(name))).join(" ")}\n`);
          break;
        }
        if (words.length > 1 && !json) context.terminal.err(`${uploadedCount} of ${words.length} uploaded.\n`);
        if (worst !== EXIT.done) throw new Told(worst);
      }),
    );
};

function checkUsage(words: readonly string[], { name, resume }: UploadOptions): void {
  if (name !== undefined && words.length > 1)
    throw new TroupeError("BAD_REQUEST", "--name is for one file; each of several keeps its own name.");
  const fault = name === undefined ? undefined : nameFault(name);
  if (fault !== undefined) throw new TroupeError("BAD_REQUEST", `--name is not a file's name: ${fault}.`);
  if (resume !== undefined && words.length > 1) throw new TroupeError("BAD_REQUEST", "--resume is for one file.");
  if (resume !== undefined && words[0] === "-") throw new TroupeError("BAD_REQUEST", "An upload from stdin cannot be resumed.");
  if (resume !== undefined) checkIdentity(resume, "The upload to resume");
  if (words.filter((word) => word === "-").length > 1) throw new TroupeError("BAD_REQUEST", "stdin ('-') can be uploaded once only.");
}

interface Ended {
  readonly exitCode: ExitCode;
  /** The next file would meet the same. */
  readonly isForAll: boolean;
}

/** Uploads one file and says how that went. */
async function uploadOne(session: Session, word: string, options: UploadOptions, isOneOfMany: boolean): Promise<Ended> {
  const { context, json, gateway } = session;
  let uploadId: string | undefined;
  try {
    const file =
      word === "-" ? await uploadInput(session, options) : await uploadPath(session, word, options, (id) => void (uploadId = id));
    context.terminal.out(json ? `${JSON.stringify(file)}\n` : `${await session.addressOf(file)}\n`);
    return { exitCode: EXIT.done, isForAll: false };
  } catch (thrown) {
    const error =
      thrown instanceof TroupeError && uploadId !== undefined
        ? new TroupeError(thrown.code, thrown.detail, { cause: thrown, facts: { ...thrown.facts, uploadId } })
        : thrown;
    if (json) {
      context.terminal.err(`${failureJson(error)}\n`);
    } else {
      context.terminal.err(
        context.signal.aborted
          ? `Stopped: ${printable(word)} is not uploaded.\n`
          : `${printable(failureLine(isOneOfMany ? named(error, word) : error, gateway))}\n`,
      );
      context.terminal.err(hint(session, word, uploadId, error));
    }
    const exitCode = exitCodeOf(error);
    // The next file may get another node than the one that is away.
    const isOfOneNode = error instanceof TroupeError && error.code === "HOST_UNAVAILABLE";
    return { exitCode, isForAll: exitCode === EXIT.refused || (exitCode === EXIT.unreachable && !isOfOneNode) };
  }
}

async function uploadPath(
  session: Session,
  word: string,
  options: UploadOptions,
  onUpload: (uploadId: string) => void,
): Promise<StoredFile> {
  const { context, client, json } = session;
  const { disk, clock, terminal, workingDirectory, signal } = context;
  const path = resolve(workingDirectory, word);
  const { app, user, parallel, chunk, resume } = options;
  const name = options.name ?? basename(path);
  const sizeBytes = (await disk.status(path))?.sizeBytes ?? 0;
  if (chunk !== undefined && sizeBytes / chunk > CHUNK_COUNT_MAX)
    throw new TroupeError(
      "BAD_REQUEST",
      `With --chunk ${sizeText(chunk)}, ${word} has more than ${CHUNK_COUNT_MAX} chunks; give a larger one.`,
    );
  let display: TransferDisplay | undefined;
  const waiting = new Waiting(clock, (text) => (display === undefined ? terminal.err(`${printable(word)}: ${text}\n`) : display.say(text)));
  const onPause = (error: unknown, leftMs: number): void => waiting.tell(error, leftMs);
  // Of a single chunk nothing is there to go on with.
  if (resume === undefined && !json && sizeBytes > (chunk ?? CHUNK_BYTES_DEFAULT))
    await tellUnfinished(session, waiting, word, name, sizeBytes);
  try {
    return await uploadFile(
      client,
      { disk, clock, random: context.random, hasher: context.hasher, onPause },
      {
        path,
        name,
        app,
        user,
        parallel,
        chunkBytes: chunk,
        resume,
        signal,
        onUpload: (uploadId, chunkCount) => {
          onUpload(uploadId);
          if (resume === undefined && !json && chunkCount > 1)
            terminal.err(
              `Upload ${uploadId} of ${printable(word)}; if it is broken off, go on with\n  ${resumeLine(session, uploadId, word)}\n`,
            );
        },
        onProgress: ({ doneBytes, totalBytes, state }) => {
          display ??= new TransferDisplay(terminal, clock, basename(path), totalBytes);
          display.update(doneBytes, state === "receiving" || state === "init" ? undefined : state);
        },
      },
    );
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "DISK_FULL") throw error;
    const detail = `The server has no room for ${word}, which has ${approximateSize(sizeBytes)}.`;
    throw new TroupeError("DISK_FULL", detail, { cause: error, facts: error.facts });
  } finally {
    display?.end();
  }
}

/** Uploads of what may be the same file that were broken off: somebody may rather go on with one. */
async function tellUnfinished(session: Session, waiting: Waiting, word: string, name: string, sizeBytes: number): Promise<void> {
  const { client, context } = session;
  try {
    const { uploads } = await client.uploads({ state: "receiving" }, context.signal);
    for (const { uploadId, ...found } of uploads) {
      if (found.name === name && found.size === sizeBytes)
        context.terminal.err(
          `Upload ${uploadId} of this name and size is not finished; instead of a new one you can go on with it:\n  ${resumeLine(session, uploadId, word)}\n`,
        );
    }
  } catch (error) {
    // Whatever it is, beginning the upload meets it again.
    if (!(error instanceof TroupeError)) throw error;
    if (isRetryable(error) && !context.signal.aborted) waiting.tell(error, 0);
  }
}

/** stdin as one body: its size is not known before its end, and it cannot be sent twice. */
async function uploadInput(session: Session, { name = "stdin", app, user, chunk, parallel }: UploadOptions): Promise<StoredFile> {
  if (chunk !== undefined || parallel !== undefined)
    throw new TroupeError("BAD_REQUEST", "--chunk and --parallel do not apply to stdin, which is sent as one body.");
  const { client, context } = session;
  const display = new TransferDisplay(context.terminal, context.clock, name, undefined);
  const hash = context.hasher.stream("blake3");
  async function* blocks(): AsyncGenerator<Uint8Array> {
    let doneBytes = 0;
    for await (const block of context.terminal.input()) {
      hash.update(block);
      doneBytes += block.length;
      display.update(doneBytes);
      yield block;
    }
  }
  try {
    const url = await client.put(name, blocks(), { app, user }, context.signal);
    const file = await client.file(fileIdOf(url), context.signal);
    if (file.digest.blake3 === hash.digestHex()) return file;
    throw new TroupeError(
      "DIGEST_MISMATCH",
      `The server's file ${file.fileId} is not what was sent: its BLAKE3 differs. Delete it and upload again.`,
      { facts: { fileId: file.fileId } },
    );
  } finally {
    display.end();
  }
}

function hint(session: Session, word: string, uploadId: string | undefined, error: unknown): string {
  const code = error instanceof TroupeError ? error.code : undefined;
  if (uploadId === undefined || (code !== undefined && ENDED.has(code))) return "";
  const giveUp = `  to give up  ${session.program} ${session.gatewayFlag}cancel ${uploadId}\n`;
  if (code !== undefined && SPOILT.has(code)) return giveUp;
  return `  to go on    ${resumeLine(session, uploadId, word)}\n${giveUp}`;
}

const resumeLine = ({ program, gatewayFlag }: Session, uploadId: string, word: string): string =>
  `${program} ${gatewayFlag}upload --resume ${uploadId} ${printable(quoted(word))}`;

/** Of several files, the one an error is about. */
function named(error: unknown, word: string): unknown {
  if (!(error instanceof TroupeError) || error.detail.includes(word)) return error;
  return new TroupeError(error.code, `${word}: ${error.detail}`, { cause: error, facts: error.facts });
}

function readParallel(text: string): number {
  const count = Number(text);
  if (!/^\d{1,3}$/.test(text) || count < 1 || count > CLIENT_PARALLEL_MAX)
    throw new InvalidArgumentError(`It is a whole number from 1 to ${CLIENT_PARALLEL_MAX}.`);
  return count;
}

function readChunk(text: string): number {
  let bytes: number;
  try {
    bytes = parseSize(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof TroupeError ? error.detail : String(error));
  }
  if (bytes < CHUNK_BYTES_MIN || bytes > CHUNK_BYTES_MAX || bytes % LEAF_BYTES !== 0)
    throw new InvalidArgumentError(
      `--chunk is a multiple of ${sizeText(LEAF_BYTES)} from ${sizeText(CHUNK_BYTES_MIN)} to ${sizeText(CHUNK_BYTES_MAX)}.`,
    );
  return bytes;
}
