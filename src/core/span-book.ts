/**
 * What a process did for whom, and does now: one span for each turn of an actor, each HTTP request and each effect of a session. The newest are
 * kept to be asked for; whoever exports them is told of each that ends.
 *
 * B1: it is bounded. Of an upload each kind of span is kept {@link SPANS_PER_NAME_KEPT} times, and counted beyond: a chunk more is a number
 *     more, and the steps around thousands of chunks stay to be seen. All else is in one ring, what failed in another.
 * B2: what is under way is there too, without an end: it is what a request that hangs waits for.
 * B3: only what went well makes an upload known here, and what is refused because the upload is not there for whoever asked is no part of it:
 *     neither IDs that somebody invents nor those of others push anything out.
 * B4: looking is no part of what is looked at: spans of looks are not kept.
 * B5: names are from closed sets (verbs, routes, steps); identities stand in fields of their own. No content, header or token is in a span.
 */
import { createHash } from "node:crypto";
import { type ErrorCode, toTroupeError } from "./errors.ts";
import { SPAN_UPLOADS_KEPT, SPANS_FAILED_KEPT, SPANS_KEPT, SPANS_PER_NAME_KEPT } from "./limits.ts";
import type { Clock } from "./ports/clock.ts";
import { SPAN_OK, type Span, type SpanCount, type SpanKind } from "./span.ts";
import { inTrace, type Trace } from "./trace.ts";

export interface SpanStart {
  readonly kind: SpanKind;
  readonly actor: string;
  /** From a closed set (B5). */
  readonly name: string;
  readonly parent?: Trace | undefined;
  readonly uploadId?: string | undefined;
  readonly owner?: string | undefined;
  /** Unless given, as its parent. */
  readonly isLook?: boolean;
}

export interface FoundSpans {
  /** By their start. */
  readonly spans: readonly Span[];
  /** Only where there were more than are kept. */
  readonly counts: readonly SpanCount[];
}

/** B3: how those end who are not the upload's owner, or have none in mind. */
const STRANGERS: ReadonlySet<string> = new Set<ErrorCode>(["UPLOAD_NOT_FOUND", "NOT_FOUND", "UNAUTHORIZED", "FORBIDDEN"]);
/** Two clocks that nobody set are no further apart. */
const WALL_DRIFT_MS = 50;

interface NamedSpans {
  readonly newest: OpenSpan[];
  next: number;
  count: number;
  failedCount: number;
  totalMs: number;
  maxMs: number;
}

export class SpanBook {
  readonly #clock: Pick<Clock, "nowMs" | "wallMs">;
  readonly #prefix: string;
  #wallAtZeroMs: number;
  readonly #open = new Set<OpenSpan>();
  readonly #uploads = new Map<string, Map<string, NamedSpans>>();
  readonly #others = new Ring<OpenSpan>(SPANS_KEPT);
  readonly #failed = new Ring<OpenSpan>(SPANS_FAILED_KEPT);
  #made = 0;
  #onEnd: ((span: Span, isSampled: boolean) => void) | undefined;

  /**
   * @param name no other process has it, nor can anybody guess it: IDs are counted on from it, so that none is drawn
   */
  constructor(clock: Pick<Clock, "nowMs" | "wallMs">, name: string) {
    this.#clock = clock;
    this.#wallAtZeroMs = clock.wallMs() - clock.nowMs();
    this.#prefix = createHash("sha256").update(`${name} ${clock.wallMs()}`).digest("hex");
  }

  /** Told of every span that ends, from now on. */
  set onEnd(listener: (span: Span, isSampled: boolean) => void) {
    this.#onEnd = listener;
  }

  /** A span that is under way until it is ended. Without a parent it begins a trace, which of an HTTP request has that request's ID, in hex. */
  begin(start: SpanStart, requestId = start.parent?.requestId): OpenSpan {
    this.#made += 1;
    const { parent } = start;
    const number = this.#made.toString(16).padStart(8, "0").slice(-8);
    const span = new OpenSpan(this, start, {
      traceId: parent?.traceId ?? (requestId === undefined ? `${this.#prefix.slice(8, 32)}${number}` : traceOfRequest(requestId)),
      spanId: `${this.#prefix.slice(0, 8)}${number}`,
      isSampled: parent?.isSampled ?? true,
      requestId,
      isLook: start.isLook ?? parent?.isLook ?? false,
    });
    if (!span.isLook) this.#open.add(span);
    return span;
  }

