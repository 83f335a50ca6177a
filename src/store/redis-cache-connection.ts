/**
 * One connection to a Redis that may be away, slow, full or not let us in, for those who can do without it.
 *
 * K1: only a connection that has just shown that it can be read and written is asked. There is none else to wait for: a question either
 *     goes out at once or is not asked.
 * K2: a question that is not answered in time, or not well, takes the connection out of use, and every question on it ends. So a Redis
 *     that stands still costs one bound, not one for each question; and it is tried again in the background, for ever, with pauses.
 * K3: one line when it goes, with what to do, and one when it is back. No line and no error holds a password: the driver's errors hold
 *     the commands they are about, so only their words are taken.
 */
import { TroupeError } from "../core/errors.ts";
import { CACHE_CONNECT_MS_MAX, CACHE_PAUSE_MAX_MS, CACHE_PAUSE_MIN_MS, CACHE_QUESTIONS_MAX, CACHE_STEADY_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import type { RedisLink } from "./redis-cache-scripts.ts";

export interface RedisConnectionOptions {
  /** `redis://[user:password@]host[:port][/n]`, `rediss://` for TLS */
  readonly url: string;
  /** A connection that is not made yet. */
  readonly open: (url: string) => RedisLink;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a question may take. */
  readonly answerMsMax: number;
  /** Asks what is needed later: whoever cannot answer it is of no use. */
  readonly probe: (redis: RedisLink) => Promise<void>;
}

export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #address: string;
  /** K1: there is one only while it is of use. */
  #usable: RedisLink | undefined;
  /** The one that is being tried, so that closing ends it too. */
  #tried: RedisLink | undefined;
  #usableSinceMs = 0;
  #failureCount = 0;
  #isMissed = false;
  #questionCount = 0;
  #timer: Timer | undefined;
  #closed = false;

  /** @throws {TroupeError} `SETTING_INVALID` for an address that is none */
  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#address = addressOf(options.url);
  }

  /** Resolves when the first attempt has ended, either way. */
  start(): Promise<void> {
    return this.#attempt();
  }

  /** `undefined`: there was nobody to ask, or no answer. */
  async ask<T extends object>(question: (redis: RedisLink) => Promise<T>): Promise<T | undefined> {
    const redis = this.#usable;
    if (redis === undefined || this.#questionCount >= CACHE_QUESTIONS_MAX) return undefined;
    this.#questionCount += 1;
    try {
      return await this.#answer(question(redis));
    } catch (error) {
      this.#lose(redis, wordsOf(error));
      return undefined;
    } finally {
      this.#questionCount -= 1;
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#usable?.disconnect();
    this.#tried?.disconnect();
    this.#usable = undefined;
  }

  async #attempt(): Promise<void> {
    const { url, open, clock, probe } = this.#options;
    const redis = open(url);
    this.#tried = redis;
    // What `connect` rejects with says only that it did not come about.
    let why: string | undefined;
    redis.on("error", (error: unknown) => {
      why ??= wordsOf(error);
    });
    redis.once("close", () => this.#lose(redis, "the connection was closed"));
    try {
      await within(clock, CACHE_CONNECT_MS_MAX, `it did not let us in within ${CACHE_CONNECT_MS_MAX} ms`, redis.connect());
      await this.#answer(probe(redis));
      if (redis.status !== "ready") throw new Error("the connection was closed");
    } catch (error) {
      redis.disconnect();
      this.#fail(why ?? wordsOf(error));
      return;
    } finally {
      this.#tried = undefined;
    }
    if (this.#closed) return redis.disconnect();
    this.#usable = redis;
    this.#usableSinceMs = clock.nowMs();
    if (this.#isMissed) this.#options.log.info({ redis: this.#address }, "Redis is back and used again.");
    this.#isMissed = false;
  }

  #answer<T>(answer: Promise<T>): Promise<T> {
    const { clock, answerMsMax } = this.#options;
    return within(clock, answerMsMax, `it did not answer within ${answerMsMax} ms`, answer);
  }

  /** K2 */
  #lose(redis: RedisLink, why: string): void {
    if (this.#usable !== redis) return;
    this.#usable = undefined;
    redis.disconnect();
    if (this.#options.clock.nowMs() - this.#usableSinceMs >= CACHE_STEADY_MS) this.#failureCount = 0;
    this.#fail(why);
  }

  #fail(why: string): void {
    if (this.#closed) return;
    if (!this.#isMissed) {
      const sentence = `Redis at ${this.#address} cannot be used: ${why}. Nothing is lost: lookups go to the database until it can; it is tried again on and on.`;
      this.#options.log.warn({ redis: this.#address }, sentence);
    }
    this.#isMissed = true;
    const delayMs = Math.min(CACHE_PAUSE_MAX_MS, CACHE_PAUSE_MIN_MS * 2 ** Math.min(this.#failureCount, 16));
    this.#failureCount += 1;
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#attempt());
  }
}

/** @throws {Error} with `sentence` when it takes longer */
function within<T>(clock: Clock, durationMs: number, sentence: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new Error(sentence));
    // One look more at what has arrived: it may be this process that stood still.
    let timer = clock.setTimer(durationMs, () => {
      timer = clock.setTimer(1, giveUp);
    });
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^(WRONGPASS|NOAUTH|ERR invalid password|NOPERM)/.test(words))
    return `it refuses us (${words}); the password belongs into its address, as in redis://:password@host:6379`;
  if (/^OOM/.test(words)) return `it is full (${words}); with 'maxmemory-policy allkeys-lru' it makes room by itself`;
  if (/^READONLY/.test(words)) return "it is a replica and takes no writes; the address of its primary is needed";
  if (/^(MOVED|CROSSSLOT|CLUSTERDOWN)/.test(words)) return "it is a member of a Redis Cluster; a Redis that holds all keys is needed";
  if (code === "ECONNREFUSED") return `nobody listens there (${code}); is it running, and is the address right`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `no machine of that name is known (${code})`;
  return words;
}

/** `host:6379`, for people to read. */
function addressOf(text: string): string {
  const url = URL.parse(text);
  const isUsable =
    url !== null && ["redis:", "rediss:"].includes(url.protocol) && url.hostname !== "" && /^(\/\d{0,4})?$/.test(url.pathname);
  // The text may hold a password, so it is not repeated.
  if (!isUsable)
    throw new TroupeError("SETTING_INVALID", "The address of Redis looks like redis://:password@host:6379 or redis://host:6379/1.");
  return `${url.hostname}:${url.port === "" ? "6379" : url.port}`;
}
