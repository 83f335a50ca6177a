/**
 * A Bus on which the time of requests is taken, by contract and verb; everything else is the bus's own.
 *
 * L1: what is measured is named by the contracts it was given: an identity in a subject, or a verb nobody has, makes no series.
 * L2: a request that was cancelled tells nothing of the bus, and is not counted.
 */
import { TroupeError } from "../core/errors.ts";
import type {
  Bus,
  BusHandler,
  BusMessage,
  PublishOptions,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
  Subscription,
} from "../core/ports/bus.ts";
import type { Histogram, Metrics } from "../core/ports/metrics.ts";
import type { Contract } from "./contract.ts";

interface Measured {
  readonly actor: string;
  readonly seconds: Histogram;
}

export class MeasuredBus implements Bus {
  readonly #bus: Bus;
  readonly #metrics: Metrics;
  /** By the beginning of a subject up to its identity, then by its last token. */
  readonly #beginnings: readonly { readonly beginning: string; readonly verbs: ReadonlyMap<string, () => Measured> }[];

  constructor(bus: Bus, metrics: Metrics, contracts: readonly Contract[]) {
    this.#bus = bus;
    this.#metrics = metrics;
    this.#beginnings = contracts.map(({ name, subject, requests }) => ({
      beginning: subject.replace(/\{.*$/, "").replace(/(?<!\.)$/, "."),
      verbs: new Map(Object.keys(requests).map((verb) => [verb, once(() => this.#measured(name, verb))])),
    }));
  }

  get payloadBytesMax(): number {
    return this.#bus.payloadBytesMax;
  }

  nowMs(): number {
    return this.#bus.nowMs();
  }

  publish(subject: string, payload: Uint8Array, options?: PublishOptions): void {
    this.#bus.publish(subject, payload, options);
  }

  subscribe(subject: string, handler: BusHandler, options?: SubscribeOptions): Subscription {
    return this.#bus.subscribe(subject, handler, options);
  }

  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    const request = this.#bus.request(subject, payload, options);
    const measured = this.#find(subject);
    if (measured === undefined) return request;
    const askedMs = this.#bus.nowMs();
    request.then(
      () => measured.seconds.observe((this.#bus.nowMs() - askedMs) / 1_000),
      (error: unknown) => this.#failed(measured.actor, error),
    );
    return request;
  }

  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): Promise<BusMessage[]> {
    return this.#bus.requestMany(subject, payload, options);
  }

  inbox(): string {
    return this.#bus.inbox();
  }

  flush(): Promise<void> {
    return this.#bus.flush();
  }

  drain(): Promise<void> {
    return this.#bus.drain();
  }

  /** L1 */
  #find(subject: string): Measured | undefined {
    for (const { beginning, verbs } of this.#beginnings)
      if (subject.startsWith(beginning)) return verbs.get(subject.slice(subject.lastIndexOf(".") + 1))?.();
    return undefined;
  }

  #measured(actor: string, verb: string): Measured {
    return { actor, seconds: this.#metrics.histogram("troupe_bus_request_seconds", { actor, verb }) };
  }

  #failed(actor: string, error: unknown): void {
    const code = error instanceof TroupeError ? error.code : "INTERNAL";
    // L2
    if (code !== "CANCELLED") this.#metrics.counter("troupe_bus_request_failures_total", { actor, code }).add();
  }
}

/** A process asks few of all the requests there are: a series is made with the first. */
function once<Value>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
