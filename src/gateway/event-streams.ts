/**
 * An upload's events as server-sent events: the current status first, then each fact the session publishes, until it has ended.
 *
 * E1: the subscription stands before the status is asked for, so that no transition falls between the two.
 * E2: facts are delivered at most once; the heartbeat asks for the status again, so that a lost last fact ends the stream late, not never.
 * E3: a slow reader costs `EVENTS_WAITING_MAX` events; older ones are dropped, the status at the next heartbeat makes up for them.
 */

import { upload, uploadStatus } from "../actors/upload/contract.ts";
import { client, isNoResponders } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { EVENT_HEARTBEAT_MS, EVENT_STREAMS_MAX, EVENTS_WAITING_MAX, REPLY_BYTES_MAX } from "../core/limits.ts";
import type { BusMessage, Subscription } from "../core/ports/bus.ts";
import type { Timer } from "../core/ports/clock.ts";
import type { Principal } from "../core/principal.ts";
import { isEnded, type UploadState, uploadState } from "../core/shapes.ts";
import type { GatewayPorts } from "./ports.ts";
import { owned, type UploadDirectory } from "./upload-directory.ts";
import { outcomeView, statusView } from "./views.ts";

/** What an upload looks like now, and whether that is final. */
interface Snapshot {
  readonly state: UploadState;
  readonly view: Record<string, unknown>;
}

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

export class EventStreams {
  readonly #ports: GatewayPorts;
  readonly #uploads: UploadDirectory;
  readonly #open = new Set<EventStream>();

  constructor(ports: GatewayPorts, uploads: UploadDirectory) {
    this.#ports = ports;
    this.#uploads = uploads;
  }

  get count(): number {
    return this.#open.size;
  }

  /** @throws {TroupeError} `TOO_MANY`, and what {@link snapshot} throws */
  async open(uploadId: string, principal: Principal): Promise<AsyncIterable<Uint8Array>> {
    if (this.#open.size >= EVENT_STREAMS_MAX) throw new TroupeError("TOO_MANY");
    const stream: EventStream = new EventStream(
      this.#ports,
      uploadId,
      () => this.snapshot(uploadId, principal),
      () => this.#open.delete(stream),
    );
    this.#open.add(stream);
    try {
      await stream.start();
    } catch (error) {
      stream.end();
      throw error;
    }
    return stream;
  }

  /** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `HOST_UNAVAILABLE`, and what the bus throws */
  async snapshot(uploadId: string, principal: Principal, signal?: AbortSignal): Promise<Snapshot> {
    const options = { principal, ...(signal === undefined ? {} : { signal }) };
    try {
      const status = owned(await client(this.#ports.bus, upload, { uploadId }).status({}, options), principal);
      return { state: status.state, view: statusView(status) };
    } catch (error) {
      if (!isNoResponders(error)) throw error;
      const record = await this.#uploads.outcome(uploadId, options);
      return { state: record.state, view: outcomeView(record) };
    }
  }

  endAll(): void {
    for (const stream of this.#open) stream.end();
  }
}

class EventStream implements AsyncIterableIterator<Uint8Array> {
  readonly #ports: GatewayPorts;
  readonly #uploadId: string;
  readonly #snapshot: () => Promise<Snapshot>;
  readonly #onEnd: () => void;
  #waiting: ((result: IteratorResult<Uint8Array>) => void) | undefined;
  #queue: string[] = [];
  #subscription: Subscription | undefined;
  #heartbeat: Timer | undefined;
  #lastState: UploadState | undefined;
  #ended = false;

  constructor(ports: GatewayPorts, uploadId: string, snapshot: () => Promise<Snapshot>, onEnd: () => void) {
    this.#ports = ports;
    this.#uploadId = uploadId;
    this.#snapshot = snapshot;
    this.#onEnd = onEnd;
  }

  async start(): Promise<void> {
    // E1. The caller has checked that the ID is an identity.
    this.#subscription = this.#ports.bus.subscribe(`troupe.v1.evt.upload.${this.#uploadId}.*`, (message) => this.#onFact(message), {
      pendingMax: EVENTS_WAITING_MAX,
    });
    this.#take(await this.#snapshot());
    if (!this.#ended) this.#setHeartbeat();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const text = this.#queue.shift();
    if (text !== undefined) return Promise.resolve({ done: false, value: Buffer.from(text) });
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#queue = [];
    this.end();
    return Promise.resolve(DONE);
  }

  /** What is queued is still delivered. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#subscription?.unsubscribe();
    this.#heartbeat?.cancel();
    this.#onEnd();
    this.#waiting?.(DONE);
    this.#waiting = undefined;
  }

  #onFact(message: BusMessage): void {
    const fact = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    let body: unknown;
    try {
      if (message.payload.length > REPLY_BYTES_MAX) return;
      body = JSON.parse(Buffer.from(message.payload).toString("utf8"));
    } catch (error) {
      this.#ports.log.warn({ error, subject: message.subject }, "an event is not JSON and was not passed on");
      return;
    }
    const status = uploadStatus.safeParse(body);
    if (status.success) {
      this.#lastState = status.data.state;
      this.#send(fact, statusView(status.data));
    } else this.#send(fact, body);
    const ended = uploadState.safeParse(status.success ? status.data.state : fact);
    if (ended.success && isEnded(ended.data)) this.end();
  }

  #take({ state, view }: Snapshot): void {
    if (this.#ended || state === this.#lastState) return;
    this.#lastState = state;
    this.#send("state", view);
    if (isEnded(state)) this.end();
  }

  #send(event: string, body: unknown): void {
    this.#push(`event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
  }

  #push(text: string): void {
    if (this.#ended) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      return waiting({ done: false, value: Buffer.from(text) });
    }
    // E3
    if (this.#queue.length >= EVENTS_WAITING_MAX) this.#queue.shift();
    this.#queue.push(text);
  }

  #setHeartbeat(): void {
    this.#heartbeat = this.#ports.clock.setTimer(EVENT_HEARTBEAT_MS, () => {
      this.#push(": still here\n\n");
      // E2
      this.#snapshot()
        .then((snapshot) => this.#take(snapshot))
        .catch((error: unknown) =>
          this.#ports.log.debug({ error, uploadId: this.#uploadId }, "the status of an upload being watched could not be asked"),
        )
        .finally(() => {
          if (!this.#ended) this.#setHeartbeat();
        });
    });
  }
}
