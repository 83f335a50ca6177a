/** The bus, databases and cache of one process: those its settings name, and the embedded ones where they name none. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LoopbackMedium } from "../bus/loopback.ts";
import { connectNats } from "../bus/nats.ts";
import { parseNatsUrl } from "../bus/nats-url.ts";
import type { Role, ServerSettings } from "../config/setting-table.ts";
import { makeDurableDirectory } from "../core/durable.ts";
import { TroupeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Cache } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Database } from "../core/ports/database.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Random } from "../core/ports/random.ts";
import { MemoryCache } from "../store/memory-cache.ts";
import { connectRedis } from "../store/redis-cache.ts";
import { type DatabasePart, databaseName, migrationsDirectory } from "../store/sql/databases.ts";
import { openMysql } from "../store/sql/mysql-database.ts";
import { openSqlite } from "../store/sql/sqlite-database.ts";
import type { Undo } from "./cast.ts";
import { type LocalNats, startLocalNats } from "./local-nats.ts";

const MEETING_MS = 300;

interface EnginePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly undo: Undo;
}

export class Engines {
  readonly #settings: ServerSettings;
  readonly #ports: EnginePorts;
  readonly #connect: (name: string) => Promise<Bus>;
  #local: LocalNats | undefined;

  constructor(settings: ServerSettings, ports: EnginePorts) {
    this.#settings = settings;
    this.#ports = ports;
    if (settings.nats === undefined) {
      const medium = new LoopbackMedium(ports);
      this.#connect = async () => medium.connect();
    } else this.#connect = (name) => connectTo(settings, this.#local?.url("all") ?? (settings.nats as string), name, ports);
  }

  /** Nobody else plays on the bus: it is inside this process, or was started for it. */
  get isAlone(): boolean {
    return this.#settings.nats === undefined || this.#settings.nats === "local";
  }

  /** Of a bus that was started for this process, with a password: for a person who wants to ask. */
  get observerUrl(): string | undefined {
    return this.#local?.url("observer");
  }

  /** @throws {TroupeError} `SETTING_INVALID` when there is no nats-server to be started */
  async startLocalBus(): Promise<void> {
    if (this.#settings.nats !== "local") return;
    this.#local = await startLocalNats(this.#settings.dataDirectory, this.#ports.log);
    this.#ports.undo.push(() => this.#local?.stop() ?? Promise.resolve());
  }

  /** A connection of its own, named after both. @throws {TroupeError} `BUS_UNAVAILABLE` with where it looked and what to do */
  connect(role: Role, nodeId: string): Promise<Bus> {
    return this.#connect(`${role}/${nodeId}`);
  }

  /**
   * Whether there is a bus at all, before anything is made on the disk. And catalogs that share a bus share a database: two stores on
   * one bus would each lose what the other is told.
   * @throws {TroupeError} `BUS_UNAVAILABLE`, `SETTING_INVALID`
   */
  async meetOthers(): Promise<void> {
    const { roles, mysql, dataDirectory } = this.#settings;
    if (this.isAlone) return;
    const bus = await this.#connect(`${roles[0]}/starting`);
    try {
      if (mysql !== undefined || !roles.includes("catalog")) return;
      const answers = await bus.requestMany("$SRV.PING.catalog", new Uint8Array(), { timeoutMs: MEETING_MS, repliesMax: 1 });
      if (answers.length === 0) return;
      throw new TroupeError(
        "SETTING_INVALID",
        `Another catalog plays on this bus already, and this process would keep a database of its own in ${dataDirectory}. Give both the same --mysql, or leave the role to the other one.`,
      );
    } finally {
      await bus.drain();
    }
  }

  async openDatabase<Tables>(part: DatabasePart): Promise<Database<Tables>> {
    const { mysql, dataDirectory, databasePrefix } = this.#settings;
    const { clock, random, log, disk, undo } = this.#ports;
    const migrations = migrationsDirectory(part);
    const name = databaseName(part, databasePrefix);
    let database: Database<Tables>;
    if (mysql === undefined) {
      const folder = join(dataDirectory, "database");
      await makeDurableDirectory(disk, folder);
      database = await openSqlite<Tables>({ path: join(folder, `${name}.sqlite`), migrations, clock, random, log });
    } else database = await openMysql<Tables>({ url: mysql, database: name, migrations, clock, random, log });
    undo.push(() => database.close());
    return database;
  }

  async openCache(): Promise<Cache> {
    const { redis, databasePrefix } = this.#settings;
    const { clock, log, undo } = this.#ports;
    const cache = redis === undefined ? new MemoryCache(clock) : await connectRedis({ url: redis, prefix: databasePrefix, clock, log });
    undo.push(() => cache.close());
    return cache;
  }
}

/** One role hears its own inbox only, so that its user may be refused all others; whoever plays several has the inbox of all. */
function inboxPrefix(roles: readonly Role[]): string {
  return `_INBOX_${roles.length === 1 ? roles[0] : "all"}`;
}

async function connectTo({ roles, natsCredentials }: ServerSettings, url: string, name: string, { clock, log }: EnginePorts): Promise<Bus> {
  const credentials = natsCredentials === undefined ? undefined : await readCredentials(natsCredentials);
  return await connectNats({
    ...parseNatsUrl(url),
    ...(credentials === undefined ? {} : { credentials }),
    name,
    inboxPrefix: inboxPrefix(roles),
    clock,
    log,
  });
}

async function readCredentials(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new TroupeError("SETTING_INVALID", `--nats-creds names ${path}, which cannot be read.`, { cause: error });
  }
}
