/** `troupe upload FILE…`: each file's URL on stdout, everything else on stderr. */
import { basename, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { StoredFile } from "../../client/answers.ts";
import { fileIdOf } from "../../client/file-address.ts";
import { uploadFile } from "../../client/uploader.ts";
import { parseSize } from "../../config/size.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { checkIdentity } from "../../core/identity.ts";
import { CLIENT_PARALLEL_DEFAULT, CLIENT_PARALLEL_MAX } from "../../core/limits.ts";
import { EXIT, type ExitCode, exitCodeOf, failureJson, failureLine } from "../exit-code.ts";
import { TransferDisplay } from "../progress.ts";
import type { Definition, Session } from "../session.ts";
import { printable } from "../table.ts";
import { Told } from "../told.ts";

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
        let worst: ExitCode = EXIT.done;
        for (const word of words) {
          const ended = await uploadOne(session, word, options);
          if (worst === EXIT.done) worst = ended;
          // What the next file would meet as well.
          if (ended === EXIT.refused || ended === EXIT.unreachable || session.context.signal.aborted) break;
        }
        if (worst !== EXIT.done) throw new Told(worst);
      }),
    );
};

function checkUsage(words: readonly string[], { name, resume }: UploadOptions): void {
  if (name !== undefined && words.length > 1)
    throw new TroupeError("BAD_REQUEST", "--name is for one file; each of several keeps its own name.");
  if (resume !== undefined && words.length > 1) throw new TroupeError("BAD_REQUEST", "--resume is for one file.");
  if (resume !== undefined && words[0] === "-") throw new TroupeError("BAD_REQUEST", "An upload from stdin cannot be resumed.");
  if (resume !== undefined) checkIdentity(resume, "The upload to resume");
  if (words.filter((word) => word === "-").length > 1) throw new TroupeError("BAD_REQUEST", "stdin ('-') can be uploaded once only.");
}

/** Uploads one file and says how that went. */
async function uploadOne(session: Session, word: string, options: UploadOptions): Promise<ExitCode> {
  const { context, json, gateway } = session;
  let uploadId: string | undefined;
  try {
    const file =
      word === "-" ? await uploadInput(session, options) : await uploadPath(session, word, options, (id) => void (uploadId = id));
    context.terminal.out(json ? `${JSON.stringify(file)}\n` : `${file.url}\n`);
    return EXIT.done;
  } catch (thrown) {
    const error =
      thrown instanceof TroupeError && uploadId !== undefined
        ? new TroupeError(thrown.code, thrown.detail, { cause: thrown, facts: { ...thrown.facts, uploadId } })
        : thrown;
    if (json) {
      context.terminal.err(`${failureJson(error)}\n`);
    } else {
      context.terminal.err(
        context.signal.aborted ? `Stopped: ${printable(word)} is not uploaded.\n` : `${printable(failureLine(error, gateway))}\n`,
      );
      context.terminal.err(hint(session, word, uploadId, error));
    }
    return exitCodeOf(error);
  }
}

async function uploadPath(
  session: Session,
  word: string,
  options: UploadOptions,
  onUpload: (uploadId: string) => void,
): Promise<StoredFile> {
  const { context, client } = session;
  const { disk, clock, terminal, workingDirectory, signal } = context;
  const path = resolve(workingDirectory, word);
  const { app, user, parallel, chunk, resume } = options;
  let display: TransferDisplay | undefined;
  try {
    return await uploadFile(
      client,
      { disk, clock, random: context.random, hasher: context.hasher },
      {
        path,
        name: options.name ?? basename(path),
        app,
        user,
        parallel,
        chunkBytes: chunk,
        resume,
        signal,
        onUpload,
        onProgress: ({ doneBytes, totalBytes, state }) => {
          display ??= new TransferDisplay(terminal, clock, basename(path), totalBytes);
          display.update(doneBytes, state === "receiving" || state === "init" ? undefined : state);
        },
      },
    );
  } finally {
    display?.end();
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
  const giveUp = `  to give up  troupe ${session.gatewayFlag}cancel ${uploadId}\n`;
  if (code !== undefined && SPOILT.has(code)) return giveUp;
  return `  to go on    troupe ${session.gatewayFlag}upload --resume ${uploadId} ${quoted(word)}\n${giveUp}`;
}

/** As a shell reads it back. */
function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function readParallel(text: string): number {
  const count = Number(text);
  if (!/^\d{1,3}$/.test(text) || count < 1 || count > CLIENT_PARALLEL_MAX)
    throw new InvalidArgumentError(`It is a whole number from 1 to ${CLIENT_PARALLEL_MAX}.`);
  return count;
}

function readChunk(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof TroupeError ? error.detail : String(error));
  }
}
