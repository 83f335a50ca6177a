/**
 * A connection between two processes: two pipes, in each of which what is sent arrives in order.
 *
 * C1: whoever is killed leaves a connection behind that is broken for the other, after what was sent before.
 * C2: whoever loses its power says nothing, and what it had sent is lost; the other learns of it when it sends something to the machine
 *     that is back.
 * C3: of what a reader has not taken at most `WINDOW_BYTES` (and a block) lie in a pipe, if its sender waits when it is told to.
 */
import assert from "node:assert/strict";
import type { Death, SimulatedProcess } from "../simulated-process.ts";
import type { Held, Line } from "./line.ts";
import { bytesOf, labelOf, type Segment, WINDOW_BYTES } from "./segment.ts";

export type Side = "client" | "server";

/** What a connection ends in. */
export interface End {
  /** Runs in its process. The last one is `broken`, unless this end left before. */
  receive(segment: Segment): void;
}

export interface ConnectionPlace {
  readonly process: SimulatedProcess;
  /** From here to the other. */
  readonly line: Line;
}

export interface ConnectionWatch {
  /** Nobody has it any more. */
  onOver(connection: Connection): void;
  /** That machine has power. */
  isUp(side: Side): boolean;
}

/** A machine that is back refuses what belongs to its former life once that is sent again: then, at least. */
const SENT_AGAIN_MS = 200;

const otherOf = (side: Side): Side => (side === "client" ? "server" : "client");

export class Connection {
  readonly #watch: ConnectionWatch;
  readonly #places: Record<Side, ConnectionPlace>;
  readonly #pipes: Record<Side, Pipe>;
  readonly #ends: Partial<Record<Side, End>> = {};
  readonly #gone: Record<Side, "no" | "left" | "silent"> = { client: "no", server: "no" };
  /** When the server had accepted it. */
  readonly acceptedAtMs: number;
  /** When the client knows it. */
  readonly connectedAtMs: number;
  /** Its server died before it could accept. */
  isRefused = false;
  #isUnanswered = false;

  /** @param forthMs how long the wish to connect takes, @param backMs and the assent */
  constructor(watch: ConnectionWatch, client: ConnectionPlace, server: ConnectionPlace, forthMs: number, backMs: number) {
    this.#watch = watch;
    this.#places = { client, server };
    this.#pipes = { client: new Pipe(this, server, client.process, "client"), server: new Pipe(this, client, server.process, "server") };
    const { nowMs } = client.process.world;
    this.acceptedAtMs = nowMs + forthMs;
    this.connectedAtMs = nowMs + forthMs + backMs;
    this.#pipes.server.openAt(this.connectedAtMs);
    this.#pipes.client.openAt(this.acceptedAtMs);
  }

  place(side: Side): ConnectionPlace {
    return this.#places[side];
  }

  attach(side: Side, end: End): void {
    this.#ends[side] = end;
  }