  /** Runs `work` as a span, in its trace. */
  async run<T>(start: SpanStart, work: () => Promise<T>, requestId?: string): Promise<T> {
    const span = this.begin(start, requestId);
    try {
      const result = await inTrace(span, work);
      span.end();
      return result;
    } catch (error) {
      span.end(toTroupeError(error).code);
      throw error;
    }
  }

  /** @param id of an upload, of a trace, or of an HTTP request */
  find(id: string): FoundSpans {
    const named = this.#uploads.get(id);
    const ofUpload = (span: OpenSpan): boolean => span.uploadId === id;
    if (named !== undefined) {
      const kept = [...named.values()].flatMap(({ newest }) => newest);
      const counts = [...named].filter(([, { count, newest }]) => count > newest.length).map(([name, counted]) => countOf(name, counted));
      return { spans: this.#told([...kept, ...this.#underWay(ofUpload)]), counts };
    }
    return { spans: this.#told(this.#all((span) => ofUpload(span) || span.requestId === id || span.traceId === id)), counts: [] };
  }

  /** Everything of these traces that is kept. */
  ofTraces(traceIds: readonly string[]): readonly Span[] {
    if (traceIds.length === 0) return [];
    const wanted = new Set(traceIds);
    return this.#told(this.#all((span) => wanted.has(span.traceId)));
  }

  /** For {@link OpenSpan} alone. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** For {@link OpenSpan} alone: it has ended. */
  keep(span: OpenSpan): void {
    // B4
    if (span.isLook) return;
    this.#open.delete(span);
    const { uploadId } = span;
    const isOk = span.outcome === SPAN_OK;
    // B3
    if (uploadId !== undefined && (isOk || (this.#uploads.has(uploadId) && !STRANGERS.has(span.outcome ?? ""))))
      this.#keepOfUpload(uploadId, span);
    else if (isOk) this.#others.push(span);
    else this.#failed.push(span);
    this.#onEnd?.(span.told(this.#sameWall()), span.isSampled);
  }

  /** B1 */
  #keepOfUpload(uploadId: string, span: OpenSpan): void {
    let names = this.#uploads.get(uploadId);
    if (names === undefined) {
      names = new Map();
      this.#uploads.set(uploadId, names);
      if (this.#uploads.size > SPAN_UPLOADS_KEPT) this.#uploads.delete(this.#uploads.keys().next().value as string);
    }
    const { name } = span;
    let named = names.get(name);
    if (named === undefined) {
      named = { newest: [], next: 0, count: 0, failedCount: 0, totalMs: 0, maxMs: 0 };
      names.set(name, named);
    }
    const durationMs = span.durationMs ?? 0;
    named.count += 1;
    named.totalMs += durationMs;
    if (durationMs > named.maxMs) named.maxMs = durationMs;
    if (span.outcome !== SPAN_OK) named.failedCount += 1;
    named.newest[named.next] = span;
    named.next = (named.next + 1) % SPANS_PER_NAME_KEPT;
  }

  #underWay(isWanted: (span: OpenSpan) => boolean): OpenSpan[] {
    return [...this.#open].filter(isWanted);
  }

  #all(isWanted: (span: OpenSpan) => boolean): OpenSpan[] {
    const ofUploads = [...this.#uploads.values()].flatMap((names) => [...names.values()].flatMap(({ newest }) => newest.filter(isWanted)));
    return [...ofUploads, ...this.#others.filter(isWanted), ...this.#failed.filter(isWanted), ...this.#underWay(isWanted)];
  }

  #told(spans: readonly OpenSpan[]): Span[] {
    const wallAtZeroMs = this.#sameWall();
    return spans.map((span) => span.told(wallAtZeroMs)).sort((a, b) => a.startMs - b.startMs);
  }

  /**
   * What the wall clock said when the monotonic one was at zero: always the same, so that what is told twice is told alike. Once it was set, or
   * the machine slept, also what went before is told by the new time, and keeps its order.
   */
  #sameWall(): number {
    const atZeroMs = this.#clock.wallMs() - this.#clock.nowMs();
    if (Math.abs(atZeroMs - this.#wallAtZeroMs) > WALL_DRIFT_MS) this.#wallAtZeroMs = atZeroMs;
    return this.#wallAtZeroMs;
  }
}

/** A span from its beginning on. */
export class OpenSpan implements Trace {
  readonly kind: SpanKind;
  readonly actor: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly isSampled: boolean;
  readonly requestId: string | undefined;
  readonly isLook: boolean;
  uploadId: string | undefined;
  durationMs: number | undefined;
  outcome: string | undefined;
  readonly #book: SpanBook;
  /** Not the parent itself: it has one too, and what goes on for days would keep all of them. */
  readonly #parentId: string | undefined;
  readonly #owner: string | undefined;
  readonly #startMs: number;
  #waitedMs: number | undefined;

  constructor(book: SpanBook, start: SpanStart, { traceId, spanId, isSampled, requestId, isLook }: Required<Omit<Trace, "belongsTo">>) {
    this.#book = book;
    this.kind = start.kind;
    this.actor = start.actor;
    this.name = start.name;
    this.#parentId = start.parent?.spanId;
    this.#owner = start.owner;
    this.traceId = traceId;
    this.spanId = spanId;
    this.isSampled = isSampled;
    this.requestId = requestId;
    this.isLook = isLook;
    this.uploadId = start.uploadId;
    this.#startMs = book.nowMs();
  }

  belongsTo(uploadId: string): void {
    this.uploadId ??= uploadId;
  }

  /** What a request says, or is answered, may say which upload it is about. */
  of(message: unknown): void {
    if (this.uploadId !== undefined || typeof message !== "object" || message === null || !("uploadId" in message)) return;
    if (typeof message.uploadId === "string") this.belongsTo(message.uploadId);
  }

  /** Its turn has come. */
  begun(): void {
    this.#waitedMs = this.#book.nowMs() - this.#startMs;
  }

  /** Once; what comes later is not heard. @param outcome a code from the table of errors, unless it went well */
  end(outcome: string = SPAN_OK): void {
    if (this.outcome !== undefined) return;
    this.durationMs = this.#book.nowMs() - this.#startMs;
    this.outcome = outcome;
    this.#book.keep(this);
  }

  told(wallAtZeroMs: number): Span {
    const { kind, actor, name, requestId } = this;
    const owner = this.#owner;
    return {
      traceId: this.traceId,
      spanId: this.spanId,
      ...(this.#parentId === undefined ? {} : { parentId: this.#parentId }),
      ...(requestId === undefined ? {} : { requestId }),
      ...(this.uploadId === undefined ? {} : { uploadId: this.uploadId }),
      ...(owner === undefined ? {} : { owner }),
      kind,
      actor,
      name,
      startMs: rounded(wallAtZeroMs + this.#startMs),
      ...(this.#waitedMs === undefined ? {} : { waitedMs: rounded(this.#waitedMs) }),
      ...(this.durationMs === undefined ? {} : { durationMs: rounded(this.durationMs) }),
      ...(this.outcome === undefined ? {} : { outcome: this.outcome }),
    };
  }
}

/** The newest of what is pushed. */
class Ring<Item> {
  readonly #items: Item[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  push(item: Item): void {
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.#max;
  }

  filter(isWanted: (item: Item) => boolean): Item[] {
    return this.#items.filter(isWanted);
  }
}

function countOf(name: string, { newest, count, failedCount, totalMs, maxMs }: NamedSpans): SpanCount {
  const { actor } = newest[0] as OpenSpan;
  return { actor, name, count, failedCount, totalMs: rounded(totalMs), maxMs: rounded(maxMs) };
}

const TRACE_ID_BYTES = 16;

function traceOfRequest(requestId: string): string {
  return Buffer.from(requestId.padEnd(TRACE_ID_BYTES, "0").slice(0, TRACE_ID_BYTES)).toString("hex");
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
