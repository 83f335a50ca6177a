/** One connection of a process to the simulated Redis, with what the cache uses of a driver's. */
import { TroupeError } from "../../../src/core/errors.ts";
import type { RedisLink } from "../../../src/store/redis-cache-scripts.ts";
import type { RandomStream } from "../random-streams.ts";
import type { SimulatedProcess } from "../simulated-process.ts";

/** The server as a connection sees it. */
export interface RedisServer {
  readonly isAway: boolean;
  /** Whether it gives no sign while it is away; otherwise connections are refused. */
  readonly isSilent: boolean;
  readonly clockMs: number;
  /** What is added to each question's way. */
  slownessMs(): number;
  accept(link: SimulatedRedisLink): void;
  forget(link: SimulatedRedisLink): void;
  read(key: string): Buffer;
  keep(key: string, leaseMs: number, lifetimeMs: number, stored: Buffer): number;
  bury(key: string, lifetimeMs: number): void;
}

const QUESTION_MS = { least: 0.1, most: 0.6 };
const NOTICE_MS = 0.2;

export class SimulatedRedisLink implements RedisLink {
  readonly process: SimulatedProcess;
  readonly #server: RedisServer;
  readonly #delays: RandomStream;
  /** Who is told when it ends. */
  readonly #underWay = new Set<(error: Error) => void>();
  #onClose: (() => void) | undefined;
  #status: "wait" | "ready" | "end" = "wait";

  constructor(server: RedisServer, process: SimulatedProcess, delays: RandomStream) {
    this.#server = server;
    this.process = process;
    this.#delays = delays;
  }

  get status(): string {
    return this.#status;
  }

  /** Nothing happens to a simulated connection that nobody asked anything. */
  on(_event: "error", _listener: (error: unknown) => void): void {}

  once(_event: "close", listener: () => void): void {
    this.#onClose = listener;
  }

  async connect(): Promise<void> {
    await this.#ask("connect", () => {
      if (this.#server.isAway) return new TroupeError("UNAVAILABLE", "connect ECONNREFUSED");
      this.#status = "ready";
      this.#server.accept(this);
      return true;
    });
  }

  disconnect(): void {
    this.#status = "end";
    this.#server.forget(this);
    for (const fail of this.#underWay) fail(new Error("Connection is closed."));
    this.#underWay.clear();
  }

  /** The other end is gone. */
  breakOff(): void {
    this.#server.forget(this);
    this.process.later(NOTICE_MS, "cache connection lost", () => {
      if (this.#status === "end") return;
      this.disconnect();
      this.#onClose?.();
    });
  }

  async troupeReadBuffer(key: Buffer): Promise<[seconds: Buffer, microseconds: Buffer, stored: Buffer]> {
    return await this.#ask("read", () => {
      const { clockMs } = this.#server;
      const seconds = Math.floor(clockMs / 1000);
      const microseconds = Math.floor((clockMs - seconds * 1000) * 1000);
      return [Buffer.from(String(seconds)), Buffer.from(String(microseconds)), this.#server.read(key.toString("latin1"))];
    });
  }

  async troupeKeep(key: Buffer, leaseMs: number, lifetimeMs: number, stored: Buffer): Promise<number> {
    return await this.#ask("keep", () => this.#server.keep(key.toString("latin1"), leaseMs, lifetimeMs, stored));
  }

  async set(key: Buffer, _value: string, _unit: "PX", lifetimeMs: number): Promise<unknown> {
    return await this.#ask("bury", () => {
      this.#server.bury(key.toString("latin1"), lifetimeMs);
      return "OK";
    });
  }

  #ask<T>(what: string, work: () => T | Error): Promise<T> {
    if (this.#status === "end") return Promise.reject(new Error("Connection is closed."));
    const delayMs = this.#delays.between(QUESTION_MS.least, QUESTION_MS.most) + this.#server.slownessMs();
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject);
      void this.process
        // Nobody answers: whoever asked has a bound of its own.
        .ask(delayMs, `cache ${what}`, () => (this.#server.isSilent ? undefined : work()))
        .then((answer) => {
          if (answer === undefined) return;
          this.#underWay.delete(reject);
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        });
    });
  }
}
