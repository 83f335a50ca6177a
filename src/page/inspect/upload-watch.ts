/**
 * One upload as it goes on: the whole first, then what its session tells step by step; and the messages that were sent for it.
 *
 * W1: a stream that ends is opened anew, unless the upload has ended, and its machine too: what the catalog knows, its node may hear later.
 * W2: news that come one after the other are drawn at most every {@link DRAWN_MS}.
 * W3: an answer that was overtaken by news does not take them back.
 */
import { followed } from "../../inspector/replay.ts";
import { type Sequence, sequenceOf } from "../../inspector/sequence.ts";
import { persist } from "../patience.ts";
import { ask, Refusal } from "../server.ts";
import { Watched } from "../store.ts";
import { errorText } from "../words.ts";
import type { Inspected, InspectedNews, Inspection, TraceAnswer } from "./inspect-answers.ts";
import { isOver, stateName } from "./inspect-words.ts";

const DRAWN_MS = 60;
const TRACE_MS = 2_500;
const AGAIN_MS = 1_500;
/** After news the words are asked for again: soon when it is in another state, else now and then. */
const FRESH_MS = 1_200;
const FRESH_STATE_MS = 150;

export class UploadWatch extends Watched {
  readonly uploadId: string;
  inspection: Inspection | undefined;
  /** When the newest was told, by this page's own clock. */
  toldAtMs = 0;
  /** Why there is nothing, or nothing new. */
  message: string | undefined;
  isLive = false;
  sequence: Sequence | undefined;
  sequenceMessage: string | undefined;
  /** As the newest whole told it: without the steps that came since. */
  #wholeMachine: Inspected | undefined;
  #stop: AbortController | undefined;
  #trace: number | undefined;
  /** The trace was told after the upload had ended. */
  #isTraceWhole = false;
  #isAskingTrace = false;
  #fresh: number | undefined;

  constructor(uploadId: string) {
    super(DRAWN_MS);
    this.uploadId = uploadId;
  }

  start(): void {
    if (this.#stop !== undefined) return;
    this.#stop = new AbortController();
    void this.#watch(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = undefined;
    this.isLive = false;
    clearInterval(this.#trace);
    this.#trace = undefined;
  }

  lookAgain(): void {
    this.stop();
    this.start();
  }

  /** W1 */
  get isOver(): boolean {
    const machine = this.inspection?.machine;
    const isGoingOn = machine !== undefined && machine.endedMs === undefined && !isOver(stateName(machine.state));
    return hasEnded(this.inspection) && !isGoingOn;
  }

  /** W1 */
  async #watch(signal: AbortSignal): Promise<void> {
    const path = `/api/v1/inspect/uploads/${this.uploadId}`;
    const onWaiting = (reason: string | undefined): void => {
      this.message = reason;
      this.changed();
    };
    while (!signal.aborted) {
      try {
        const { value } = await persist(() => ask<Inspection>("GET", path, { signal }), { signal, onWaiting });
        this.#is(value);
        this.#followTrace(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.message =
          error instanceof Refusal && error.status === 404 ? "There is no such upload, or it is somebody else’s." : errorText(error);
        this.changed();
        return;
      }
      if (this.isOver) return;
      await this.#streamed(`${path}/events`, signal);
      this.isLive = false;
      this.changed();
      if (!this.isOver && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** Resolves when the stream is over. */
  #streamed(path: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const source = new EventSource(path);
      const end = (): void => {
        source.close();
        signal.removeEventListener("abort", end);
        resolve();
      };
      signal.addEventListener("abort", end, { once: true });
      source.onopen = () => {
        this.isLive = true;
        this.changed();
      };
      // It would come back by itself, to an upload that has ended too.
      source.onerror = end;
      source.addEventListener("inspection", ({ data }: MessageEvent<string>) => {
        this.#is(JSON.parse(data) as Inspection);
        if (this.isOver) end();
      });
      source.addEventListener("steps", ({ data }: MessageEvent<string>) => this.#news(JSON.parse(data) as InspectedNews));
    });
  }

  /** W3 */
  #is(told: Inspection): void {
    if (isBefore(told.machine, this.#wholeMachine) || (hasEnded(this.inspection) && !hasEnded(told))) return;
    this.#wholeMachine = told.machine;
    const known = this.inspection?.machine;
    this.inspection = known !== undefined && isBefore(told.machine, known) ? { ...told, machine: known } : told;
    this.message = undefined;
    this.toldAtMs = performance.now();
    this.changed();
  }

  #news(news: InspectedNews): void {
    const machine = this.inspection?.machine;
    if (this.inspection === undefined || machine === undefined) return;
    // It was started anew: only the whole says what it is in now.
    if (news.openedMs !== machine.openedMs) return this.#freshen(FRESH_STATE_MS);
    this.inspection = { ...this.inspection, machine: followed(machine, news) };
    this.toldAtMs = performance.now();
    this.changed();
    this.#freshen(news.state === machine.state ? FRESH_MS : FRESH_STATE_MS);
  }

  /** The words and the upload's own numbers are not in the news. */
  #freshen(delayMs: number): void {
    if (this.#fresh !== undefined && delayMs === FRESH_MS) return;
    clearTimeout(this.#fresh);
    const signal = this.#stop?.signal;
    this.#fresh = window.setTimeout(() => {
      this.#fresh = undefined;
      if (signal === undefined || signal.aborted || this.isOver) return;
      ask<Inspection>("GET", `/api/v1/inspect/uploads/${this.uploadId}`, { signal }).then(
        ({ value }) => this.#is(value),
        () => undefined,
      );
    }, delayMs);
  }

  /** Of an upload that is there: of what is not, nobody tells any messages. */
  #followTrace(signal: AbortSignal): void {
    if (this.#trace !== undefined) return;
    this.#trace = window.setInterval(() => void this.#lookAtTrace(signal), TRACE_MS);
    void this.#lookAtTrace(signal);
  }

  async #lookAtTrace(signal: AbortSignal): Promise<void> {
    // Of what has ended, nothing new comes, and one answer is waited for before the next.
    if (this.#isAskingTrace || (this.isOver && this.#isTraceWhole)) return;
    this.#isAskingTrace = true;
    const isOver = this.isOver;
    try {
      const { value } = await ask<TraceAnswer>("GET", `/api/v1/inspect/traces/${this.uploadId}`, { signal });
      this.sequence = sequenceOf(value.spans, value.counts);
      this.#isTraceWhole = isOver;
      this.sequenceMessage = undefined;
    } catch (error) {
      // Too often, by several pages together: it is asked again by itself.
      if (signal.aborted || (error instanceof Refusal && error.status === 429)) return;
      const isNothing = error instanceof Refusal && error.status === 404;
      this.#isTraceWhole = isOver && isNothing;
      this.sequenceMessage = isNothing ? "No process remembers a message about it: it is too long ago." : errorText(error);
    } finally {
      this.#isAskingTrace = false;
    }
    this.changed();
  }
}

const hasEnded = (told: Inspection | undefined): boolean => isOver(told?.upload.state ?? "");

/** Of the same run of a machine, fewer steps are known to the first. */
function isBefore(told: Inspected | undefined, known: Inspected | undefined): boolean {
  return told !== undefined && known !== undefined && told.openedMs === known.openedMs && newest(told) < newest(known);
}

const newest = ({ steps }: Inspected): number => steps.at(-1)?.last ?? 0;
