/**
 * `--nats local`: a nats-server beside a process that plays every role, so that the NATS CLI and the rest of the world can look in. It has the
 * users and permissions of a cluster, with passwords made at the first start.
 *
 * L1: it ends with the process. One that a killed process has left is found at the next start and ended.
 */
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../core/log.ts";
import { openState } from "./cluster/cluster-state.ts";
import { startBus } from "./cluster/engines.ts";
import { type AppUser, NATS_USERS } from "./cluster/nats-users.ts";
import { ProcessRecord } from "./cluster/process-record.ts";

export interface LocalNats {
  /** With the user's password: a secret. */
  url(user: AppUser): string;
  stop(): Promise<void>;
}

/** The port everybody expects; any other when it is taken. */
const PORT = 4222;

/** @throws {TroupeError} `SETTING_INVALID` when nats-server is not installed, or does not get ready */
export async function startLocalNats(dataDirectory: string, log: Log): Promise<LocalNats> {
  const directory = join(dataDirectory, "nats");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const record = new ProcessRecord(directory);
  await record.endLeftovers((name, pid) => log.warn({ pid }, `A ${name} is left of a process that was killed: it is ended.`));
  const { passwords, ports } = await openState(join(directory, "passwords.json"), NATS_USERS, { nats: PORT });
  const logFile = join(directory, "nats.log");
  await writeFile(logFile, "", { flag: "a", mode: 0o600 });
  await truncate(logFile);
  const server = await startBus(directory, ports.nats, passwords, { logFile, started: (pid) => record.note("nats-server", pid) });
  const url = (user: AppUser): string => `nats://${user}:${passwords[user]}@127.0.0.1:${ports.nats}`;
  const observerFile = join(directory, "observer.url");
  await writeFile(observerFile, `${url("observer")}\n`, { mode: 0o600 });
  log.info({ url: server.url, observer: observerFile }, "The bus is there for others too; the file has the address of a user who may ask.");
  return {
    url,
    stop: async () => {
      await server.stop();
      await record.endLeftovers(() => undefined);
    },
  };
}
