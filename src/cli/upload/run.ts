/**
 * `troupe upload` of one file or of many: several files at a time, which share the chunks in flight.
 *
 * R1: what is printed on stdout comes in the order of the words, and within a folder of the names.
 * R2: the first file goes alone, until one has arrived: what all of them would meet is met and told once.
 * R3: after an error all would meet, and after Ctrl-C, no further file is begun; those under way end first.
 */
import { BegunUploads } from "../../client/begun-uploads.ts";
import { Pace } from "../../client/pace.ts";
import { Slots } from "../../client/slots.ts";
import { TroupeError } from "../../core/errors.ts";
import { CLIENT_FILES_MAX, CLIENT_LANE_BYTES_PER_SECOND_MIN, CLIENT_PARALLEL_DEFAULT } from "../../core/limits.ts";
import type { ExitCode } from "../exit-code.ts";
import type { Session } from "../session.ts";
import { stateDirectory } from "../state-directory.ts";
import { printable } from "../table.ts";
import { sendInput } from "./input.ts";
import { KnownNames } from "./known-names.ts";
import { type FileOutcome, LABEL_DEFAULT, sendFile, type UploadRun } from "./one-file.ts";
import type { UploadOptions } from "./options.ts";
import { type Shown, ShownMany, ShownOne } from "./shown.ts";
import { countSources, isFolder, type Source, sourcesOf } from "./sources.ts";
import { Tally } from "./tally.ts";
import { failureOfMany, failureOfOne, failureRecord, resumeLine, verdictOn } from "./telling.ts";

export function openRun(session: Session, options: UploadOptions, shown: Shown): UploadRun {
  const { context, client } = session;
  const { app = LABEL_DEFAULT, user = LABEL_DEFAULT, bwlimit, parallel = CLIENT_PARALLEL_DEFAULT } = options;
  const directory = stateDirectory(context);
  return {
    session,
    options,
    shown,
    // So that no lane becomes so slow that the server takes it for dead.
    slots: new Slots(bwlimit === undefined ? parallel : Math.min(parallel, Math.floor(bwlimit / CLIENT_LANE_BYTES_PER_SECOND_MIN))),
    pace: bwlimit === undefined ? undefined : new Pace(context.clock, bwlimit),
    names: new KnownNames(client, { app, user }, context.signal),
    begun: directory === undefined ? undefined : new BegunUploads(context, directory),
  };
}

/** @returns the exit code */
export async function uploadAll(session: Session, words: readonly string[], options: UploadOptions): Promise<ExitCode> {
  const { context, json } = session;
  const { disk, workingDirectory, clock, terminal, signal } = context;
  const open = (): AsyncGenerator<Source> => sourcesOf(disk, workingDirectory, words, options.name);
  const isMany = words.length > 1 || (await isFolder(disk, workingDirectory, words[0] as string));
  if (isMany && options.resume !== undefined) throw new TroupeError("BAD_REQUEST", "--resume is for one file.");
  const shown = isMany ? new ShownMany(context) : new ShownOne(context);
  const tally = new Tally();
  const beganMs = clock.nowMs();
  const uploads = new Uploads(openRun(session, options, shown), tally, isMany);
  try {
    const counting = shown instanceof ShownMany ? countSources(open(), signal).then((total) => shown.setTotal(total)) : undefined;
    await uploads.send(open());
    await counting;
  } finally {
    shown.end();
  }
  if (isMany) {
    const elapsedMs = clock.nowMs() - beganMs;
    terminal.err(json ? `${tally.json(elapsedMs)}\n` : `${uploads.closing()}${tally.sentence(elapsedMs)}\n`);
  }
  return tally.exitCode;
}

class Uploads {
  readonly #run: UploadRun;
  readonly #tally: Tally;
  readonly #isMany: boolean;
  #isOver = false;
  #hasLeft = false;
  /** Resolves when everything before has been printed (R1). */
  #printed: Promise<void> = Promise.resolve();

  constructor(run: UploadRun, tally: Tally, isMany: boolean) {
    this.#run = run;
    this.#tally = tally;
    this.#isMany = isMany;
  }

