/**
 * The Bus port for one life of a process: the adapter for NATS as in production, over a driver of the world. So what it does when the
 * connection is lost, comes back, or keeps nothing but silence is simulated, too.
 */
import { type NatsConnectionImpl, nuid } from "nats";
import { NatsBus } from "../../../src/bus/nats.ts";
import type { NatsOptions, Patience } from "../../../src/bus/nats-dial.ts";
import { NatsInbox } from "../../../src/bus/nats-inbox.ts";
import { type LinkHooks, NatsLink } from "../../../src/bus/nats-link.ts";
import type { Log } from "../../../src/core/log.ts";
import type { BusMessage, PublishOptions, RequestManyOptions, RequestOptions } from "../../../src/core/ports/bus.ts";
import { SimulatedLog } from "../simulated-log.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { SimulatedBusServer } from "./simulated-bus-server.ts";
import { SimulatedDriver } from "./simulated-driver.ts";

export interface ConnectOptions {
  /** `role/nodeId` */
  readonly name?: string;
  readonly log?: Log;
}

/** Its constructor is private because nobody but its own `open` has a connection to hand in; the world has one. */
const LinkOfConnection = NatsLink as unknown as new (
  options: NatsOptions,
  hooks: LinkHooks,
  connection: NatsConnectionImpl,
  attempts: { count: number },
) => NatsLink;

const patiences = new WeakMap<SimulatedProcess, Patience>();

export class SimulatedBus extends NatsBus {
  readonly process: SimulatedProcess;
  readonly #server: SimulatedBusServer;
  #openRequests = 0;

  private constructor(server: SimulatedBusServer, process: SimulatedProcess, options: NatsOptions, link: NatsLink, inbox: NatsInbox) {
    super(options, link, inbox);
    this.#server = server;
    this.process = process;
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE` */
  static async connect(server: SimulatedBusServer, process: SimulatedProcess, given: ConnectOptions): Promise<SimulatedBus> {
    const random = server.world.random.stream(`${process.name}#${process.life}`, `bus ${given.name ?? ""}`);
    const options: NatsOptions = {
      servers: ["bus"],
      name: given.name ?? process.name,
      inboxPrefix: "_INBOX",
      clock: process.clock,
      log: given.log ?? new SimulatedLog(process),
      patience: patienceOf(process),
    };
    drawInbox(random.integer(2 ** 31), random.integer(2 ** 31));
    const inbox = new NatsInbox(options);
    const driver = await SimulatedDriver.connect(server, process, random);
    const hooks: LinkHooks = {
      onLost: (error) => inbox.failAll(error),
      onBack: () => undefined,
      onPublishRefused: (subject) => inbox.failOn(subject),
    };
    const link = new LinkOfConnection(options, hooks, driver.asConnection(), { count: 0 });
    try {
      inbox.listen(link);
      await link.flush();
    } catch (error) {
      await link.close();
      throw error;
    }
    return new SimulatedBus(server, process, options, link, inbox);
  }

  /** That have not ended. */
  get openRequests(): number {
    return this.#openRequests;
  }

  override publish(subject: string, payload: Uint8Array, options: PublishOptions = {}): void {
    try {
      super.publish(subject, payload, options);
    } catch (error) {
      // What is said while nobody can be reached is said all the same.
      if (this.process.isAlive)
        this.#server.overheard(this.process, { subject, reply: options.reply, headers: options.headers ?? {}, payload });
      throw error;
    }
  }

  override request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    return this.#counted(super.request(subject, payload, options));
  }

  override requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): Promise<BusMessage[]> {
    return this.#counted(super.requestMany(subject, payload, options));
  }

  async #counted<T>(asked: Promise<T>): Promise<T> {
    this.#openRequests += 1;
    try {
      return await asked;
    } finally {
      this.#openRequests -= 1;
    }
  }
}

function patienceOf(process: SimulatedProcess): Patience {
  let patience = patiences.get(process);
  if (patience === undefined) {
    patience = { ranOutMs: Number.NEGATIVE_INFINITY };
    patiences.set(process, patience);
  }
  return patience;
}

/** The driver names inboxes by a counter of its own, which begins anywhere: here where the seed says, so that two runs have the same names. */
function drawInbox(high: number, low: number): void {
  const counter = nuid as unknown as { buf: Uint8Array; seqHi: number; seqLo: number; inc: number; inited: boolean };
  counter.buf.fill("0".charCodeAt(0));
  counter.seqHi = high % 2 ** 20;
  counter.seqLo = low;
  counter.inc = 1;
  counter.inited = true;
}
