/**
 * A whole cluster on this machine: nats-server, MariaDB, Redis, and ten processes of ours that meet on them. `npm run cluster` and the
 * end-to-end tests start it from here.
 *
 * C1: what is started last is stopped first: a process finds those it needs for as long as it runs.
 * C2: whatever goes wrong while it starts, nothing is left running.
 * C3: what a person started by hand in place of what had ended is ended with the others, and at the next start at the latest.
 */
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { ROLES, type Role } from "../../config/setting-table.ts";
import { TroupeError } from "../../core/errors.ts";
import { STOP_MS_MAX } from "../../core/limits.ts";
import { lockDirectory } from "../../store/directory-lock.ts";
import { freePort, isFreePort } from "../engines/engine-process.ts";
import { findByHand, type IsPart, isScriptWith } from "./by-hand.ts";
import { type ClusterState, ENGINES, type EngineName, openClusterState } from "./cluster-state.ts";
import { DATABASE_PREFIX, isClusterEngine, mysqlUrl, natsUrl, redisUrl, startClusterEngine } from "./engines.ts";
import { Member } from "./member.ts";
import type { AppUser } from "./nats-users.ts";
import { ProcessRecord } from "./process-record.ts";
import { START, startRoleProcess } from "./role-process.ts";

export interface ClusterOptions {
  /** Absolute; made when missing. */
  readonly directory: string;
  /** The gateway's; 0 picks a free one. */
  readonly port: number;
  /** Told in sentences how it goes. */
  readonly say: (sentence: string) => void;
  /** The command with which a person starts a process of it, given its configuration file. */
  readonly command: (configFile: string) => string;
  /** As a person types it: the words of a command that starts a server of somebody else's. */
  readonly typed: (words: readonly string[]) => string;
  /** Ends the start: everything is killed at once. */
  readonly signal?: AbortSignal;
  /** More lines of every process's configuration file. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

export interface Cluster {
  readonly gatewayUrl: string;
  /** Ours, by name: `tracker-1`. */
  readonly processes: ReadonlyMap<string, Member>;
  engine(name: EngineName): Member;
  /** The file that has the name and number of each process. */
  readonly processesFile: string;
  /** The file that has where each process serves its metrics, as Prometheus reads it (`file_sd_configs`). */
  readonly metricsFile: string;
  /** With a user's password: a secret. */
  natsUrl(user: AppUser): string;
  /** In order, within ten seconds; what has not ended by then is killed. */
  stop(): Promise<void>;
  /** kill -9 to every process, at once. */
  killAll(): void;
}

const STORAGE_NODES = 3;
/** How many of each there are. */
const CAST: Readonly<Record<Role, number>> = { tracker: 2, ids: 2, catalog: 2, storage: STORAGE_NODES, gateway: 1 };
const STOPPED_IN_ORDER: readonly Role[] = ["gateway", "storage", "catalog", "ids", "tracker"];
const GROUP = "group001";
const METRICS_FILE = "metrics-targets.json";
const COMPLETE_WITHIN_MS = 30_000;
const ASK_EVERY_MS = 100;

/** A gateway serves its metrics where it serves everything. */
const MEASURED = ROLES.filter((role) => role !== "gateway").flatMap(namesOf);

/** @throws {TroupeError} with a sentence for whoever started it; nothing is left running then */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { directory, say } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const lock = await own(directory);
  const record = new ProcessRecord(directory);
  try {
    const byHand = adopt(record, directory);
    await record.endLeftovers((name, pid) =>
      say(
        byHand.some((each) => each.pid === pid)
          ? `${name} (process ${pid}) was started by hand and is still there: it is ended.`
          : `${name} (process ${pid}) is left of a cluster that was killed: it is ended.`,
      ),
    );
    return await new LocalCluster(
      options,
      record,
      lock,
      await gatewayPort(options.port),
      await openClusterState(directory, MEASURED),
    ).start();
  } catch (error) {
    await lock.release();
    throw error;
  }
}

class LocalCluster implements Cluster {
  readonly gatewayUrl: string;
  readonly processes: ReadonlyMap<string, Member>;
  readonly #options: ClusterOptions;
  readonly #record: ProcessRecord;
  readonly #lock: { release(): Promise<void> };
  readonly #port: number;
  readonly #state: ClusterState;
  readonly #engines: ReadonlyMap<EngineName, Member>;
  #isEnding = false;

