/** `troupe upload --dry-run`: the same decisions, read-only. A line a file on stdout, the sum on stderr. */
import { digestOf } from "../../client/file-digest.ts";
import { isOver } from "../../client/taking-up.ts";
import { approximateSize } from "../../config/size.ts";
import { isEnded } from "../../core/shapes.ts";
import type { ExitCode } from "../exit-code.ts";
import { harmless } from "../harmless-terminal.ts";
import type { Session } from "../session.ts";
import { printable } from "../table.ts";
import { begunFileOf, sameNamed, type UploadRun } from "./one-file.ts";
import type { UploadOptions } from "./options.ts";
import { openRun } from "./run.ts";
import { ShownOne } from "./shown.ts";
import { type FileSource, type Source, sourcesOf } from "./sources.ts";
import { files, Tally } from "./tally.ts";
import { failureOfMany, failureRecord, verdictOn } from "./telling.ts";

type Decision =
  | { readonly action: "new" }
  | { readonly action: "continues"; readonly uploadId: string; readonly receivedBytes: number }
  | { readonly action: "there"; readonly fileId: string };

const ACTION_COLUMNS = "continues".length;
const SIZE_COLUMNS = 9;

export async function tellPlan(session: Session, words: readonly string[], options: UploadOptions): Promise<ExitCode> {
  const { context, json } = session;
  const run = openRun(session, options, new ShownOne(context));
  const tally = new Tally();
  let count = 0;
  let wantedBytes = 0;
  const say = async (source: Source, decision: Decision): Promise<void> => {
    const isFile = source.kind === "file";
    const sizeBytes = isFile ? source.sizeBytes : undefined;
    const record = {
      ...decision,
      ...(isFile ? { path: source.path, size: source.sizeBytes } : {}),
      name: isFile ? source.name : undefined,
    };
    const size = (sizeBytes === undefined ? "?" : approximateSize(sizeBytes)).padStart(SIZE_COLUMNS);
    const word = isFile ? source.word : "-";
    const line = json ? `${JSON.stringify(record)}\n` : `${decision.action.padEnd(ACTION_COLUMNS)}  ${size}  ${printable(word)}\n`;
    // A folder may have millions of files, and whoever reads may be slow.
    await context.terminal.outBytes(Buffer.from(harmless(line)));
    if (decision.action === "there") tally.there += 1;
    else count += 1;
    wantedBytes += (decision.action === "there" ? 0 : (sizeBytes ?? 0)) - (decision.action === "continues" ? decision.receivedBytes : 0);
  };
  for await (const source of sourcesOf(context.disk, context.workingDirectory, words, options.name)) {
    if (source.kind === "emptyFolder") tally.emptyFolders += 1;
    else if (source.kind === "skipped") {
      tally.skipped += 1;
      context.terminal.err(`Skipped ${printable(source.word)}: ${source.reason}.\n`);
    } else if (source.kind === "input") await say(source, { action: "new" });
    else {
      try {
        if (source.kind === "failed") throw source.error;
        await say(source, await decide(run, source));
      } catch (error) {
        const failure = { word: source.word, error, uploadId: undefined, isKept: false };
        const { exitCode, isForAll } = verdictOn(error);
        context.terminal.err(`${json ? failureRecord(failure) : failureOfMany(session, failure)}\n`);
        tally.fail(exitCode);
        if (isForAll || context.signal.aborted) break;
      }
    }
  }
  const more = [
    tally.there > 0 ? `; ${tally.there} already there` : "",
    tally.skipped > 0 ? `; ${tally.skipped} skipped` : "",
    tally.failed > 0 ? `; ${tally.failed} cannot be` : "",
  ].join("");
  if (!json) context.terminal.err(`Nothing was sent. ${files(count)} would be, ${approximateSize(wantedBytes)}${more}.\n`);
  return tally.exitCode;
}

async function decide(run: UploadRun, source: FileSource): Promise<Decision> {
  const { session, options, begun } = run;
  const { context, client } = session;
  const uploadId = options.fresh === true ? undefined : await begun?.find(begunFileOf(run, source));
  if (uploadId !== undefined) {
    try {
      const { state, receivedBytes = 0 } = await client.status(uploadId, context.signal);
      if (!isEnded(state)) return { action: "continues", uploadId, receivedBytes };
    } catch (error) {
      if (!isOver(error)) throw error;
    }
  }
  const same = await sameNamed(run, source);
  if (same === undefined || (await digestOfPath(session, source)) !== same.digest.blake3) return { action: "new" };
  return { action: "there", fileId: same.fileId };
}

async function digestOfPath({ context }: Session, { path, sizeBytes }: FileSource): Promise<string> {
  const file = await context.disk.open(path, "read");
  try {
    return await digestOf(file, sizeBytes, context.hasher, context.signal);
  } finally {
    await file.close();
  }
}
