/**
 * The network of the world: which machine each process is on, what listens there, and the lines between them. Every process has a machine
 * of its own, called as the process is, whose address outlives it.
 *
 * N1: where a process was killed or has ended, its machine refuses connections; where the power is off, nobody answers at all.
 * N2: the next life of a process listens where the last one did, and knows nothing of its connections.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../../../src/core/errors.ts";
import type { HttpClient, HttpServer } from "../../../src/core/ports/http-exchange.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import { Connection } from "./connection.ts";
import { type Hindrance, Line } from "./line.ts";
import { type Dialled, type SimulatedClientOptions, SimulatedHttpClient } from "./simulated-http-client.ts";
import { type Listening, SimulatedHttpServer, type SimulatedServerOptions } from "./simulated-http-server.ts";

/** What a process has to do with others at this moment. */
export interface NetworkProbe {
  /** Exchanges it asked for whose answer it has not read. */
  readonly askedCount: number;
  /** Requests it is answering. */
  readonly answeringCount: number;
  /** Connections, kept ones included. */
  readonly connectionCount: number;
}

/** From one process to another, by their names. */
export type Way = readonly [from: string, to: string];

const PORTS_PICKED_FROM = 40_000;

export class SimulatedNetwork {
  readonly #world: World;
  readonly #machines = new Map<string, Machine>();
  readonly #lines = new Map<string, Line>();
  /** By whose doing it was. */
  readonly #takeBack = new Map<object, () => void>();

  constructor(world: World) {
    this.#world = world;
  }

  server(process: SimulatedProcess, options: SimulatedServerOptions = {}): HttpServer {
    return new SimulatedHttpServer(process, this.#inhabit(process), options);
  }

  client(process: SimulatedProcess, options: SimulatedClientOptions = {}): HttpClient {
    const machine = this.#inhabit(process);
    const client = new SimulatedHttpClient(process, (host, port, patienceMs) => this.#dial(process, host, port, patienceMs), options);
    machine.clients.push(client);
    return client;
  }

  /** From now on, until {@link unhinder}. @param by whose doing it is */
  hinder(by: object, hindrance: Hindrance, ways: readonly Way[]): void {
    const lines = ways.map(([from, to]) => this.#line(from, to));
    for (const line of lines) line.hinder(hindrance);
    this.#takeBack.set(by, () => {
      for (const line of lines) line.unhinder(hindrance);
    });
  }

  /** New connections to it are refused, until {@link unhinder}. */
  refuse(by: object, server: string): void {
    const { refusals } = this.#machine(server);
    refusals.add(by);
    this.#takeBack.set(by, () => refusals.delete(by));
  }

  unhinder(by: object): void {
    const takeBack = this.#takeBack.get(by);
    this.#takeBack.delete(by);
    takeBack?.();
  }

  /** Breaks what connections there are from one to the other, kept ones too. */
  reset(client: string, server: string): void {
    for (const connection of [...(this.#machines.get(client)?.connections ?? [])]) {
      if (connection.place("client").process.name !== client || connection.place("server").process.name !== server) continue;
      this.#world.counts.add("fault.network.reset");
      connection.sever();
    }
  }

  probe(name: string): NetworkProbe {
    const machine = this.#machine(name);
    return {
      askedCount: machine.clients.reduce((sum, client) => sum + client.openCount, 0),
      answeringCount: [...machine.listeners.values()].reduce((sum, { answeringCount }) => sum + answeringCount, 0),
      connectionCount: machine.connections.size,
    };
  }

  #dial(process: SimulatedProcess, host: string, port: number, patienceMs: number): Dialled {
    const forth = this.#line(process.name, host);
    const back = this.#line(host, process.name);
    const forthMs = forth.latencyMs();
    const backMs = back.latencyMs();
    const server = this.#machines.get(host);
    if (server === undefined) return { kind: "refused", afterMs: forthMs + backMs, code: "ENOTFOUND" };
    if (forth.isDeafNow() || back.isDeafNow() || !server.isUp || forthMs + backMs > patienceMs) return { kind: "silence" };
    const listening = server.listeners.get(port);
    if (server.refusals.size > 0) this.#world.counts.add("fault.network.refuse");
    if (listening === undefined || server.refusals.size > 0) return { kind: "refused", afterMs: forthMs + backMs, code: "ECONNREFUSED" };
    const client = this.#machine(process.name);
    const connection: Connection = new Connection(
      {
        onOver: () => {
          for (const machine of [client, server]) {
            machine.connections.delete(connection);
            machine.ghosts.delete(connection);
          }
        },
        isUp: (side) => (side === "client" ? client : server).isUp,
      },
      { process, line: forth },
      { process: server.process, line: back },
      forthMs,
      backMs,
    );
    client.connections.add(connection);
    server.connections.add(connection);
    listening.accept(connection, client.address);
    return { kind: "accepted", connection };
  }

  #machine(name: string): Machine {
    let machine = this.#machines.get(name);
    if (machine === undefined) {
      machine = new Machine(this.#machines.size + 1);
      this.#machines.set(name, machine);
    }
    return machine;
  }

  /** @returns the machine of a process, of which this may be a new life (N2) */
  #inhabit(process: SimulatedProcess): Machine {
    const machine = this.#machine(process.name);
    machine.inhabit(process);
    return machine;
  }

  #line(from: string, to: string): Line {
    const key = `${from}>${to}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = new Line(this.#world, from, to);
      this.#lines.set(key, line);
    }
    return line;
  }
}

class Machine {
  readonly address: string;
  readonly listeners = new Map<number, Listening>();
  readonly connections = new Set<Connection>();
  /** Of former lives that ended without a word; others still believe in them. */
  readonly ghosts = new Set<Connection>();
  readonly refusals = new Set<object>();
  clients: SimulatedHttpClient[] = [];
  isUp = true;
  #process: SimulatedProcess | undefined;
  #pickedCount = 0;

  constructor(index: number) {
    this.address = `10.0.${index >> 8}.${index & 255}`;
  }

  /** Whose machine this is now. */
  get process(): SimulatedProcess {
    assert(this.#process !== undefined, "somebody has this machine");
    return this.#process;
  }

  inhabit(process: SimulatedProcess): void {
    if (this.#process === process) return;
    assert(this.#process?.isAlive !== true, `${process.name} has one life at a time`);
    this.#process = process;
    this.#pickedCount = 0;
    this.isUp = true;
    for (const ghost of [...this.ghosts]) ghost.onRevived();
    process.onDeath((death) => {
      // N1
      if (death === "power") this.isUp = false;
      this.listeners.clear();
      this.clients = [];
      for (const connection of [...this.connections]) {
        if (death === "power") this.ghosts.add(connection);
        for (const side of ["client", "server"] as const) if (connection.place(side).process === process) connection.die(side, death);
      }
      this.connections.clear();
    });
  }

  open(port: number, listening: Listening): number {
    const opened = port === 0 ? PORTS_PICKED_FROM + this.#pickedCount++ : port;
    if (this.listeners.has(opened))
      throw new TroupeError("SETTING_INVALID", `Another program listens on ${this.process.name}:${opened} already.`);
    this.listeners.set(opened, listening);
    return opened;
  }

  close(port: number): void {
    this.listeners.delete(port);
  }
}
