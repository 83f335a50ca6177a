/**
 * `--nats local`: a nats-server beside a process that plays every role, so that the NATS CLI and the rest of the world can look in. It has the
 * users and permissions of a cluster, with passwords made at the first start.
 *
 * L1: it ends with the process. One that a killed process has left is found at the next start and ended.
 * L2: while the process lives it has its bus: a server that ends is started again at the same address, and the log says so each time.
 */
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/log.ts";
import { openState } from "./cluster/cluster-state.ts";
import { startBus } from "./cluster/engines.ts";
import { type AppUser, NATS_USERS } from "./cluster/nats-users.ts";
import { ProcessRecord } from "./cluster/process-record.ts";
import type { NatsServer } from "./engines/nats-server.ts";

/** The port everybody expects; any other when it is taken. */
const PORT = 4222;
/** One that ends at once is not started again without a rest. */
const RESTART_EVERY_MS = 1_000;
/** Whose address stands in a file of its own, for whoever wants to look in. */
const ADDRESSED = ["observer", "client"] as const;

export class LocalNats {
  readonly #directory: string;
  readonly #record: ProcessRecord;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #address: ((user: AppUser) => string) | undefined;
  #kept: Promise<void> | undefined;

  private constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#record = new ProcessRecord(directory);
    this.#log = log;
  }

  /** Nothing is started yet. */
  static async in(dataDirectory: string, log: Log): Promise<LocalNats> {
    const directory = join(dataDirectory, "nats");
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new LocalNats(directory, log);
  }

  /** @throws {TroupeError} `SETTING_INVALID` when nats-server is not installed, or does not get ready */
  async start(): Promise<void> {
    const found = (name: string, pid: number): void =>
      this.#log.warn({ pid }, `A ${name} is left of a process that was killed: it is ended.`);
    await this.#record.endLeftovers(found);
    const { passwords, ports } = await openState(join(this.#directory, "passwords.json"), NATS_USERS, { nats: PORT });
    const logFile = join(this.#directory, "nats.log");
    await writeFile(logFile, "", { flag: "a", mode: 0o600 });
    await truncate(logFile);
    const started = (pid: number): void => {
      this.#record.note("nats-server", pid);
      // It was on its way when the others were ended.
      if (this.#stopping.signal.aborted) this.#record.killAll();
    };
    const server = await startBus(this.#directory, ports.nats, passwords, { logFile, started });
    this.#kept = this.#keep(server);
    const address = (user: AppUser): string => `nats://${user}:${passwords[user]}@127.0.0.1:${ports.nats}`;
    this.#address = address;
    const fileOf = (user: AppUser): string => join(this.#directory, `${user}.url`);
    for (const user of ADDRESSED) await writeFile(fileOf(user), `${address(user)}\n`, { mode: 0o600 });
    this.#log.info(
      { url: server.url, observer: fileOf("observer"), client: fileOf("client") },
      "The bus is there for others too; the files have the addresses of a user who may ask, and of the one for 'troupe --nats'.",
    );
  }

  /** With the user's password: a secret. `undefined` while it is not there. */
  url(user: AppUser): string | undefined {
    return this.#address?.(user);
  }

  /** Also one that is still starting (L1). */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#record.endLeftovers(() => undefined);
    await this.#kept;
  }

  /** L2. Resolves once it is no longer wanted. */
  async #keep(server: NatsServer): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      const how = await server.ended;
      if (signal.aborted) return;
      this.#log.warn({ how, url: server.url }, "The nats-server of this process has ended; it is started again.");
      while (!server.isRunning) {
        // Cut short when it is no longer wanted.
        await pause(RESTART_EVERY_MS, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
        await this.#restart(server);
      }
    }
  }

  async #restart(server: NatsServer): Promise<void> {
    try {
      await server.restart();
      this.#log.info({ url: server.url }, "The nats-server of this process is back.");
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#log.error({ err: error }, "The nats-server of this process does not start; trying again.");
    }
  }
}
