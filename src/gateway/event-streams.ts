/**
 * An upload's events as server-sent events: the current status first, then each fact the session publishes, until it has ended.
 *
 * E1: the subscription stands before the status is asked for, so that no transition falls between the two.
 * E2: facts are delivered at most once; the heartbeat asks for the status again and sends it when it says something new, so that a
 *     lost fact, the last one too, is made up for late, not never.
 * E3: what a slow reader misses, older events, the newest makes up for: a status is whole.
 * E4: nothing steps back: a status that was asked for before a newer one arrived as a fact is not sent, nor what a host says that has lost
 *     the upload to another.
 * E5: a reader that lost the stream comes back by itself (`retry`) and is told the newest status; one that has read the outcome
 *     (`Last-Event-ID`) is told that there is nothing more, and stays away.
 */

import { upload, uploadStatus } from "../actors/upload/contract.ts";
import { type CallOptions, client, isNoResponders } from "../bus/client.ts";
import { EVENT_HEARTBEAT_MS, EVENT_RETRY_MS, EVENT_STREAMS_MAX, EVENTS_WAITING_MAX, REPLY_BYTES_MAX } from "../core/limits.ts";
import type { BusMessage, Subscription } from "../core/ports/bus.ts";
import type { Timer } from "../core/ports/clock.ts";
import type { Principal } from "../core/principal.ts";
import { isEnded, type UploadState, uploadState } from "../core/shapes.ts";
import type { GatewayPorts } from "./ports.ts";
import { eventText, OpenStreams, ServerSentEvents, SIGN_OF_LIFE } from "./server-sent-events.ts";
import type { UploadDirectory } from "./upload-directory.ts";
import { outcomeView, statusView } from "./views.ts";

/** What an upload looks like now, and whether that is final. */
interface Snapshot {
  readonly state: UploadState;
  readonly epoch: number;
  readonly view: Record<string, unknown>;
}

/** Who watches, and what the addresses in what it is told begin with. */
export interface Watcher {
  readonly principal: Principal;
  readonly baseUrl: string;
}

export class EventStreams {
  readonly #ports: GatewayPorts;
  readonly #uploads: UploadDirectory;
  readonly #open = new OpenStreams(EVENT_STREAMS_MAX);

  constructor(ports: GatewayPorts, uploads: UploadDirectory) {
    this.#ports = ports;
    this.#uploads = uploads;
  }

  get count(): number {
    return this.#open.count;
  }

  /**
   * @param lastEventId of the last event that the reader has seen
   * @returns `undefined`: it has seen all there will ever be (E5)
   * @throws {TroupeError} `TOO_MANY`, and what {@link snapshot} throws
   */
  async open(uploadId: string, watcher: Watcher, lastEventId?: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const snapshot = () => this.snapshot(uploadId, watcher);
    const stream = await this.#open.open(
      watcher.principal.owner,
      (onEnd) => new EventStream(this.#ports, uploadId, watcher.baseUrl, snapshot, onEnd),
    );
    return stream.outcomeId !== undefined && stream.outcomeId === lastEventId ? undefined : stream.body;
  }

  /** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `HOST_UNAVAILABLE`, and what the bus throws */
  async snapshot(uploadId: string, { principal, baseUrl }: Watcher, within: CallOptions = {}): Promise<Snapshot> {
    const options = { ...within, principal };
    await this.#uploads.checkOwner(uploadId, options);
    try {
      const status = await client(this.#ports.bus, upload, { uploadId }).status({}, options);
      return { state: status.state, epoch: status.epoch, view: statusView(status, baseUrl) };
    } catch (error) {
      if (!isNoResponders(error)) throw error;
      const record = await this.#uploads.outcome(uploadId, options);
      return { state: record.state, epoch: record.epoch, view: outcomeView(record, baseUrl) };
    }
  }

  endAll(): void {
    this.#open.endAll();
  }
}

class EventStream {
  readonly body: ServerSentEvents;
  readonly #ports: GatewayPorts;
  readonly #uploadId: string;
  readonly #baseUrl: string;
  readonly #snapshot: () => Promise<Snapshot>;
  #subscription: Subscription | undefined;
  #heartbeat: Timer | undefined;
  #lastState: UploadState | undefined;
  /** The last status sent, as text. */
  #lastStatus: string | undefined;
  /** Statuses that came as facts. */
  #statusFactCount = 0;
  /** Of the last event there is: the upload has ended. */
  outcomeId: string | undefined;
  /** The highest there was. */
  #epoch = 0;

