/**
 * How a node stays known to the trackers: it joins, then sends a heartbeat. Every tracker hears both. Any OK is success; any "unknown
 * node" makes it join; no answer at all is tried again at the next heartbeat.
 *
 * N1: how many trackers there are is not known, so the first answer to a join is enough to go on, and heartbeats take their answers for
 *     a part of the time between two. A join is followed up soon, for the trackers that were not quick enough.
 * N2: a disk that is slow to tell its space delays no heartbeat: what it told last is said again.
 * N3: a node takes its name before it does anything in it, and does not start while a live one has it. One that finds later, twice in a
 *     row, that the name is another's gives it up: of two that run on copies of one directory, the one that started first.
 * N4: that no tracker is reached is logged when it begins or has another reason, not at each heartbeat; and that one is reached again.
 */
import type { Answer, Client } from "../../bus/client.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import { HEARTBEAT_ANSWERS_PERCENT } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { NodeAnnouncement, tracker } from "../tracker/contract.ts";

export interface MembershipOptions {
  readonly heartbeatMs: number;
  /** What the node says of itself at this moment. */
  announce(): Promise<NodeAnnouncement>;
  /** A heartbeat was answered well by no tracker. */
  missed(): void;
  /** The name is another's (N3). */
  nameLost(refusal: TroupeError): void;
}

type Trackers = Pick<Client<typeof tracker>, "join" | "heartbeat" | "leave">;

export class Membership {
  readonly #trackers: Trackers;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: MembershipOptions;
  readonly #answersMs: number;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #beating: Promise<unknown> | undefined;
  /** What was said last (N2), and the next of it on its way. */
  #latest: NodeAnnouncement | undefined;
  #asking: Promise<void> | undefined;
  #isKnown = false;
  #refusedCount = 0;
  /** Why no tracker was reached, as it was last logged (N4). */
  #trouble: string | undefined;

  constructor(trackers: Trackers, clock: Clock, log: Log, options: MembershipOptions) {
    this.#trackers = trackers;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
    this.#answersMs = Math.ceil((options.heartbeatMs * HEARTBEAT_ANSWERS_PERCENT) / 100);
  }

  /** By a tracker, when it was told last. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /**
   * Takes the name; nothing is placed here yet.
   * @returns whether a tracker gave it; where none answers, nobody is known to have it
   * @throws {TroupeError} `FORBIDDEN` when a live node has this one's name (N3)
   */
  async takeName(): Promise<boolean> {
    const node = await this.#announcement();
    const refusal = await this.#join({ ...node, closedToUploads: true }, true);
    if (refusal !== undefined) throw refusal;
    const hasName = this.#isKnown;
    // It joins once more when uploads may come.
    this.#isKnown = false;
    return hasName;
  }

