/**
 * An upload's machine as it goes on, as server-sent events: `inspection` first, the whole as {@link inspectUpload} tells it; then `steps`, what
 * the session publishes while somebody listens; and now and then the whole again.
 *
 * I1: the subscription stands before the whole is asked for, so that no step falls between the two; a reader knows steps it has by their numbers.
 * I2: steps that were lost, or dropped for a slow reader, are in the next whole.
 * I3: it ends with the upload: the whole that says so is the last event.
 */
import { feedSubject, type MachineFeed, machineFeed } from "../../core/inspection.ts";
import { EVENTS_WAITING_MAX, INSPECT_STREAMS_MAX, INSPECT_WHOLE_MS, REPLY_BYTES_MAX } from "../../core/limits.ts";
import type { BusMessage, Subscription } from "../../core/ports/bus.ts";
import type { Timer } from "../../core/ports/clock.ts";
import { isEnded, type UploadState } from "../../core/shapes.ts";
import type { GatewayPorts } from "../ports.ts";
import { eventText, OpenStreams, ServerSentEvents, SIGN_OF_LIFE } from "../server-sent-events.ts";

type Inspect = () => Promise<Record<string, unknown>>;

export class InspectStreams {
  readonly #ports: GatewayPorts;
  readonly #open = new OpenStreams(INSPECT_STREAMS_MAX);

  constructor(ports: GatewayPorts) {
    this.#ports = ports;
  }

  get count(): number {
    return this.#open.count;
  }

  /** @throws {TroupeError} `TOO_MANY`, and what `inspect` throws */
  async open(uploadId: string, owner: string, inspect: Inspect): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await this.#open.open(owner, (onEnd) => new InspectStream(this.#ports, uploadId, inspect, onEnd));
    return body;
  }

  endAll(): void {
    this.#open.endAll();
  }
}

class InspectStream {
  readonly body: ServerSentEvents;
  readonly #ports: GatewayPorts;
  readonly #uploadId: string;
  readonly #inspect: Inspect;
  #subscription: Subscription | undefined;
  #heartbeat: Timer | undefined;

  constructor(ports: GatewayPorts, uploadId: string, inspect: Inspect, onEnd: () => void) {
    this.#ports = ports;
    this.#uploadId = uploadId;
    this.#inspect = inspect;
    this.body = new ServerSentEvents(() => {
      this.#subscription?.unsubscribe();
      this.#heartbeat?.cancel();
      onEnd();
    });
  }

  async start(): Promise<void> {
    // I1
    this.#subscription = this.#ports.bus.subscribe(feedSubject("upload", this.#uploadId), (message) => this.#onSteps(message), {
      pendingMax: EVENTS_WAITING_MAX,
    });
    await this.#tellWhole();
    if (!this.body.isEnded) this.#setHeartbeat();
  }

  #onSteps({ payload, subject }: BusMessage): void {
    const feed = payload.length > REPLY_BYTES_MAX ? undefined : feedOf(payload);
    if (feed === undefined) return this.#ports.log.warn({ subject }, "Steps of an upload cannot be read, and were not passed on.");
    this.body.push(eventText("steps", JSON.stringify(feed)));
    // The machine is in a final state; whether the upload is, the catalog says.
    if (isEnded(feed.state as UploadState)) void this.#tellWhole().catch((error: unknown) => this.#failed(error));
  }

  async #tellWhole(): Promise<void> {
    const whole = await this.#inspect();
    this.body.push(eventText("inspection", JSON.stringify(whole)));
    // I3
    const upload = whole["upload"] as { readonly state?: UploadState } | undefined;
    if (upload?.state !== undefined && isEnded(upload.state)) this.body.end();
  }

  #setHeartbeat(): void {
    this.#heartbeat = this.#ports.clock.setTimer(INSPECT_WHOLE_MS, () => {
      this.body.push(SIGN_OF_LIFE);
      // I2
      this.#tellWhole()
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          if (!this.body.isEnded) this.#setHeartbeat();
        });
    });
  }

  #failed(error: unknown): void {
    this.#ports.log.debug({ err: error, uploadId: this.#uploadId }, "An upload being watched could not be looked into.");
  }
}

function feedOf(payload: Uint8Array): MachineFeed | undefined {
  try {
    return machineFeed.safeParse(JSON.parse(new TextDecoder().decode(payload))).data;
  } catch {
    // Not JSON: not a session's.
    return undefined;
  }
}
