/**
 * What an actor is, as seen by those who write one: handlers that run as *turns*, one at a time.
 *
 * A turn validates, decides, records and starts effects. Effects run outside the turn: a handler that starts one returns
 * `turn.later(promise)`, which ends the turn at once and answers when the promise settles. What an effect has to change in the
 * actor it brings back through `self.post`, as another turn. So syncs overlap, and a slow effect blocks nobody.
 */
import type { Log } from "../core/log.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Random } from "../core/ports/random.ts";
import type { Principal } from "../core/principal.ts";
import type { SpanBook } from "../core/span-book.ts";
import type { ActorDirectory } from "./actor-directory.ts";
import type { Contract, OutputOf, ReceivedOf, Verb } from "./contract.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";
import type { LifecycleReport } from "./lifecycle.ts";
import type { RequestBooks } from "./request-book.ts";

/** A reply that follows when an effect has ended; made by {@link Turn.later}. */
export class Later<Output> {
  readonly promise: Promise<Output>;
  constructor(promise: Promise<Output>) {
    this.promise = promise;
  }
}

/** One request being handled. */
export interface Turn {
  readonly principal: Principal;
  /** Monotonic time (this process's clock) after which the caller has given up. */
  readonly deadlineMs: number;
  /** Ends the turn now; the answer is what the promise settles to. */
  later<Output>(effect: Promise<Output>): Later<Output>;
}

/** A thrown {@link TroupeError} is a typed answer; anything else thrown is a crash: the caller gets `INTERNAL` and the actor restarts. */
export type Handler<C extends Contract, V extends Verb<C>> = (
  input: ReceivedOf<C, V>,
  turn: Turn,
) => OutputOf<C, V> | Later<OutputOf<C, V>> | Promise<OutputOf<C, V> | Later<OutputOf<C, V>>>;

/** Every request of the contract, or it does not compile. */
export type Handlers<C extends Contract> = { readonly [V in Verb<C>]: Handler<C, V> };

/** An actor in memory, from its start (or restart) to its stop. */
export interface Activation<C extends Contract> {
  readonly handlers: Handlers<C>;
  /** After the last turn: on stop, passivation and before a restart. */
  stop?(reason: StopReason): Promise<void> | void;
}

export type StopReason = "stopped" | "passivated" | "crashed";

/** What an actor knows of its own host. */
export interface Self {
  /** Runs `work` as a turn, ahead of waiting requests: how the result of an effect comes back. A throw in it is a crash. */
  post(name: string, work: () => void | Promise<void>): void;
  /** Aborted when this activation ends: effects stop at their next step. */
  readonly signal: AbortSignal;
}

export interface HostPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where requests are counted, for the micro service of this role; absent, they are not. */
  readonly requestBooks?: RequestBooks | undefined;
  /** Where turns are written down; absent, they are not. */
  readonly spans?: SpanBook | undefined;
  /** Who asks which actors there are looks here. */
  readonly actors?: ActorDirectory | undefined;
}

export interface HostOptions {
  /** Messages that may wait; default `MAILBOX_MESSAGES_MAX`. */
  readonly mailboxMax?: number;
  /** With no message for this long, the activation is stopped; the next message starts another. Default: never. */
  readonly passivateAfterMs?: number;
  /** After more crashes than this within a minute the actor is given up and answers UNAVAILABLE. Default `RESTARTS_MAX_DEFAULT`. */
  readonly restartsMax?: number;
}

/** What {@link host} takes besides the ports. */
export interface HostConfiguration extends HostOptions {
  /** Requests to one member of the queue group are heard only after {@link HostedActor.joinQueue}; those to all are heard at once. */
  readonly joinQueueLater?: boolean;
  /** Deferred replies that may be open; default `DEFERRED_REPLIES_MAX`. */
  readonly deferredMax?: number;
  /** Where unanswered messages are kept; the host's own unless given. */
  readonly deadLetters?: DeadLetters;
}

export interface HostStatistics {
  readonly turns: number;
  readonly crashes: number;
  readonly waiting: number;
  readonly deferred: number;
  /** Of this host alone, also when they are kept together with others'. */
  readonly deadLetters: number;
  /** Where the actor is in its life, and how it came there. */
  readonly lifecycle: LifecycleReport;
}

/** An actor as others see it. */
export interface ActorStatus extends HostStatistics {
  /** Name of the contract. */
  readonly actor: string;
  readonly subject: string;
}

export interface HostedActor {
  readonly statistics: HostStatistics;
  /** Starts answering requests of the queue group; only after {@link HostConfiguration.joinQueueLater}. */
  joinQueue(): void;
  /** The newest unanswered messages, oldest first. */
  deadLetters(): readonly DeadLetter[];
  /**
   * No new requests; resolves when what was accepted has been answered and the activation has stopped. Effects that do not end
   * within a grace are told to by the signal. Not to be awaited inside a turn of the same actor, which it waits for.
   */
  stop(): Promise<void>;
}