  constructor(ports: GatewayPorts, uploadId: string, baseUrl: string, snapshot: () => Promise<Snapshot>, onEnd: () => void) {
    this.#ports = ports;
    this.#uploadId = uploadId;
    this.#baseUrl = baseUrl;
    this.#snapshot = snapshot;
    this.body = new ServerSentEvents(() => {
      this.#subscription?.unsubscribe();
      this.#heartbeat?.cancel();
      onEnd();
    });
  }

  async start(): Promise<void> {
    // E1. The caller has checked that the ID is an identity.
    this.#subscription = this.#ports.bus.subscribe(`troupe.v1.evt.upload.${this.#uploadId}.*`, (message) => this.#onFact(message), {
      pendingMax: EVENTS_WAITING_MAX,
    });
    await this.#ask();
    if (!this.body.isEnded) this.#setHeartbeat();
  }

  #onFact(message: BusMessage): void {
    const fact = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    let body: unknown;
    try {
      if (message.payload.length > REPLY_BYTES_MAX) return;
      body = JSON.parse(Buffer.from(message.payload).toString("utf8"));
    } catch (error) {
      this.#ports.log.warn({ err: error, subject: message.subject }, "An event is not JSON and was not passed on.");
      return;
    }
    const status = uploadStatus.safeParse(body);
    if (!status.success) return this.#passOn(fact, body);
    const { state, epoch } = status.data;
    if (epoch < this.#epoch) return;
    this.#statusFactCount += 1;
    // Whatever the fact is called, a reader is told the status first.
    const event = this.#lastState === undefined ? "state" : fact;
    this.#sendStatus(event, { state, epoch, view: statusView(status.data, this.#baseUrl) });
  }

  /** A fact of a kind that is not known here. */
  #passOn(fact: string, body: unknown): void {
    this.body.push(eventText(fact, JSON.stringify(body)));
    const state = uploadState.safeParse(fact);
    if (state.success && isEnded(state.data)) this.body.end();
  }

  async #ask(): Promise<void> {
    const countBefore = this.#statusFactCount;
    const snapshot = await this.#snapshot();
    // E4
    if (this.#statusFactCount !== countBefore || snapshot.epoch < this.#epoch) return;
    if (snapshot.state !== this.#lastState) this.#sendStatus("state", snapshot);
    else if (JSON.stringify(snapshot.view) !== this.#lastStatus) this.#sendStatus("progress", snapshot);
  }

  #sendStatus(event: string, { state, epoch, view }: Snapshot): void {
    const isFirst = this.#lastState === undefined;
    this.#epoch = epoch;
    this.#lastState = state;
    this.#lastStatus = JSON.stringify(view);
    const id = `${epoch}-${state}`;
    const retry = isFirst ? `\nretry: ${EVENT_RETRY_MS}` : "";
    this.body.push(eventText(event, `${this.#lastStatus}\nid: ${id}${retry}`));
    if (!isEnded(state)) return;
    this.outcomeId = id;
    this.body.end();
  }

  #setHeartbeat(): void {
    this.#heartbeat = this.#ports.clock.setTimer(EVENT_HEARTBEAT_MS, () => {
      this.body.push(SIGN_OF_LIFE);
      // E2
      this.#ask()
        .catch((error: unknown) =>
          this.#ports.log.debug({ err: error, uploadId: this.#uploadId }, "The status of an upload being watched could not be asked for."),
        )
        .finally(() => {
          if (!this.body.isEnded) this.#setHeartbeat();
        });
    });
  }
}
