/**
 * One subscription, as every adapter of the Bus port has it: a bounded queue and a handler that gets one message at a time, in order,
 * never inside `publish`.
 */
import { BUS_PENDING_MESSAGES_MAX } from "../core/limits.ts";
import type { BusHandler, BusMessage, SubscribeOptions, Subscription } from "../core/ports/bus.ts";
import { Fifo } from "./fifo.ts";

/** What messages are delivered to. */
export interface Receiver {
  readonly queue: string | undefined;
  deliver(message: BusMessage): void;
}

export interface SubscriptionHooks {
  /** The subscription hears nothing new from now on; may be called again. */
  readonly onClosed: (subscription: BoundedSubscription) => void;
  /** Nobody sends it anything new from now on; resolves when what was on its way has been delivered. */
  readonly onDraining: (subscription: BoundedSubscription) => Promise<void> | void;
  readonly onError: (error: unknown, subject: string) => void;
  /** A pause, when deliveries have kept the process to themselves for too long. */
  readonly breathe: () => Promise<void> | undefined;
}

export class BoundedSubscription implements Subscription, Receiver {
  readonly subject: string;
  readonly queue: string | undefined;
  readonly #handler: BusHandler;
  readonly #hooks: SubscriptionHooks;
  readonly #pending: Fifo<BusMessage>;
  #dropped = 0;
  #isRunning = false;
  #idle = Promise.withResolvers<void>();

  constructor(subject: string, handler: BusHandler, options: SubscribeOptions, hooks: SubscriptionHooks) {
    this.subject = subject;
    this.queue = options.queue;
    this.#handler = handler;
    this.#hooks = hooks;
    this.#pending = new Fifo(options.pendingMax ?? BUS_PENDING_MESSAGES_MAX);
  }

  get dropped(): number {
    return this.#dropped;
  }

  deliver(message: BusMessage): void {
    if (!this.#pending.push(message)) {
      this.#dropped += 1;
      return;
    }
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#idle = Promise.withResolvers();
    queueMicrotask(() => void this.#run());
  }

  unsubscribe(): void {
    this.#hooks.onClosed(this);
    this.#pending.clear();
  }

  async drain(): Promise<void> {
    await this.#hooks.onDraining(this);
    if (this.#isRunning) await this.#idle.promise;
  }

  async #run(): Promise<void> {
    for (;;) {
      const pause = this.#hooks.breathe();
      if (pause !== undefined) await pause;
      const message = this.#pending.shift();
      if (message === undefined) break;
      try {
        const handled = this.#handler(message);
        if (handled !== undefined) await handled;
      } catch (error) {
        this.#hooks.onError(error, message.subject);
      }
    }
    this.#isRunning = false;
    this.#idle.resolve();
  }
}
