/** Worlds for tests of the network. */
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { HttpHandler } from "../../../src/core/ports/http-exchange.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

/** Processes that serve and ask, in a world whose time goes on only when it is told to. */
export class NetworkStage {
  readonly world: World;
  readonly network: SimulatedNetwork;
  /** Of the trace. */
  readonly lines: string[] = [];
  readonly #lives = new Map<string, number>();

  constructor(seed = 1) {
    this.world = new World(seed, (line) => this.lines.push(line));
    this.network = new SimulatedNetwork(this.world);
  }

  process(name: string): SimulatedProcess {
    const life = (this.#lives.get(name) ?? 0) + 1;
    this.#lives.set(name, life);
    return new SimulatedProcess(this.world, name, life);
  }

  /** The next life of a process, which listens on {@link PORT}. */
  async serve(name: string, handler: HttpHandler): Promise<SimulatedProcess> {
    const process = this.process(name);
    const listening = this.network.server(process, { log: SILENT_LOG }).listen({ host: name, port: PORT }, handler);
    await this.pass(1);
    await listening;
    return process;
  }

  async pass(forMs: number): Promise<void> {
    await this.world.scheduler.runUntil(this.world.nowMs + forMs);
  }

  /** What comes of it, and when. */
  watch<T>(promise: Promise<T>): Watched<T> {
    const watched: Watched<T> = {};
    promise.then(
      (value) => Object.assign(watched, { value, atMs: this.world.nowMs }),
      (error: unknown) => Object.assign(watched, { error, atMs: this.world.nowMs }),
    );
    return watched;
  }
}

/** Empty until it is settled. */
export interface Watched<T> {
  readonly value?: T;
  readonly error?: unknown;
  readonly atMs?: number;
}

export const PORT = 8080;
