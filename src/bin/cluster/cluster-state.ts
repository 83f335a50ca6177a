/**
 * What a cluster on this machine keeps between two starts: passwords, made once, and the ports its servers had, so that an address somebody
 * has written down stays good. The file is its owner's alone to read.
 */
import { randomBytes } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TroupeError } from "../../core/errors.ts";
import { freePort, isFreePort } from "../engines/engine-process.ts";
import { NATS_USERS, type NatsUser } from "./nats-users.ts";

export const ENGINES = ["nats", "mariadb", "redis"] as const;
export type EngineName = (typeof ENGINES)[number];

export interface ClusterState {
  readonly passwords: Readonly<Record<NatsUser | "mariadb" | "redis", string>>;
  /** Of the engines; and, by the process's name, where it serves its metrics. */
  readonly ports: Readonly<Record<string, number> & Record<EngineName, number>>;
}

const STATE_FILE = "cluster.json";
const PASSWORD_BYTES = 16;

/**
 * @param measured processes with a port for their metrics
 * @throws {TroupeError} `SETTING_INVALID` when the file is there and cannot be read
 */
export function openClusterState(directory: string, measured: readonly string[]): Promise<ClusterState> {
  const ports = { nats: 0, mariadb: 0, redis: 0, ...Object.fromEntries(measured.map((name) => [name, 0])) };
  return openState(join(directory, STATE_FILE), [...NATS_USERS, "mariadb", "redis"], ports);
}

/**
 * Passwords made once, and ports that stay the same while nobody else has taken them.
 * @param ports the first choice for each; 0 for any
 * @throws {TroupeError} `SETTING_INVALID` when the file is there and cannot be read
 */
export async function openState<Password extends string, Port extends string>(
  path: string,
  passwordNames: readonly Password[],
  portChoices: Readonly<Record<Port, number>>,
): Promise<{ readonly passwords: Readonly<Record<Password, string>>; readonly ports: Readonly<Record<Port, number>> }> {
  const kept = await readState(path);
  const passwords = passwordNames.map((name) => [name, kept.passwords?.[name] ?? newPassword()]);
  const ports: [string, number][] = [];
  for (const [name, choice] of Object.entries<number>(portChoices)) {
    const taken = ports.map(([, port]) => port);
    ports.push([name, await sameOrFree(kept.ports?.[name] ?? choice, taken)]);
  }
  const state = {
    passwords: Object.fromEntries(passwords) as Record<Password, string>,
    ports: Object.fromEntries(ports) as Record<Port, number>,
  };
  await writeFile(`${path}.new`, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return state;
}

interface KeptState {
  readonly passwords?: Readonly<Record<string, string>>;
  readonly ports?: Readonly<Record<string, number>>;
}

async function readState(path: string): Promise<KeptState> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as KeptState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    // The cause would quote the text, which holds passwords.
    throw new TroupeError("SETTING_INVALID", `${path} cannot be read: remove it, and passwords are made anew.`);
  }
}

/** A letter first: the bus's configuration takes digits for a number. Nothing in it needs quotes or escapes anywhere. */
function newPassword(): string {
  return `p${randomBytes(PASSWORD_BYTES).toString("hex")}`;
}

/** @param taken by others, who do not listen yet: the system may name one of them again */
async function sameOrFree(wanted: number, taken: readonly number[]): Promise<number> {
  const isGood = wanted !== 0 && !taken.includes(wanted) && (await isFreePort(wanted));
  let port = isGood ? wanted : await freePort();
  while (taken.includes(port)) port = await freePort();
  return port;
}
