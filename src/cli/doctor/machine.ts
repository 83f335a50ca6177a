/** Checks of the machine a server runs on, or is to run on. */
import { dirname, join } from "node:path";
import { TroupeClient } from "../../client/troupe-client.ts";
import { approximateDuration } from "../../config/duration.ts";
import type { ServerSettings } from "../../config/setting-table.ts";
import { resolveSettings } from "../../config/settings.ts";
import { approximateSize } from "../../config/size.ts";
import { writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { DISK_RESERVE_BYTES, HTTP_CONNECTIONS_MAX, LEAF_BYTES, OPEN_BLOBS_MAX } from "../../core/limits.ts";
import type { Disk } from "../../core/ports/disk.ts";
import { randomIdentity } from "../../core/ports/random.ts";
import type { CommandContext, Machine } from "../context.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { isOurGateway } from "./gateway.ts";

const NODE_MAJOR_MIN = 24;
/** With fewer, a handful of players is enough to be refused. */
const OPEN_FILES_MIN = 256;
const OPEN_FILES_WANTED = HTTP_CONNECTIONS_MAX + OPEN_BLOBS_MAX;
/** Less room than this is soon full of large files. */
const FREE_BYTES_WANTED = 40 * DISK_RESERVE_BYTES;
const SYNC_MS_SLOW = 200;
const SYNC_COUNT = 3;
/** A clock further off than this confuses people and breaks signed links. */
const SKEW_MS_MAX = 60_000;
const YEAR_MIN = 2025;
const YEAR_MAX = 2100;

export function checkNode({ nodeVersion }: Machine): Finding {
  if (Number.parseInt(nodeVersion, 10) >= NODE_MAJOR_MIN) return ok("node", `Node ${nodeVersion}.`);
  return fail(
    "node",
    `Node ${nodeVersion} is too old: run Troupe through npm, which brings its own, or install Node ${NODE_MAJOR_MIN} or later.`,
  );
}

export function checkOpenFiles(machine: Machine): Finding {
  const count = machine.openFilesMax();
  if (count === undefined) return ok("files", "This system does not limit how many files a process has open, or does not say.");
  const sentence = `A process may have ${count} files and connections open`;
  if (count < OPEN_FILES_MIN)
    return fail("files", `${sentence}, which is too few to serve files: raise it with 'ulimit -n ${OPEN_FILES_WANTED}'.`);
  if (count < OPEN_FILES_WANTED)
    return warn("files", `${sentence}; for many users at once raise it to ${OPEN_FILES_WANTED} ('ulimit -n', or LimitNOFILE= of systemd).`);
  return ok("files", `${sentence}.`);
}

export function checkSettings(
  { machine, environment, workingDirectory }: CommandContext,
  flags: Readonly<Record<string, string>>,
): { readonly finding: Finding; readonly settings: ServerSettings | undefined } {
  // The client's token may be a secret alone, which a server's is not; it says nothing about the server's settings.
  const { TROUPE_TOKEN: token, ...rest } = environment;
  const serverEnvironment = token?.includes(":") ? environment : rest;
  try {
    const { settings, warnings, configFile } = resolveSettings({
      flags,
      environment: serverEnvironment,
      workingDirectory,
      hostname: machine.hostname,
      readFile: machine.readFile,
    });
    const from = configFile === undefined ? "flags, environment and defaults" : `flags, environment and ${configFile}`;
    return {
      finding: warnings.length === 0 ? ok("settings", `Settings from ${from} are well-formed.`) : warn("settings", warnings.join(" ")),
      settings,
    };
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "SETTING_INVALID") throw error;
    return { finding: fail("settings", error.detail), settings: undefined };
  }
}

export async function checkDataDirectory(context: CommandContext, directory: string): Promise<Finding> {
  const { disk } = context;
  try {
    const existing = await nearestExisting(disk, directory);
    if ((await disk.status(existing))?.kind !== "directory")
      return fail("data", `${existing} is not a directory: give --data another one.`);
    const { freeBytes } = await disk.space(existing);
    const syncMs = await measureSync(context, existing);
    const where = existing === directory ? directory : `${directory} will be made in ${existing}`;
    const sentence = `${where}: ${approximateSize(freeBytes)} free, a sync takes ${syncMs.toFixed(1)} ms`;
    if (freeBytes <= DISK_RESERVE_BYTES)
      return fail(
        "data",
        `${sentence}. No upload is taken below ${approximateSize(DISK_RESERVE_BYTES)}: free some space, or give --data another disk.`,
      );
    if (freeBytes < FREE_BYTES_WANTED) return warn("data", `${sentence}. That is soon full.`);
    if (syncMs > SYNC_MS_SLOW) return warn("data", `${sentence}. Uploads wait for that: a faster disk helps.`);
    return ok("data", `${sentence}.`);
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    return fail(
      "data",
      `${directory} cannot be written: ${error.detail.replace(/\.$/, "")}. Give this user the right to write there, or give --data another directory.`,
    );
  }
}

export async function checkPort(context: CommandContext, { host, port }: ServerSettings): Promise<Finding> {
  if (port === 0) return ok("port", "A free port will be picked.");
  const state = await context.machine.portState(host, port);
  if (state.kind === "free") return ok("port", `${host}:${port} is free.`);
  if (state.kind === "impossible")
    return fail("port", `${host}:${port} cannot be listened on (${state.reason}): give --host or --port another value.`);
  const client = new TroupeClient({ http: context.http, clock: context.clock, gateway: `http://${urlHost(host)}:${port}` });
  if (await isOurGateway(client, context.signal)) return ok("port", `A Troupe gateway is listening on ${host}:${port}.`);
  return fail("port", `Another program is listening on ${host}:${port}: stop it, or give --port another number.`);
}

/** @param serverMs what the gateway takes the time to be, if it answered */
export function checkClock({ clock }: CommandContext, serverMs: number | undefined): Finding {
  const wallMs = clock.wallMs();
  const year = new Date(wallMs).getUTCFullYear();
  if (!(year >= YEAR_MIN && year < YEAR_MAX)) return fail("clock", `This machine takes it to be the year ${year}: set its clock.`);
  if (serverMs === undefined) return ok("clock", `${new Date(wallMs).toISOString().slice(0, 16)} UTC.`);
  const skewMs = Math.abs(wallMs - serverMs);
  if (skewMs > SKEW_MS_MAX)
    return warn("clock", `This machine's clock and the server's are ${approximateDuration(skewMs)} apart: synchronise both (NTP).`);
  return ok("clock", "This machine's clock and the server's agree.");
}

async function nearestExisting(disk: Disk, path: string): Promise<string> {
  if ((await disk.status(path)) !== undefined || dirname(path) === path) return path;
  return await nearestExisting(disk, dirname(path));
}

/** Writes and syncs a small file, as the server does for each chunk. @returns the median time of a sync */
async function measureSync({ disk, clock, random }: CommandContext, directory: string): Promise<number> {
  const path = join(directory, `.troupe-doctor-${randomIdentity(random)}`);
  const file = await disk.open(path, "create");
  try {
    const timesMs: number[] = [];
    for (let index = 0; index < SYNC_COUNT; index += 1) {
      await writeFully(file, new Uint8Array(LEAF_BYTES), index * LEAF_BYTES);
      const startMs = clock.nowMs();
      await file.sync();
      timesMs.push(clock.nowMs() - startMs);
    }
    return timesMs.sort((one, other) => one - other)[Math.floor(SYNC_COUNT / 2)] ?? 0;
  } finally {
    await file.close();
    await disk.remove(path);
  }
}

/** The address at which a listener can be asked: one that listens everywhere is asked on loopback. */
function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