  /** @returns whether more may be sent; otherwise `room` comes when it may */
  send(to: Side, segment: Segment): boolean {
    const isHere = this.#gone[otherOf(to)] === "no";
    if (isHere && this.#gone[to] === "no") return this.#pipes[to].send(segment);
    if (isHere && this.#gone[to] === "silent") this.#toSilence(otherOf(to));
    // Nobody takes it, so it stays in the sender's way.
    return this.#pipes[to].fill(bytesOf(segment).length);
  }

  /** The body whose bytes were sent last in this moment ends with them. @returns false when there are none */
  endWithLast(to: Side): boolean {
    return this.#pipes[to].endWithLast();
  }

  /** A reader has taken so many bytes. */
  taken(by: Side, bytes: number): void {
    if (this.#pipes[by].taken(bytes)) this.send(otherOf(by), { kind: "room" });
  }

  /** Another exchange begins: nobody reads any more what was left of the last. */
  clearWindows(): void {
    this.#pipes.client.clearWindow();
    this.#pipes.server.clearWindow();
  }

  /** That end closes it, after what it has sent. */
  leave(side: Side): void {
    if (this.#gone[side] !== "no") return;
    const other = otherOf(side);
    if (this.#gone[other] === "no") this.#pipes[other].send({ kind: "broken" });
    this.#pipes[side].clear();
    this.#goneIs(side, "left");
  }

  /** C1, C2 */
  die(side: Side, death: Death): void {
    if (this.#gone[side] !== "no") return;
    if (side === "server" && this.#places.client.process.world.nowMs < this.acceptedAtMs) this.isRefused = true;
    if (death !== "power") return this.leave(side);
    this.#pipes.client.clear();
    this.#pipes.server.clear();
    this.#goneIs(side, "silent");
  }

  /** Something between the two breaks it for both. */
  sever(): void {
    for (const side of ["client", "server"] as const) {
      this.#pipes[side].clear();
      if (this.#gone[side] === "no") this.#pipes[side].send({ kind: "broken" });
    }
  }

  /** C2: the silent one's machine has power again. */
  onRevived(): void {
    if (this.#isUnanswered) this.#refuseGhost();
  }

  /** A pipe's. */
  deliver(to: Side, segment: Segment): void {
    if (this.#gone[to] !== "no") return;
    if (segment.kind === "broken") this.#goneIs(to, "left");
    const end = this.#ends[to];
    assert(end !== undefined, "both ends are attached before anything arrives");
    end.receive(segment);
  }

  #toSilence(survivor: Side): void {
    if (this.#isUnanswered) return;
    this.#isUnanswered = true;
    if (this.#watch.isUp(otherOf(survivor))) this.#refuseGhost();
  }

  #refuseGhost(): void {
    const silent = this.#gone.client === "silent" ? "client" : "server";
    const survivor = otherOf(silent);
    const { line } = this.#places[silent];
    if (this.#gone[survivor] === "no") this.#pipes[survivor].send({ kind: "broken" }, line.resumingMs() + SENT_AGAIN_MS);
  }

  #goneIs(side: Side, how: "left" | "silent"): void {
    this.#gone[side] = how;
    const other = this.#gone[otherOf(side)];
    // Whoever is silent cannot leave any more.
    if (other !== "no") this.#watch.onOver(this);
  }
}

/** One direction of a connection. */
class Pipe implements Held {
  readonly #connection: Connection;
  readonly #line: Line;
  readonly #sender: string;
  readonly #receiver: SimulatedProcess;
  readonly #to: Side;
  readonly #queue: Segment[] = [];
  /** Of the queue's beginning, what has arrived and is held. */
  #heldCount = 0;
  #isHeld = false;
  #openAtMs = 0;
  #arrivalMs = 0;
  #lastSentMs = -1;
  #untakenBytes = 0;
  #isSenderWaiting = false;

  constructor(connection: Connection, from: ConnectionPlace, receiver: SimulatedProcess, to: Side) {
    this.#connection = connection;
    this.#line = from.line;
    this.#sender = from.process.name;
    this.#receiver = receiver;
    this.#to = to;
  }

  /** What is sent before leaves then. */
  openAt(atMs: number): void {
    this.#openAtMs = atMs;
  }

  /** @returns whether the sender may go on at once */
  send(segment: Segment, extraMs = 0): boolean {
    const { nowMs } = this.#receiver.world;
    const bytes = bytesOf(segment).length;
    const leavesMs = Math.max(nowMs, this.#openAtMs) + extraMs;
    // Behind what was sent before.
    this.#arrivalMs = Math.max(leavesMs + this.#line.latencyMs(), this.#arrivalMs) + this.#line.transferMs(bytes);
    this.#lastSentMs = nowMs;
    this.#queue.push(segment);
    this.#schedule(this.#arrivalMs - nowMs, segment);
    return this.fill(bytes);
  }

  fill(bytes: number): boolean {
    this.#untakenBytes += bytes;
    if (this.#untakenBytes > WINDOW_BYTES) this.#isSenderWaiting = true;
    return !this.#isSenderWaiting;
  }

  endWithLast(): boolean {
    const last = this.#queue.at(-1);
    if (last === undefined || !("isEnd" in last) || this.#lastSentMs !== this.#receiver.world.nowMs) return false;
    last.isEnd = true;
    return true;
  }

  /** @returns whether the sender, who waits, may go on */
  taken(bytes: number): boolean {
    this.#untakenBytes = Math.max(0, this.#untakenBytes - bytes);
    if (!this.#isSenderWaiting || this.#untakenBytes > WINDOW_BYTES / 2) return false;
    this.#isSenderWaiting = false;
    return true;
  }

  clearWindow(): void {
    this.#untakenBytes = 0;
    this.#isSenderWaiting = false;
  }

  /** Nothing of it arrives. */
  clear(): void {
    this.#queue.length = 0;
    this.#heldCount = 0;
  }

  resume(): void {
    this.#isHeld = false;
    const held = this.#queue.slice(0, this.#heldCount);
    this.#heldCount = 0;
    if (held.length === 0) return;
    const delayMs = this.#line.resumingMs();
    for (const segment of held) this.#schedule(delayMs, segment);
  }

  #schedule(delayMs: number, segment: Segment): void {
    this.#receiver.later(delayMs, `< ${this.#sender} ${labelOf(segment)}`, () => this.#arrive());
  }

  /** The queue's first, whichever event this was: those of one pipe do not overtake each other. */
  #arrive(): void {
    const [segment] = this.#queue;
    // It was cleared.
    if (segment === undefined) return;
    if (this.#isHeld) {
      this.#heldCount += 1;
      return;
    }
    const fate = this.#line.fateOf(segment, this);
    if (fate === "delivered") {
      this.#queue.shift();
      return this.#connection.deliver(this.#to, segment);
    }
    if (fate === "held") {
      this.#isHeld = true;
      this.#heldCount = 1;
      return;
    }
    if (fate === "truncated" && "bytes" in segment) {
      const bytes = segment.bytes.subarray(0, this.#line.truncatedTo(segment.bytes.length));
      if (bytes.length > 0 || segment.kind !== "bytes") this.#connection.deliver(this.#to, { ...segment, bytes, isEnd: false });
    }
    this.#connection.sever();
  }
}