  async send(sources: AsyncGenerator<Source>): Promise<void> {
    await this.#worker(sources, () => this.#tally.uploaded + this.#tally.there > 0);
    await Promise.all(Array.from({ length: CLIENT_FILES_MAX }, () => this.#worker(sources, () => false)));
    this.#hasLeft = this.#isOver && (await sources.next()).done !== true;
    await sources.return(undefined);
  }

  /** What is to be said before the sum. */
  closing(): string {
    if (!this.#isOver) return "";
    const stopped = this.#run.session.context.signal.aborted ? "Stopped. " : "";
    const left = this.#hasLeft ? "Not all files were begun. " : "";
    return `${stopped}${left}The same command again goes on where this one ended.\n`;
  }

  async #worker(sources: AsyncGenerator<Source>, isEnough: () => boolean): Promise<void> {
    while (!this.#isOver && !isEnough()) {
      const next = await sources.next();
      if (next.done === true) return;
      const before = this.#printed;
      let done = (): void => {};
      this.#printed = new Promise((resolve) => {
        done = resolve;
      });
      try {
        const text = await this.#one(next.value);
        await before;
        if (text !== undefined) this.#run.shown.out(text);
      } finally {
        done();
      }
      if (this.#run.session.context.signal.aborted) this.#isOver = true;
    }
  }

  /** @returns what to print on stdout */
  async #one(source: Source): Promise<string | undefined> {
    const { shown } = this.#run;
    const tally = this.#tally;
    switch (source.kind) {
      case "emptyFolder":
        tally.emptyFolders += 1;
        return undefined;
      case "skipped":
        tally.skipped += 1;
        this.#note(`Skipped ${printable(source.word)}: ${source.reason}.`, { skipped: source.word, reason: source.reason });
        return undefined;
      case "failed":
        return this.#failed(source.word, { error: source.error, uploadId: undefined, isKept: false });
      case "input":
        try {
          const file = await sendInput(this.#run, source.name);
          return await this.#stored({ kind: "stored", file, isThere: false, sentBytes: file.size }, "-");
        } catch (error) {
          return this.#failed("-", { error, uploadId: undefined, isKept: false });
        }
      case "file": {
        const outcome = await sendFile(this.#run, source);
        tally.sentBytes += outcome.kind === "unfinished" ? outcome.sentBytes : 0;
        if (outcome.kind === "unfinished") {
          if (!this.#isMany) shown.end();
          return this.#failed(source.word, outcome);
        }
        return await this.#stored(outcome, source.word);
      }
    }
  }

  async #stored({ file, isThere, sentBytes }: FileOutcome & { kind: "stored" }, word: string): Promise<string> {
    const { session, shown } = this.#run;
    this.#tally.sentBytes += sentBytes;
    if (isThere) this.#tally.there += 1;
    else this.#tally.uploaded += 1;
    if (isThere && !this.#isMany && !session.json)
      shown.line(`${printable(word)}: already there, nothing was sent; --fresh sends it as a new file.`);
    return session.json ? `${JSON.stringify(isThere ? { ...file, there: true } : file)}\n` : `${await session.addressOf(file)}\n`;
  }

  #failed(word: string, { error, uploadId, isKept }: { error: unknown; uploadId: string | undefined; isKept: boolean }): undefined {
    const { session, shown } = this.#run;
    const verdict = verdictOn(error);
    const isStopped = session.context.signal.aborted;
    // R3: those that were under way beside the first one meet what has been told.
    const isTold = this.#isOver && (isStopped || verdict.isForAll);
    this.#isOver ||= isStopped || verdict.isForAll;
    if (isStopped || isTold) this.#tally.stop(verdict.exitCode);
    else this.#tally.fail(verdict.exitCode);
    const failure = { word, error, uploadId, isKept };
    if (session.json) shown.line(failureRecord(failure));
    else if (!this.#isMany) {
      shown.line(failureOfOne(session, failure));
      if (uploadId !== undefined && !isKept && this.#run.begun === undefined)
        shown.line(`  to go on    ${resumeLine(session, uploadId, word)}`);
    } else if (!isTold && !isStopped) shown.line(failureOfMany(session, failure));
    return undefined;
  }

  #note(text: string, record: Readonly<Record<string, string>>): void {
    const { session, shown } = this.#run;
    shown.line(session.json ? JSON.stringify(record) : text);
  }
}
