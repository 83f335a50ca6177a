/**
 * The server of the bus in the world: who listens on what, which messages go where, and which connections it still believes in.
 *
 * S1: each who subscribed alone gets a message, and one member of each queue group, drawn by the server.
 * S2: a publisher with a reply subject of its own is told when nobody hears; whoever the server believes in hears, dead or not.
 * S3: a process that was killed is gone at once; one whose machine vanished, or that stands still, when its pings stay unanswered.
 * S4: what a connection lets wait is bounded: past that it is ended, and what waits is lost.
 *
 * Routing is worked out when a message is sent, with the time at which it reaches the server, so that a message is one event: its arrival.
 */
import { subjectMatches } from "../../../src/bus/subject.ts";
import { SubjectTrie } from "../../../src/bus/subject-trie.ts";
import { BUS_DIAL_MS_MAX } from "../../../src/core/limits.ts";
import type { BusHeaders } from "../../../src/core/ports/bus.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Death, SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import { BusBarriers } from "./bus-barriers.ts";
import { BusWay, type Lane } from "./bus-lane.ts";
import { BusSession, type SessionOwner, type SessionServer, type WireMessage, type WireSubscription } from "./bus-session.ts";
import { PingRounds } from "./ping-rounds.ts";
import { type ConnectOptions, SimulatedBus } from "./simulated-bus.ts";

/** As in deploy/nats.conf. */
const WAITING_BYTES_MAX = 64 * 1024 ** 2;
/** Why lanes are cut, as it is counted when something waits for it. */
const STANDS_STILL = "fault.bus.away";
const READS_SLOWLY = "bus.read-slowly";
const NO_PAYLOAD = new Uint8Array();
/** What the adapter looks at in the headers by which the server says that nobody listens. */
const UNHEARD = { code: 503, [Symbol.iterator]: (): Iterator<never> => [][Symbol.iterator]() } as unknown as WireMessage["headers"];

/** What one process has to do with the bus. */
export interface BusProbe {
  readonly process: string;
  readonly connections: number;
  readonly subscriptions: number;
  readonly openRequests: number;
  /** On their way to it. */
  readonly waitingMessages: number;
  readonly waitingBytes: number;
}

/** A message as its sender gave it to the bus. */
export interface SentMessage {
  /** Name and life of the sender: `storage1#2`. */
  readonly life: string;
  readonly subject: string;
  readonly reply: string | undefined;
  readonly headers: BusHeaders;
  /** Not to be changed. */
  readonly payload: Uint8Array;
}

export class SimulatedBusServer implements SessionServer {
  readonly world: World;
  /** Between processes that both have a connection. */
  readonly barriers: BusBarriers;
  readonly #subscriptions = new SubjectTrie<WireSubscription>();
  readonly #sessions = new Set<BusSession>();
  readonly #buses = new Set<SimulatedBus>();
  readonly #ways = new Map<string, BusWay>();
  readonly #lives = new Map<string, SimulatedProcess>();
  readonly #members = new Map<string, RandomStream>();
  /** The fewest messages that may wait for a process whose reading is slow. */
  readonly #slowReaders = new Map<string, number>();
  readonly #listeners: ((message: SentMessage) => void)[] = [];
  readonly #rounds: PingRounds;
  #outages = 0;
  #standstills = 0;

  constructor(world: World) {
    this.world = world;
    this.barriers = new BusBarriers(world);
    this.#rounds = new PingRounds(world, this.#sessions, (session) => this.#sever(session, "its pings stay unanswered"));
  }