  constructor(options: ClusterOptions, record: ProcessRecord, lock: { release(): Promise<void> }, port: number, state: ClusterState) {
    this.#options = options;
    this.#record = record;
    this.#lock = lock;
    this.#port = port;
    this.#state = state;
    this.gatewayUrl = `http://127.0.0.1:${port}`;
    this.#engines = new Map(ENGINES.map((name) => [name, this.#engineMember(name)]));
    this.processes = new Map(ROLES.flatMap(namesOf).map((name) => [name, this.#roleMember(name)]));
  }

  async start(): Promise<Cluster> {
    const { say, signal } = this.#options;
    const abandon = (): void => {
      this.#isEnding = true;
      this.killAll();
    };
    signal?.addEventListener("abort", abandon, { once: true });
    try {
      signal?.throwIfAborted();
      await this.#prepare();
      say("nats-server, MariaDB and Redis are starting.");
      await all([...this.#engines.values()].map((engine) => engine.start()));
      signal?.throwIfAborted();
      say(`${[...this.processes.keys()].join(", ")}: starting.`);
      // A tracker listens at once, and then waits a moment for what it hears before it answers: the others need not wait with it.
      await all([this.#startRoles("tracker"), this.#startRoles("ids", "catalog").then(() => this.#startRoles("storage", "gateway"))]);
      await this.#complete();
      return this;
    } catch (error) {
      // C2
      abandon();
      await this.#record.endLeftovers(() => undefined);
      throw signal?.aborted ? new TroupeError("CANCELLED", "The cluster was told to stop while it was starting.") : error;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  engine(name: EngineName): Member {
    return this.#engines.get(name) as Member;
  }

  get metricsFile(): string {
    return join(this.#options.directory, METRICS_FILE);
  }

  get processesFile(): string {
    return this.#record.path;
  }

  natsUrl(user: AppUser): string {
    return natsUrl(this.#state, user);
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    // C3
    const byHand = adopt(this.#record, this.#options.directory);
    for (const { name, pid } of byHand) this.#options.say(`${name} (process ${pid}) was started by hand: it is stopped with the others.`);
    const hurry = setTimeout(() => this.killAll(), STOP_MS_MAX);
    const stop = async (members: readonly Member[]): Promise<void> => {
      const pids = byHand.filter(({ name }) => members.some((member) => member.name === name)).map(({ pid }) => pid);
      await Promise.all([...members.map((member) => member.stop()), this.#record.end(pids, STOP_MS_MAX)]);
    };
    try {
      // C1
      for (const role of STOPPED_IN_ORDER) await stop(this.#membersOf([role]));
      await stop([...this.#engines.values()]);
    } finally {
      clearTimeout(hurry);
      await this.#record.endLeftovers(() => undefined);
      await this.#lock.release();
    }
  }

  killAll(): void {
    this.#record.killAll();
  }

  async #startRoles(...roles: readonly Role[]): Promise<void> {
    this.#options.signal?.throwIfAborted();
    await all(this.#membersOf(roles).map((member) => member.start()));
  }

  #membersOf(roles: readonly Role[]): Member[] {
    return [...this.processes.values()].filter(({ name }) => roles.includes(roleOf(name)));
  }

  /** Until the gateway finds everybody it needs. */
  async #complete(): Promise<void> {
    const untilMs = performance.now() + COMPLETE_WITHIN_MS;
    while (!(await this.#isComplete())) {
      this.#options.signal?.throwIfAborted();
      if (performance.now() > untilMs)
        throw new TroupeError(
          "SETTING_INVALID",
          `All processes run, and after ${COMPLETE_WITHIN_MS / 1_000} s the gateway does not see ${STORAGE_NODES} storage nodes: ${join(this.#options.directory, "logs")} says why.`,
        );
      await pause(ASK_EVERY_MS);
    }
  }

  async #isComplete(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(COMPLETE_WITHIN_MS);
      if (!(await fetch(`${this.gatewayUrl}/readyz`, { signal })).ok) return false;
      const answer = await fetch(`${this.gatewayUrl}/api/v1/cluster`, { signal });
      const { nodes = [] } = (await answer.json()) as { nodes?: readonly { readonly state: string }[] };
      return nodes.filter(({ state }) => state === "active").length >= STORAGE_NODES;
    } catch {
      // It does not answer yet; how long that may take is bounded by whoever asks.
      return false;
    }
  }

  /** Folders, configuration files and empty logs. */
  async #prepare(): Promise<void> {
    const { directory } = this.#options;
    await mkdir(join(directory, "logs"), { recursive: true, mode: 0o700 });
    for (const { name, logFile } of [...this.#engines.values(), ...this.processes.values()]) {
      await writeFile(logFile, "", { flag: "a", mode: 0o600 });
      await truncate(logFile);
      if (!this.processes.has(name)) continue;
      await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
      // It holds passwords.
      await writeFile(this.#configFile(name), `${JSON.stringify(this.#configuration(name), undefined, 2)}\n`, { mode: 0o600 });
    }
    await writeFile(this.metricsFile, `${JSON.stringify(this.#metricsTargets(), undefined, 2)}\n`, { mode: 0o600 });
  }

  #metricsTargets() {
    return [...this.processes.keys()].map((name) => ({
      targets: [`127.0.0.1:${this.#state.ports[name] ?? this.#port}`],
      labels: { process: name, role: roleOf(name) },
    }));
  }

  #configuration(name: string): Readonly<Record<string, string | number>> {
    const role = roleOf(name);
    const database = role === "tracker" || role === "ids" || role === "catalog";
    return {
      role,
      nodeId: name,
      nats: natsUrl(this.#state, role),
      ...(database ? { mysql: mysqlUrl(this.#state), databasePrefix: DATABASE_PREFIX } : {}),
      ...(role === "catalog" ? { redis: redisUrl(this.#state) } : {}),
      // On one machine each node stands for a machine of its own.
      ...(role === "storage"
        ? { group: GROUP, zone: name.replace("storage", "machine"), data: join(this.#options.directory, name, "data") }
        : {}),
      ...(role === "gateway" ? { port: this.#port } : { metricsPort: this.#state.ports[name] as number }),
      ...this.#options.settings,
    };
  }

  #configFile(name: string): string {
    return configFileIn(this.#options.directory, name);
  }

  #logFile(name: string): string {
    return join(this.#options.directory, "logs", `${name}.log`);
  }

  #roleMember(name: string): Member {
    const logFile = this.#logFile(name);
    const configFile = this.#configFile(name);
    return new Member({
      name,
      logFile,
      start: () => startRoleProcess({ name, configFile, logFile, started: (pid) => this.#started(name, pid) }),
      lost: (pid, how) => this.#lost(name, pid, how, this.#options.command(configFile)),
    });
  }

  #engineMember(name: EngineName): Member {
    const logFile = this.#logFile(name);
    let again: readonly string[] = [];
    const started = (pid: number, command: readonly string[]): void => {
      again = command;
      this.#started(name, pid);
    };
    return new Member({
      name,
      logFile,
      start: () => startClusterEngine(name, this.#options.directory, this.#state, { logFile, started }),
      lost: (pid, how) => this.#lost(name, pid, how, this.#options.typed(again)),
    });
  }

  #started(name: string, pid: number): void {
    this.#record.note(name, pid);
    // C2: it was still on its way when the others were killed.
    if (this.#isEnding) this.killAll();
  }

  #lost(name: string, pid: number, how: string, again: string): void {
    if (this.#isEnding) return;
    this.#options.say(`${name} (process ${pid}) has ended: ${how}. Start it again: ${again}`);
  }
}

/** @throws {TroupeError} `DIRECTORY_IN_USE` with the process that has it, as far as one said so */
async function own(directory: string): Promise<{ release(): Promise<void> }> {
  const noted = join(directory, "owner.pid");
  try {
    const lock = await lockDirectory(directory);
    await writeFile(noted, `${process.pid}\n`);
    return lock;
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "DIRECTORY_IN_USE") throw error;
    const pid = await readFile(noted, "utf8").catch(() => "unknown");
    throw new TroupeError(
      "DIRECTORY_IN_USE",
      `A cluster runs in ${directory} already (process ${pid.trim()}): stop it, or give --data another folder.`,
      { cause: error },
    );
  }
}

/** C3. Those that nobody has noted yet are noted, and thereby ended with the others. */
function adopt(record: ProcessRecord, directory: string): { readonly name: string; readonly pid: number }[] {
  const parts = new Map<string, IsPart>([
    ...ENGINES.map((name) => [name, isClusterEngine(name, directory)] as const),
    ...ROLES.flatMap(namesOf).map((name) => [name, isScriptWith(START, configFileIn(directory, name))] as const),
  ]);
  const unknown = findByHand(parts).filter(({ pid }) => !record.has(pid));
  for (const { name, pid } of unknown) record.note(name, pid);
  return unknown;
}

function configFileIn(directory: string, name: string): string {
  return join(directory, name, "troupe.config.json");
}

function namesOf(role: Role): string[] {
  return Array.from({ length: CAST[role] }, (_, index) => `${role}-${index + 1}`);
}

function roleOf(name: string): Role {
  return name.slice(0, name.lastIndexOf("-")) as Role;
}

/** C2: waits for each of them, also when one has failed: nothing may still be starting when everything is being ended. */
async function all(starts: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(starts);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Known before anything is started: a gateway that is started again has the same address. */
async function gatewayPort(wanted: number): Promise<number> {
  if (wanted === 0) return await freePort();
  if (await isFreePort(wanted)) return wanted;
  throw new TroupeError("SETTING_INVALID", `Port ${wanted} is taken: give --port another one, or 0 for any free one.`);
}
