/**
 * How a node stays known to the trackers: it joins, then sends a heartbeat. Every tracker hears both. Any OK is success; any "unknown
 * node" makes it join; no answer at all is tried again at the next heartbeat.
 */
import type { Answer, Client } from "../../bus/client.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { NodeAnnouncement, tracker } from "../tracker/contract.ts";

export interface MembershipOptions {
  readonly heartbeatMs: number;
  /** What the node says of itself at this moment. */
  announce(): Promise<NodeAnnouncement>;
}

export class Membership {
  readonly #tracker: Client<typeof tracker>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: MembershipOptions;
  #timer: Timer | undefined;
  #beating: Promise<void> | undefined;
  readonly #stopping = new AbortController();
  #isKnown = false;

  constructor(client: Client<typeof tracker>, clock: Clock, log: Log, options: MembershipOptions) {
    this.#tracker = client;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
  }

  /** Resolves after the first attempt to join, whether a tracker answered or not. */
  async start(): Promise<void> {
    await this.#beat();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#beating;
    const { nodeId } = await this.#options.announce();
    // No tracker that hears it is fine: silence tells them as well.
    await this.#tracker.leave({ nodeId }, { timeoutMs: Math.min(1_000, this.#options.heartbeatMs), answersMax: 1 });
  }

  #schedule(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#clock.setTimer(this.#options.heartbeatMs, () => {
      this.#beating = this.#beat().finally(() => this.#schedule());
    });
  }

  async #beat(): Promise<void> {
    try {
      const node = await this.#options.announce();
      const { nodeId, freeBytes, closedToUploads } = node;
      const heartbeat = { nodeId, freeBytes, closedToUploads };
      const options = { timeoutMs: Math.ceil(this.#options.heartbeatMs / 2), signal: this.#stopping.signal };
      if (this.#isKnown) {
        const answers = await this.#tracker.heartbeat(heartbeat, options);
        this.#isKnown = !answers.some(saysUnknown) && answers.some((answer) => answer.ok);
        if (this.#isKnown) return;
      }
      // All of them hear it; one that has taken the node in is enough to go on.
      const answers = await this.#tracker.join(node, { ...options, answersMax: 1 });
      this.#isKnown = answers.some((answer) => answer.ok);
      if (!this.#isKnown)
        this.#log.warn({ answers: answers.length }, "No tracker has taken this node in yet; it tries again at the next heartbeat.");
      // A node is placed from its first heartbeat on: it follows at once.
      else await this.#tracker.heartbeat(heartbeat, { ...options, answersMax: 1 });
    } catch (error) {
      this.#isKnown = false;
      if (this.#stopping.signal.aborted) return;
      this.#log.warn({ err: error }, "The heartbeat did not reach a tracker; it is tried again.");
    }
  }
}

const saysUnknown = (answer: Answer<unknown>): boolean => !answer.ok && answer.error.code === "NODE_NOT_FOUND";
