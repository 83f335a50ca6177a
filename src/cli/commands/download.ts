/** `troupe download ID`: into a file of its own name, or where -o says. */
import { basename, join, relative, resolve } from "node:path";
import type { StoredFile } from "../../client/answers.ts";
import { parseWantedRange, type WantedRange } from "../../client/byte-range.ts";
import { downloadBlocks, downloadToFile } from "../../client/downloader.ts";
import { Pace } from "../../client/pace.ts";
import { TroupeError } from "../../core/errors.ts";
import { EXIT } from "../exit-code.ts";
import { chosenFile } from "../file-choice.ts";
import { readBandwidth } from "../option-values.ts";
import { TransferDisplay } from "../progress.ts";
import { type Definition, quoted, type Session } from "../session.ts";
import { printable } from "../table.ts";
import { Told } from "../told.ts";
import { Waiting } from "../waiting.ts";

interface DownloadOptions {
  readonly output?: string;
  readonly range?: string;
  readonly force?: boolean;
  /** Bytes a second. */
  readonly bwlimit?: number;
}

const EXAMPLES = `
A whole file is compared with its BLAKE3 before it gets its name. Prints where it went.

Examples:
  troupe download 65f0c1d2…01
  troupe download holidays/film.mkv
  troupe download http://nas:8080/files/65f0c1d2…01/film.mkv -o /tmp/film.mkv
  troupe download 65f0c1d2…01 --range 0-1048575 -o first-mebibyte
  troupe download 65f0c1d2…01 -o - | tar x
`;

export const downloadCommand: Definition = (program, act) => {
  program
    .command("download")
    .description("download a file, or a range of its bytes")
    .argument("<file>", "a file's ID, URL or name")
    .option("-o, --output <file>", "where to write it; - is stdout (default: its name, here)")
    .option("-r, --range <range>", "FIRST-LAST, FIRST- or -COUNT, in bytes, both ends included")
    .option("-f, --force", "replace a file that is there")
    .option("--bwlimit <rate>", "receive at most so much a second: 2MiB, 500K, off", readBandwidth)
    .addHelpText("after", EXAMPLES)
    .action(act<DownloadOptions>(download));
};

async function download(session: Session, [word = ""]: readonly string[], options: DownloadOptions): Promise<void> {
  const { client, context, json } = session;
  const { output, range, force, bwlimit } = options;
  const pace = bwlimit === undefined ? undefined : new Pace(context.clock, bwlimit);
  const wanted = range === undefined ? undefined : parseWantedRange(range);
  const file = await client.file(await chosenFile(session, word), context.signal);
  if (output === "-") {
    await toOutput(session, file, wanted, pace);
    return;
  }
  const path = await targetPath(session, file, output);
  let display: TransferDisplay | undefined;
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    display ??= new TransferDisplay(context.terminal, context.clock, basename(path), totalBytes);
    display.update(doneBytes);
  };
  const { clock, random, disk, hasher } = context;
  const waiting = new Waiting(clock, (text) => display?.say(text));
  const onPause = (error: unknown, leftMs: number): void => waiting.tell(error, leftMs);
  let sizeBytes: number;
  try {
    const plan = { file, range: wanted, pace, signal: context.signal, onProgress };
    // The beginning of a range is no beginning of the file: nothing could go on with it.
    const target = { path, overwrite: force === true, keepPart: wanted === undefined };
    sizeBytes = await downloadToFile(client, { clock, random, disk, hasher, onPause }, plan, target);
  } catch (error) {
    const part = error instanceof TroupeError ? error.facts["part"] : undefined;
    if (json || typeof part !== "string") throw error;
    display?.end();
    display = undefined;
    context.terminal.err(stoppedText(session, file, path, part));
    throw new Told(EXIT.failed);
  } finally {
    display?.end();
  }
  context.terminal.out(
    json
      ? `${JSON.stringify({ fileId: file.fileId, path, size: sizeBytes, ...(wanted === undefined ? { digest: file.digest } : {}) })}\n`
      : `${path}\n`,
  );
}

function stoppedText({ token, context }: Session, { url }: StoredFile, path: string, part: string): string {
  // A name that begins like an option is none after a directory.
  const [from, to] = [part, path].map((each) => quoted(relative(context.workingDirectory, each).replace(/^-/, "./-")));
  // The secret is not repeated.
  const access = token === undefined || token === "" ? "" : "-u OWNER:SECRET ";
  return `Stopped. What came is in ${printable(part)}.\n  to go on    curl -C - ${access}-o ${from} ${quoted(url)} && mv ${from} ${to}\n`;
}

async function toOutput(
  { client, context }: Session,
  file: StoredFile,
  range: WantedRange | undefined,
  pace: Pace | undefined,
): Promise<void> {
  const { clock, random, hasher, terminal, signal } = context;
  const waiting = new Waiting(clock, (text) => terminal.err(`${printable(file.name)}: ${text}\n`));
  const onPause = (error: unknown, leftMs: number): void => waiting.tell(error, leftMs);
  for await (const block of downloadBlocks(client, { clock, random, hasher, onPause }, { file, range, pace, signal }))
    await terminal.outBytes(block);
}

async function targetPath({ context }: Session, file: StoredFile, output: string | undefined): Promise<string> {
  if (output === undefined) return join(context.workingDirectory, localName(file.name));
  const path = resolve(context.workingDirectory, output);
  const status = await context.disk.status(path);
  return status?.kind === "directory" ? join(path, localName(file.name)) : path;
}

/** The last part of a name, which somebody else has chosen: it never leads out of the directory it is written to. */
function localName(name: string): string {
  const last = printable(name.split(/[/\\]/).at(-1) ?? "");
  if (last === "") throw new TroupeError("BAD_NAME", `The file's name, ${JSON.stringify(name)}, cannot be a name here; use -o FILE.`);
  // A shell, curl and others obey such files where they find them.
  if (last.startsWith("."))
    throw new TroupeError("BAD_NAME", `The file's name, ${JSON.stringify(name)}, would be that of a hidden file here; use -o FILE.`);
  return last;
}
