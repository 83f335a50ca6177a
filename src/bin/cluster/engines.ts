/** The servers of somebody else's that a cluster stands on: each with the cluster's own users, in a folder of its own. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EngineWatch } from "../engines/engine-process.ts";
import { MARIADB_PROGRAMS, mariadbDirectory, startMariadb } from "../engines/mariadb-server.ts";
import { NATS_CONFIGURATION_FILE, NATS_PROGRAMS, type NatsServer, startNatsServer } from "../engines/nats-server.ts";
import { REDIS_PROGRAMS, startRedisServer } from "../engines/redis-server.ts";
import { type IsPart, isProgramWith } from "./by-hand.ts";
import type { ClusterState, EngineName } from "./cluster-state.ts";
import type { Running } from "./member.ts";
import { type AppUser, NATS_USERS, type NatsUser, passwordVariable } from "./nats-users.ts";

export const DATABASE_PREFIX = "troupe_";
const DATABASE_USER = "troupe";
const NATS_CONFIGURATION = new URL("../../../deploy/nats.conf", import.meta.url);

export function startClusterEngine(name: EngineName, directory: string, state: ClusterState, watch: EngineWatch): Promise<Running> {
  return STARTERS[name](join(directory, name), state, watch);
}

const STARTERS: Readonly<Record<EngineName, (folder: string, state: ClusterState, watch: EngineWatch) => Promise<Running>>> = {
  nats: (directory, { passwords, ports }, watch) => startBus(directory, ports.nats, passwords, watch),
  async mariadb(directory, { passwords, ports }, watch) {
    const options = { directory, port: ports.mariadb, user: DATABASE_USER, password: passwords.mariadb, databasePrefix: DATABASE_PREFIX };
    return (await startMariadb({ ...options, watch })).process;
  },
  async redis(directory, { passwords, ports }, watch) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return await startRedisServer({ directory, port: ports.redis, password: passwords.redis, watch });
  },
};

/** By which each is known whoever has started it. */
export function isClusterEngine(name: EngineName, directory: string): IsPart {
  const folder = join(directory, name);
  if (name === "nats") return isProgramWith(NATS_PROGRAMS, join(folder, NATS_CONFIGURATION_FILE));
  return name === "mariadb" ? isProgramWith(MARIADB_PROGRAMS, mariadbDirectory(folder)) : isProgramWith(REDIS_PROGRAMS, folder);
}

/** A nats-server with the users and permissions of an installation. */
export async function startBus(
  directory: string,
  port: number,
  passwords: Readonly<Record<NatsUser, string>>,
  watch: EngineWatch,
): Promise<NatsServer> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // What an installation has in the server's environment stands here before the same text.
  const variables = NATS_USERS.map((user) => `${passwordVariable(user)}: ${JSON.stringify(passwords[user])}\n`);
  const configuration = variables.join("") + (await readFile(NATS_CONFIGURATION, "utf8"));
  return await startNatsServer({ directory, port, configuration, watch });
}

/** With the user's password: a secret. */
export function natsUrl({ passwords, ports }: ClusterState, user: AppUser): string {
  return `nats://${user}:${passwords[user]}@127.0.0.1:${ports.nats}`;
}

/** A secret. */
export function mysqlUrl({ passwords, ports }: ClusterState): string {
  return `mysql://${DATABASE_USER}:${passwords.mariadb}@127.0.0.1:${ports.mariadb}`;
}

/** A secret. */
export function redisUrl({ passwords, ports }: ClusterState): string {
  return `redis://:${passwords.redis}@127.0.0.1:${ports.redis}`;
}