  /**
   * Resolves after the first attempt to join, whether a tracker answered or not.
   * @throws {TroupeError} `FORBIDDEN` when a live node has this one's name (N3)
   */
  async start(): Promise<void> {
    const startedMs = this.#clock.nowMs();
    const refusal = await this.#beat(true);
    if (refusal !== undefined) throw refusal;
    this.#schedule(startedMs, this.#answersMs);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#beating;
    if (this.#latest === undefined) return;
    const { nodeId, startedMs } = this.#latest;
    try {
      await this.#trackers.leave({ nodeId, startedMs }, { timeoutMs: Math.min(1_000, this.#options.heartbeatMs), answersMax: 1 });
    } catch (error) {
      // No tracker that hears it is fine: silence tells them as well.
      this.#log.info({ err: error }, "No tracker was told that this node leaves.");
    }
  }

  /** @param sinceMs when the last beat began: what it took is part of the interval */
  #schedule(sinceMs: number, intervalMs: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#clock.setTimer(Math.max(0, sinceMs + intervalMs - this.#clock.nowMs()), () => {
      const startedMs = this.#clock.nowMs();
      const wasKnown = this.#isKnown;
      this.#beating = this.#beat(false).then((refusal) => {
        if (!this.#isKnown && !this.#stopping.signal.aborted) this.#options.missed();
        this.#count(refusal);
        this.#schedule(startedMs, this.#isKnown && !wasKnown ? this.#answersMs : this.#options.heartbeatMs);
      });
    });
  }

  /** N3 */
  #count(refusal: TroupeError | undefined): void {
    this.#refusedCount = refusal === undefined ? 0 : this.#refusedCount + 1;
    if (refusal !== undefined && this.#refusedCount === REFUSALS_MAX) this.#options.nameLost(refusal);
  }

  /** @returns why the name is refused, if it is. Never rejects. */
  async #beat(isFirst: boolean): Promise<TroupeError | undefined> {
    try {
      const node = await this.#announcement();
      const { nodeId, startedMs, freeBytes, closedToUploads } = node;
      const heartbeat = { nodeId, startedMs, freeBytes, closedToUploads };
      const options = { timeoutMs: this.#answersMs, signal: this.#stopping.signal };
      if (this.#isKnown) {
        const answers = await this.#trackers.heartbeat(heartbeat, options);
        this.#isKnown = !answers.some(saysUnknown) && answers.some((answer) => answer.ok);
        if (this.#isKnown) return this.#reached();
      }
      const refusal = await this.#join(node, isFirst);
      // A node is placed from its first heartbeat on: it follows at once.
      if (this.#isKnown) {
        await this.#trackers.heartbeat(heartbeat, { ...options, answersMax: 1 });
        this.#reached();
      }
      return refusal;
    } catch (error) {
      this.#isKnown = false;
      if (!this.#stopping.signal.aborted)
        this.#inTrouble(toTroupeError(error).code, { err: error }, "The heartbeat did not reach a tracker; it is tried again.");
      return undefined;
    }
  }

  /** N4 */
  #inTrouble(reason: string, facts: Readonly<Record<string, unknown>>, sentence: string): void {
    if (this.#trouble !== reason) this.#log.warn(facts, sentence);
    this.#trouble = reason;
  }

  /** N4 */
  #reached(): undefined {
    if (this.#trouble !== undefined) this.#log.info({}, "A tracker hears this node again.");
    this.#trouble = undefined;
  }

  async #join(node: NodeAnnouncement, isFirst: boolean): Promise<TroupeError | undefined> {
    const options = { timeoutMs: Math.ceil(this.#options.heartbeatMs / 2), signal: this.#stopping.signal };
    let answers = await this.#trackers.join(node, { ...options, answersMax: 1 });
    // One tracker refuses: what the others say has to be heard as well.
    if (nameRefusal(answers) !== undefined) answers = await this.#trackers.join(node, options);
    this.#isKnown = answers.some((answer) => answer.ok);
    const refusal = nameRefusal(answers);
    if (refusal !== undefined && !(isFirst && !this.#isKnown))
      this.#log.error(
        { err: refusal, nodeId: node.nodeId },
        "A tracker knows another live node of this name. Two nodes have one name, or a data directory was copied: stop one of them.",
      );
    else if (!this.#isKnown)
      this.#inTrouble(
        "not taken in",
        { answers: answers.length },
        "No tracker has taken this node in yet; it tries again at the next heartbeat.",
      );
    return this.#isKnown ? undefined : refusal;
  }

  /** N2. @throws when nothing is known yet and cannot be learnt */
  async #announcement(): Promise<NodeAnnouncement> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    await this.#settled(this.#asking, this.#latest === undefined ? undefined : this.#answersMs);
    if (this.#latest === undefined) throw new TroupeError("DISK_FAILED", "The disk has not told its space yet.");
    return this.#latest;
  }

  async #ask(): Promise<void> {
    try {
      this.#latest = await this.#options.announce();
    } catch (error) {
      this.#log.warn({ err: error }, "The disk does not tell its space; the node takes no uploads until it does.");
      if (this.#latest !== undefined) this.#latest = { ...this.#latest, closedToUploads: true };
    }
  }

  /** Until the promise has settled, the time is over, or the node stops. */
  #settled(promise: Promise<void>, timeMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const end = (): void => {
        timer?.cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = timeMs === undefined ? undefined : this.#clock.setTimer(timeMs, end);
      signal.addEventListener("abort", end, { once: true });
      promise.then(end, end);
    });
  }
}

const REFUSALS_MAX = 2;

const saysUnknown = (answer: Answer<unknown>): boolean => !answer.ok && answer.error.code === "NODE_NOT_FOUND";

/** N3: what a tracker answers a node whose name a live one has. */
function nameRefusal(answers: readonly Answer<unknown>[]): TroupeError | undefined {
  for (const answer of answers) if (!answer.ok && answer.error.code === "FORBIDDEN") return answer.error;
  return undefined;
}