  /**
   * A connection for this life of the process.
   * @throws {TroupeError} `BUS_UNAVAILABLE`
   */
  async connect(process: SimulatedProcess, options: ConnectOptions = {}): Promise<SimulatedBus> {
    this.#rounds.begin();
    const bus = await SimulatedBus.connect(this, process, options);
    this.#buses.add(bus);
    process.onDeath(() => this.#buses.delete(bus));
    return bus;
  }

  /** Told of each message when it is sent: before it is refused, lost, doubled or late, and in the order of sending. */
  onSent(listener: (message: SentMessage) => void): void {
    this.#listeners.push(listener);
  }

  /** By process, sorted by name. */
  probe(): BusProbe[] {
    const names = new Set([...this.#sessions].filter(({ process }) => process.isAlive).map(({ process }) => process.name));
    for (const { process } of this.#buses) names.add(process.name);
    return [...names].sort().map((name) => {
      const sessions = [...this.#sessions].filter(({ process }) => process.isAlive && process.name === name);
      const buses = [...this.#buses].filter(({ process }) => process.name === name);
      const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
      return {
        process: name,
        connections: sessions.length,
        subscriptions: sum(sessions.map(({ subscriptions }) => subscriptions.size)),
        openRequests: sum(buses.map(({ openRequests }) => openRequests)),
        waitingMessages: sum(sessions.map(({ down }) => down.count)),
        waitingBytes: sum(sessions.map(({ down }) => down.bytes)),
      };
    });
  }

  /** Between a process and the server, whatever its lives. */
  wayOf(processName: string): BusWay {
    let way = this.#ways.get(processName);
    if (way === undefined) {
      way = new BusWay(this.world, processName);
      if (this.#standstills > 0) cutAll(way);
      this.#ways.set(processName, way);
    }
    return way;
  }

  /** @param then gets nothing when there is no connection to be had */
  dial(process: SimulatedProcess, owner: SessionOwner, then: (session: BusSession | undefined) => void): void {
    const way = this.wayOf(process.name);
    if (way.isCut) return void process.later(BUS_DIAL_MS_MAX, "bus does not answer", () => then(undefined));
    const handshakeMs = 2 * (way.up.delayMs() + way.down.delayMs());
    process.later(handshakeMs, "bus answers", () => then(this.#outages > 0 || way.isCut ? undefined : this.#accept(process, way, owner)));
  }

  /** It is gone, and with it every connection; whoever dials is refused. */
  goAway(): void {
    this.#outages += 1;
    if (this.#sessions.size > 0) this.world.counts.add("fault.bus.away");
    for (const session of [...this.#sessions]) this.#sever(session, "the bus is away");
  }

  comeBack(): void {
    this.#outages -= 1;
  }

  /** It is there and does nothing: bytes wait in sockets. */
  standStill(): void {
    this.#standstills += 1;
    if (this.#standstills === 1) for (const way of this.#ways.values()) cutAll(way);
  }

  goOn(): void {
    this.#standstills -= 1;
    if (this.#standstills === 0) for (const way of this.#ways.values()) this.mend(way, [way.up, way.down], STANDS_STILL);
  }

  /** The lanes carry again what they kept; ends that one side has not heard of are told. */
  mend(way: BusWay, lanes: readonly Lane[], fault: string): void {
    for (const lane of lanes) lane.mend(fault);
    for (const session of [...this.#sessions]) {
      if (session.way !== way) continue;
      session.up.release();
      session.down.release();
      if (!way.isCut && !session.isHeldByServer) session.tellLost(way.down.delayMs());
    }
  }

  /** What comes to a process waits, and with more than `messagesMax` waiting the server ends its connections. */
  readSlowly(processName: string, messagesMax: number): void {
    if (this.#slowReaders.has(processName)) return;
    this.#slowReaders.set(processName, messagesMax);
    this.wayOf(processName).down.cut(READS_SLOWLY);
  }

  readOn(processName: string): void {
    if (!this.#slowReaders.delete(processName)) return;
    const way = this.wayOf(processName);
    this.mend(way, [way.down], READS_SLOWLY);
  }

  sent({ process }: BusSession, { subject, reply, headers, payload }: WireMessage): void {
    if (this.#listeners.length > 0) this.overheard(process, { subject, reply, headers: readHeaders(headers), payload });
  }

  /** What its sender gave to the bus, whatever becomes of it: also what its adapter refused, because there is no connection. */
  overheard(process: SimulatedProcess, message: Omit<SentMessage, "life">): void {
    const life = `${process.name}#${process.life}`;
    for (const listener of this.#listeners) listener({ life, ...message });
  }

  route(session: BusSession, message: WireMessage, atMs: number): void {
    const heard = this.#receivers(session, message.subject, atMs);
    const isRefused = heard.length > 0 && message.reply !== undefined && this.#isRumoured(session, message);
    const receivers = isRefused ? [] : heard;
    for (const subscription of receivers) this.#send(session, subscription, message, atMs);
    if (receivers.length === 0 && message.reply !== undefined) this.#tellUnheard(session, message.reply, atMs);
  }

  know(subscription: WireSubscription): void {
    if (!subscription.session.isHeldByServer) return;
    subscription.session.subscriptions.add(subscription);
    this.#subscriptions.add(subscription.pattern, subscription);
  }

  forget(subscription: WireSubscription): void {
    subscription.session.subscriptions.delete(subscription);
    this.#subscriptions.remove(subscription.pattern, subscription);
  }

  left(session: BusSession): void {
    session.isHeldByServer = false;
    this.#end(session);
  }

  #accept(process: SimulatedProcess, way: BusWay, owner: SessionOwner): BusSession {
    const session = new BusSession(this.world, this, process, way, owner);
    this.#sessions.add(session);
    this.#lives.set(process.name, process);
    process.onDeath((death) => this.#bury(session, death));
    return session;
  }

  /** S3 */
  #bury(session: BusSession, death: Death): void {
    if (death !== "power") return session.leave();
    session.isHeldByProcess = false;
    session.lostFromMs = this.world.nowMs;
    session.up.close();
    session.down.close();
    if (!session.isHeldByServer) this.#sessions.delete(session);
  }

  #receivers(session: BusSession, subject: string, atMs: number): WireSubscription[] {
    const matching = this.#subscriptions.match(subject);
    const receivers: WireSubscription[] = [];
    let groups: Map<string, WireSubscription[]> | undefined;
    for (const subscription of matching) {
      if (subscription.knownMs > atMs || this.barriers.isKnown(session.process.name, subscription.session.process.name)) continue;
      const { queue } = subscription;
      if (queue === undefined) {
        receivers.push(subscription);
        continue;
      }
      groups ??= new Map();
      const members = groups.get(queue);
      if (members === undefined) groups.set(queue, [subscription]);
      else members.push(subscription);
    }
    if (groups !== undefined) for (const [queue, members] of groups) receivers.push(this.#drawn(queue, members));
    return receivers;
  }

  /** S1 */
  #drawn(queue: string, members: readonly WireSubscription[]): WireSubscription {
    if (members.length === 1) return members[0] as WireSubscription;
    let stream = this.#members.get(queue);
    if (stream === undefined) {
      stream = this.world.random.stream("bus", `member of ${queue}`);
      this.#members.set(queue, stream);
    }
    return stream.pick(members);
  }

  #send(from: BusSession, { session, hear }: WireSubscription, message: WireMessage, atMs: number): void {
    if (this.barriers.stops(from.process.name, session.process.name)) return;
    if (!session.process.isAlive) {
      // The machine is there again, and knows nothing of this connection.
      if (this.#lives.get(session.process.name) !== session.process) this.#sever(session, "its process is another now");
      return;
    }
    session.down.carryMessage(atMs, message, () => {
      if (atMs <= from.lostFromMs) hear(message);
    });
    this.#bound(session);
  }

  /** S4 */
  #bound(session: BusSession): void {
    const { process, down } = session;
    const messagesMax = this.#slowReaders.get(process.name);
    if (messagesMax !== undefined && down.count > messagesMax) {
      this.world.counts.add("fault.bus.slow-consumer");
      this.#sever(session, "it reads too slowly");
      this.readOn(process.name);
    } else if (down.bytes > WAITING_BYTES_MAX) this.#sever(session, "too much waits for it");
  }

  #isRumoured({ way }: BusSession, { reply }: WireMessage): boolean {
    return reply !== undefined && way.up.isTroubled && way.up.strikeMs("no-responders") !== undefined;
  }

  /** S2 */
  #tellUnheard(session: BusSession, reply: string, atMs: number): void {
    const message: WireMessage = {
      subject: reply,
      reply: undefined,
      headers: UNHEARD,
      payload: NO_PAYLOAD,
      bytes: reply.length,
      isAnswer: true,
      label: "bus nobody listens",
    };
    for (const { pattern, hear, knownMs } of session.subscriptions)
      if (knownMs <= atMs && subjectMatches(pattern, reply)) session.down.carryMessage(atMs, message, () => hear(message));
  }

  /** The server ends a connection, whatever the process thinks of it. */
  #sever(session: BusSession, why: string): void {
    if (!session.isHeldByServer) return;
    session.isHeldByServer = false;
    session.lostFromMs = this.world.nowMs;
    this.world.note(`bus ends the connection of ${session.process.name}#${session.process.life}: ${why}`);
    session.down.close();
    this.#end(session);
    // Where the word does not come through, the process finds out by its own pings.
    if (session.isHeldByProcess && !session.way.isCut) session.tellLost(session.way.down.delayMs());
  }

  #end(session: BusSession): void {
    for (const subscription of session.subscriptions) this.#subscriptions.remove(subscription.pattern, subscription);
    session.subscriptions.clear();
    session.up.close();
    if (!session.isHeldByProcess) this.#sessions.delete(session);
  }
}

function cutAll(way: BusWay): void {
  way.up.cut(STANDS_STILL);
  way.down.cut(STANDS_STILL);
}

function readHeaders(headers: WireMessage["headers"]): BusHeaders {
  return headers === undefined ? {} : Object.fromEntries(Array.from(headers, ([name, [first]]) => [name, first ?? ""]));
}
