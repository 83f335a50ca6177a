/** The bus, databases and cache of one process: those its settings name, and the embedded ones where they name none. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { catalog } from "../actors/catalog/contract.ts";
import { LoopbackMedium } from "../bus/loopback.ts";
import { startService } from "../bus/micro-service.ts";
import { connectNats } from "../bus/nats.ts";
import type { Patience } from "../bus/nats-dial.ts";
import { parseNatsUrl } from "../bus/nats-url.ts";
import { RequestBooks } from "../bus/request-book.ts";
import { pingServices } from "../bus/service-ping.ts";
import { withoutPassword } from "../config/engine-url.ts";
import type { Role, ServerSettings } from "../config/setting-table.ts";
import { makeDurableDirectory } from "../core/durable.ts";
import { TroupeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Cache } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Database } from "../core/ports/database.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Metrics } from "../core/ports/metrics.ts";
import { type Random, randomIdentity } from "../core/ports/random.ts";
import { MeasuredCache } from "../store/measured-cache.ts";
import { MeasuredDatabase } from "../store/measured-database.ts";
import { MemoryCache } from "../store/memory-cache.ts";
import { connectRedis } from "../store/redis-cache.ts";
import { type DatabasePart, databaseName, migrationsDirectory } from "../store/sql/databases.ts";
import { openMysql } from "../store/sql/mysql-database.ts";
import { openSqlite } from "../store/sql/sqlite-database.ts";
import type { Undo } from "./cast.ts";
import { LocalNats } from "./local-nats.ts";

const MEETING_MS = 300;
/** An answer may be lost. */
const MEETINGS = 2;

interface EnginePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly metrics: Metrics;
  readonly undo: Undo;
}

export class Engines {
  readonly #settings: ServerSettings;
  readonly #ports: EnginePorts;
  readonly #connect: (name: string) => Promise<Bus>;
  readonly #patience: Patience = { ranOutMs: Number.NEGATIVE_INFINITY };
  #local: LocalNats | undefined;

  constructor(settings: ServerSettings, ports: EnginePorts) {
    this.#settings = settings;
    this.#ports = ports;
    if (settings.nats === undefined) {
      const medium = new LoopbackMedium(ports);
      this.#connect = async () => medium.connect();
    } else this.#connect = (name) => connectTo(settings, this.#local?.url("all") ?? (settings.nats as string), name, this.#patience, ports);
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
    const local = await LocalNats.in(this.#settings.dataDirectory, this.#ports.log);
    this.#local = local;
    this.#ports.undo.push(() => local.stop());
    await local.start();
  }

  /** A connection of its own, named after both. @throws {TroupeError} `BUS_UNAVAILABLE` with where it looked and what to do */
  connect(role: Role, nodeId: string): Promise<Bus> {
    return this.#connect(`${role}/${nodeId}`);
  }

  /**
   * Whether there is a bus at all, before anything is made on the disk; and whether those who are there share their database: two stores on
   * one bus would each lose what the other is told, and give out the same IDs. A process that plays a catalog says that it is there before
   * it asks: of two that start at the same moment each finds the other, and neither goes on.
   * @returns stops saying so; to be called when the catalog itself says it
   * @throws {TroupeError} `BUS_UNAVAILABLE`, `SETTING_INVALID`
   */
  async meetOthers(version: string): Promise<() => Promise<void>> {
    const { roles } = this.#settings;
    if (this.isAlone) return async () => undefined;
    const { clock, random, undo } = this.#ports;
    const id = `starting-${randomIdentity(random, 8)}`;
    const bus = await this.#connect(`${roles[0]}/${id}`);
    let isOver = false;
    const leave = async (): Promise<void> => {
      if (isOver) return;
      isOver = true;
      await bus.drain();
    };
    undo.push(leave);
    if (!roles.includes("catalog")) {
      await leave();
      return leave;
    }
    const metadata = { database: this.databaseKind };
    startService(bus, { clock, requestBooks: new RequestBooks() }, { id, version, metadata, parts: [{ contract: catalog }] });
    await bus.flush();
    for (let time = 0; time < MEETINGS; time += 1) await this.#refuseStrangers(bus, id);
    return leave;
  }

  /** What the catalog tells of itself. */
  get databaseKind(): "sqlite" | "mysql" {
    return this.#settings.mysql === undefined ? "sqlite" : "mysql";
  }

  async #refuseStrangers(bus: Bus, id: string): Promise<void> {
    for (const other of await pingServices(bus, catalog.name, { timeoutMs: MEETING_MS })) {
      if (other.id === id) continue;
      const kind = other.metadata["database"];
      if (this.databaseKind === "mysql" && kind !== "sqlite") continue;
      const whose = kind === "sqlite" ? "with a database of its own" : "with a database on a server";
      throw new TroupeError(
        "SETTING_INVALID",
        `Another catalog (${other.id}) plays on this bus ${whose}, and this one would use ${this.#databaseInWords()}: they would be two stores that take each other's requests. Give both the same --mysql, or each a bus of its own.`,
      );
    }
  }

  #databaseInWords(): string {
    const { mysql, dataDirectory } = this.#settings;
    return mysql === undefined ? `its own in ${dataDirectory}` : withoutPassword(mysql);
  }

  async openDatabase<Tables>(part: DatabasePart): Promise<Database<Tables>> {
    const { mysql, dataDirectory, databasePrefix } = this.#settings;
    const { clock, random, log, disk, metrics, undo } = this.#ports;
    const migrations = migrationsDirectory(part);
    const name = databaseName(part, databasePrefix);
    let database: Database<Tables>;
    if (mysql === undefined) {
      const folder = join(dataDirectory, "database");
      await makeDurableDirectory(disk, folder);
      database = await openSqlite<Tables>({ path: join(folder, `${name}.sqlite`), migrations, clock, random, log });
    } else database = await openMysql<Tables>({ url: mysql, database: name, migrations, clock, random, log });
    undo.push(() => database.close());
    return new MeasuredDatabase(database, { clock, metrics }, part);
  }

  async openCache(): Promise<Cache> {
    const { redis, databasePrefix } = this.#settings;
    const { clock, log, metrics, undo } = this.#ports;
    const cache = redis === undefined ? new MemoryCache(clock) : await connectRedis({ url: redis, prefix: databasePrefix, clock, log });
    undo.push(() => cache.close());
    return new MeasuredCache(cache, metrics);
  }
}

/** One role hears its own inbox only, so that its user may be refused all others; whoever plays several has the inbox of all. */
function inboxPrefix(roles: readonly Role[]): string {
  return `_INBOX_${roles.length === 1 ? roles[0] : "all"}`;
}

async function connectTo(
  { roles, natsCredentials }: ServerSettings,
  url: string,
  name: string,
  patience: Patience,
  { clock, log }: EnginePorts,
): Promise<Bus> {
  const credentials = natsCredentials === undefined ? undefined : await readCredentials(natsCredentials);
  return await connectNats({
    ...parseNatsUrl(url),
    ...(credentials === undefined ? {} : { credentials }),
    name,
    inboxPrefix: inboxPrefix(roles),
    patience,
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
