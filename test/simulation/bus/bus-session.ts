/**
 * One connection between a process and the bus, from its handshake to its end, which both sides need not notice at the same moment.
 *
 * C1: what a process sends reaches the server in the order it was sent, subscriptions and messages alike.
 * C2: what had left a process that was killed still arrives; what had not left a machine that lost power does not.
 */
import type { MsgHdrs } from "nats";
import { isInbox } from "../../../src/bus/subject.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import type { BusWay } from "./bus-lane.ts";
import { BusPipe, type Parcel } from "./bus-pipe.ts";

export interface WireMessage extends Parcel {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly headers: MsgHdrs | undefined;
  /** Nobody changes these bytes: whoever receives them makes a copy. */
  readonly payload: Uint8Array;
}

/** What a connection hears, and how. */
export interface WireSubscription {
  readonly pattern: string;
  readonly queue: string | undefined;
  readonly session: BusSession;
  /** From then on the server knows it. */
  readonly knownMs: number;
  readonly hear: (message: WireMessage) => void;
}

/** The server, as connections see it. */
export interface SessionServer {
  sent(session: BusSession, message: WireMessage): void;
  route(session: BusSession, message: WireMessage, atMs: number): void;
  know(subscription: WireSubscription): void;
  forget(subscription: WireSubscription): void;
  /** The connection has ended on the process's side. */
  left(session: BusSession): void;
}

/** The process's side of a connection. */
export interface SessionOwner {
  /** The process has noticed that it is over; not told when it ended it itself. */
  onLost(session: BusSession): void;
  /** Its pings stay unanswered. */
  onStale(session: BusSession): void;
}

const TOPIC = /^troupe\.v\d+\./;
const CONTROL_BYTES = 64;

export function wireMessage(
  sender: string,
  subject: string,
  payload: Uint8Array,
  options: { readonly reply?: string; readonly headers?: MsgHdrs } = {},
): WireMessage {
  const isAnswer = isInbox(subject);
  return {
    subject,
    reply: options.reply,
    headers: options.headers,
    payload,
    bytes: payload.length + subject.length + CONTROL_BYTES,
    isAnswer,
    label: isAnswer ? `bus ${sender} answers` : `bus ${sender} ${subject.replace(TOPIC, "")}`,
  };
}

export class BusSession {
  readonly process: SimulatedProcess;
  readonly way: BusWay;
  readonly up: BusPipe;
  readonly down: BusPipe;
  readonly subscriptions = new Set<WireSubscription>();
  readonly #server: SessionServer;
  readonly #owner: SessionOwner;
  isHeldByServer = true;
  isHeldByProcess = true;
  /** Of the server's pings, and of the process's. */
  readonly unansweredPings = { server: 0, process: 0 };
  /** What would have reached the server later than this never does, though it was worked out ahead that it does (C2). */
  lostFromMs = Number.POSITIVE_INFINITY;

  constructor(world: World, server: SessionServer, process: SimulatedProcess, way: BusWay, owner: SessionOwner) {
    this.process = process;
    this.way = way;
    this.#server = server;
    this.#owner = owner;
    this.up = new BusPipe(
      world,
      way.up,
      (delayMs, label, run) => void world.scheduler.after(delayMs, `bus hears ${process.name} ${label}`, run),
    );
    this.down = new BusPipe(world, way.down, (delayMs, label, run) => void process.later(delayMs, label, run));
  }

  publish(message: WireMessage): void {
    this.#server.sent(this, message);
    this.up.carryMessageAhead(message, (atMs) => this.#server.route(this, message, atMs));
  }

  /** @returns what takes it back */
  subscribe(pattern: string, queue: string | undefined, hear: (message: WireMessage) => void): () => void {
    let known: WireSubscription | undefined;
    this.up.carryAhead("SUB", CONTROL_BYTES, (atMs) => {
      known = { pattern, queue, hear, session: this, knownMs: atMs };
      this.#server.know(known);
    });
    return () =>
      this.up.carryAhead("UNSUB", CONTROL_BYTES, () => {
        if (known !== undefined) this.#server.forget(known);
      });
  }

  /** Told when the server has answered: everything sent before has reached it, and everything it sent before has come. */
  ping(onPong: () => void): void {
    this.up.carryAhead("PING", CONTROL_BYTES, (atMs) => this.down.carry(atMs, "bus PONG", CONTROL_BYTES, onPong));
  }

  /** Ends on the process's side: nothing comes to it any more, and the server is told. */
  leave(): void {
    if (!this.isHeldByProcess) return;
    this.isHeldByProcess = false;
    this.down.close();
    if (this.isHeldByServer) this.up.carryAhead("FIN", CONTROL_BYTES, () => this.#server.left(this));
    else this.#server.left(this);
  }

  /** The process notices that the connection is over, `afterMs` from now. */
  tellLost(afterMs: number): void {
    this.process.later(afterMs, "bus connection ends", () => {
      if (!this.isHeldByProcess) return;
      this.leave();
      this.#owner.onLost(this);
    });
  }

  /** The process's next ping stays unanswered too, unless there is an answer again by then. */
  tellStale(afterMs: number): void {
    this.process.later(afterMs, "bus is silent", () => {
      if (this.isHeldByProcess && (!this.isHeldByServer || this.way.isCut)) this.#owner.onStale(this);
    });
  }
}
