/**
 * The life of one actor: started, crashed and started again after a growing pause, passivated, stopped.
 *
 * P1: at most one activation lives at a time, and a signal of an activation is aborted before its `stop` runs.
 * P2: what an ended activation still posts is not run on its successor.
 * P3: an actor that crashes again and again is given up instead of spinning.
 * P4: where it stands is where its statechart says (`lifecycle.ts`); what still ends once it is being stopped changes nothing there.
 */
import { TroupeError } from "../core/errors.ts";
import { RESTART_BACKOFF_MAX_MS, RESTART_BACKOFF_MIN_MS, RESTART_WINDOW_MS, RESTARTS_MAX_DEFAULT } from "../core/limits.ts";
import { sleep } from "../core/ports/clock.ts";
import { pauseMs } from "../core/retry.ts";
import { Standing } from "../core/standing.ts";
import type { Activation, HostPorts, Self, StopReason } from "./actor.ts";
import type { Contract } from "./contract.ts";
import { LIFECYCLE, type LifecycleEvent, type LifecycleReport, type LifecycleState } from "./lifecycle.ts";

export type Start<C extends Contract> = (self: Self) => Promise<Activation<C>>;
/** Brings work of activation `generation` into the mailbox. */
export type Post = (generation: number, name: string, work: () => void | Promise<void>) => void;

const BACKOFF = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: RESTART_BACKOFF_MIN_MS, pauseMaxMs: RESTART_BACKOFF_MAX_MS };

export class Supervisor<C extends Contract> {
  readonly #ports: HostPorts;
  readonly #start: Start<C>;
  readonly #post: Post;
  readonly #restartsMax: number;
  readonly #stopping = new AbortController();
  #live: { readonly activation: Activation<C>; readonly controller: AbortController } | undefined;
  #generation = 0;
  #crashes = 0;
  #recentCrashesMs: number[] = [];
  readonly #standing: Standing<LifecycleState, LifecycleEvent>;

  constructor(ports: HostPorts, start: Start<C>, post: Post, restartsMax = RESTARTS_MAX_DEFAULT) {
    this.#ports = ports;
    this.#start = start;
    this.#post = post;
    this.#restartsMax = restartsMax;
    this.#standing = new Standing(LIFECYCLE, ports.clock.nowMs());
  }

  get crashes(): number {
    return this.#crashes;
  }

  get isGivenUp(): boolean {
    return this.#standing.state === "givenUp";
  }

  get isLive(): boolean {
    return this.#standing.state === "live";
  }

  get lifecycle(): LifecycleReport {
    return this.#standing.report();
  }

  /** Of the activation that lives or starts; P2. */
  get generation(): number {
    return this.#generation;
  }

  /** @throws what the actor's start throws */
  async start(): Promise<Activation<C>> {
    this.#step("start.begun");
    this.#generation += 1;
    const generation = this.#generation;
    const controller = new AbortController();
    try {
      const activation = await this.#start({ signal: controller.signal, post: (name, work) => this.#post(generation, name, work) });
      if (this.#isStopping) {
        await activation.stop?.("stopped");
        throw new TroupeError("STOPPING");
      }
      this.#step("start.succeeded");
      this.#live = { activation, controller };
      return activation;
    } catch (error) {
      if (!this.#isStopping) this.#step("start.failed");
      // What a start that failed has begun must not go on beside the next one.
      this.#generation += 1;
      controller.abort(new TroupeError("UNAVAILABLE", "The actor could not be started."));
      throw error;
    }
  }

  /** The living activation, started if need be until that works; `undefined` when the actor was given up or is stopping. */
  async revive(): Promise<Activation<C> | undefined> {
    for (let attempt = this.#recentCrashes() + 1; this.#live === undefined; attempt += 1) {
      if (this.isGivenUp || this.#isStopping || (attempt > 1 && !(await this.#pause(attempt)))) return undefined;
      try {
        await this.start();
      } catch (error) {
        if (this.#isStopping) return undefined;
        this.#ports.log.error({ err: error, attempt }, "The actor could not be started again; another attempt follows.");
      }
    }
    return this.#live.activation;
  }

  async crash(error: unknown, during: string): Promise<void> {
    this.#crashes += 1;
    this.#recentCrashesMs.push(this.#ports.clock.nowMs());
    this.#ports.log.error({ err: error, during, crashes: this.#crashes }, "The actor crashed and is started again from what it recorded.");
    await this.end("crashed");
    if (this.#isStopping || this.#recentCrashes() <= this.#restartsMax) return;
    this.#step("restarts.exhausted");
    this.#ports.log.error(
      { err: error, during },
      `The actor crashed more than ${this.#restartsMax} times within a minute and is given up: it answers UNAVAILABLE until it is stopped.`,
    );
  }

  /** Ends the living activation, if there is one. A failure of its `stop` is logged: there is nobody left to handle it. */
  async end(reason: StopReason): Promise<void> {
    const live = this.#live;
    if (live === undefined) return;
    this.#live = undefined;
    if (reason !== "stopped") this.#step(`activation.${reason}`);
    this.#generation += 1;
    this.tellEffects(live.controller, reason);
    try {
      await live.activation.stop?.(reason);
    } catch (error) {
      this.#ports.log.error({ err: error, reason }, "The actor's stop failed.");
    }
  }

  /** No pause before a restart from now on: `revive` gives up instead. */
  giveUpRestarts(): void {
    this.#stopping.abort();
  }

  /** Ends the actor for good. */
  async close(): Promise<void> {
    this.#step("stop.requested");
    this.giveUpRestarts();
    await this.end("stopped");
    this.#step("stop.ended");
  }

  /** Aborts the signal of the living activation (P1), which goes on handling posted results until {@link end}. */
  tellEffects(controller = this.#live?.controller, reason: StopReason = "stopped"): void {
    if (controller?.signal.aborted === false)
      controller.abort(new TroupeError(reason === "stopped" ? "STOPPING" : "UNAVAILABLE", `The actor has ${reason}.`));
  }

  /** Of a stop that has begun, or is over. */
  get #isStopping(): boolean {
    return this.#standing.state === "stopping" || this.#standing.state === "stopped";
  }

  #step(event: LifecycleEvent): void {
    this.#standing.mustStep(event, this.#ports.clock.nowMs());
  }

  async #pause(attempt: number): Promise<boolean> {
    this.#step("pause.begun");
    try {
      await sleep(this.#ports.clock, pauseMs(BACKOFF, attempt, this.#ports.random), this.#stopping.signal);
      return !this.#isStopping;
    } catch {
      // Only the signal ends a pause early.
      if (!this.#isStopping) this.#step("pause.abandoned");
      return false;
    }
  }

  #recentCrashes(): number {
    const sinceMs = this.#ports.clock.nowMs() - RESTART_WINDOW_MS;
    this.#recentCrashesMs = this.#recentCrashesMs.filter((atMs) => atMs > sinceMs);
    return this.#recentCrashesMs.length;
  }
}
