/**
 * The marker of a data directory: whose it is and in which format. A directory that holds blobs and no marker is another disk than
 * meant, or a damaged one: the node stops and asks instead of beginning anew beside the data.
 *
 * K1: starts of one directory are in order whatever the wall clock does: each is written here, later than the one before, by whoever
 *     holds the directory's lock, and before anybody is told of it. On a full disk a start is not written, because reads go on there;
 *     the next one is then later than the last that was.
 */
import { readSmallFile, replaceFile } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import { type Random, randomIdentity } from "../../core/ports/random.ts";
import type { Layout } from "./layout.ts";

export const DATA_FORMAT_VERSION = 1;
const FORMAT = "troupe-data";
const MARKER_BYTES_MAX = 4096;
/** What a `Date` can hold. */
const WALL_MS_LIMIT = 8_640_000_000_000_000;

export interface Marker {
  readonly format: typeof FORMAT;
  readonly formatVersion: number;
  readonly nodeId: string;
  /** Wall time of the first start: with the name, which directory this is. */
  readonly createdMs: number;
  /** Wall time of the newest start, or later where K1 asks for it. */
  readonly startedMs: number;
}

/**
 * The directory's marker with this start in it. The caller holds the directory's lock.
 * @param wantedNodeId from the settings, if given
 * @throws {TroupeError} `MARKER_MISSING`, `FORMAT_TOO_NEW`, `SETTING_INVALID` (another node's directory), `DISK_FULL` (at the first
 *   start), `DISK_FAILED`
 */
export async function claimMarker(
  disk: Disk,
  layout: Layout,
  ports: { readonly clock: Clock; readonly random: Random },
  wantedNodeId: string | undefined,
): Promise<Marker> {
  const bytes = await readSmallFile(disk, layout.marker, MARKER_BYTES_MAX);
  const wallMs = ports.clock.wallMs();
  if (bytes === undefined) {
    for (const folder of [layout.blobs, layout.uploads]) {
      if ((await disk.status(folder)) !== undefined && (await disk.readDirectory(folder)).length > 0)
        throw new TroupeError(
          "MARKER_MISSING",
          `${folder} holds data, but ${layout.marker} is missing. Is the right disk mounted? Nothing was touched.`,
        );
    }
    const marker: Marker = {
      format: FORMAT,
      formatVersion: DATA_FORMAT_VERSION,
      nodeId: wantedNodeId ?? `node-${randomIdentity(ports.random, 8)}`,
      createdMs: wallMs,
      startedMs: wallMs,
    };
    await writeMarker(disk, layout, marker);
    return marker;
  }
  const marker = readMarker(layout.marker, bytes);
  if (marker.formatVersion > DATA_FORMAT_VERSION)
    throw new TroupeError(
      "FORMAT_TOO_NEW",
      `${layout.root} has data format ${marker.formatVersion}; this program reads up to ${DATA_FORMAT_VERSION}. Run a newer version.`,
    );
  if (wantedNodeId !== undefined && wantedNodeId !== marker.nodeId)
    throw new TroupeError(
      "SETTING_INVALID",
      `${layout.root} belongs to node ${marker.nodeId}, not to ${wantedNodeId}: give --data another directory, or leave --node-id out.`,
    );
  const started = { ...marker, startedMs: Math.max(marker.startedMs + 1, wallMs) };
  try {
    await writeMarker(disk, layout, started);
  } catch (error) {
    // K1.
    if (!(error instanceof TroupeError) || error.code !== "DISK_FULL") throw error;
  }
  return started;
}

/** Whether the marker that lies there is this one, of whatever start. @throws {TroupeError} `MARKER_MISSING`, `DISK_FAILED` when it cannot be read */
export async function isMarkedBy(
  disk: Disk,
  layout: Layout,
  { nodeId, createdMs }: Pick<Marker, "nodeId" | "createdMs">,
): Promise<boolean> {
  const bytes = await readSmallFile(disk, layout.marker, MARKER_BYTES_MAX);
  if (bytes === undefined) return false;
  const found = readMarker(layout.marker, bytes);
  return found.nodeId === nodeId && found.createdMs === createdMs;
}

async function writeMarker(disk: Disk, layout: Layout, marker: Marker): Promise<void> {
  await replaceFile(disk, layout.marker, Buffer.from(`${JSON.stringify(marker, undefined, 2)}\n`));
}

function readMarker(path: string, bytes: Uint8Array): Marker {
  const unreadable = (cause?: unknown): TroupeError =>
    new TroupeError("MARKER_MISSING", `${path} cannot be read as a marker. Restore it from a backup; nothing was touched.`, { cause });
  let marker: Partial<Marker>;
  try {
    marker = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Marker>;
  } catch (error) {
    throw unreadable(error);
  }
  if (marker.format !== FORMAT || !Number.isSafeInteger(marker.formatVersion) || !isIdentity(marker.nodeId)) throw unreadable();
  // Markers from before starts were written have none.
  const { createdMs, startedMs = createdMs } = marker;
  if (!isWallMs(createdMs) || !isWallMs(startedMs)) throw unreadable();
  return { ...marker, startedMs } as Marker;
}

/** Milliseconds since 1970 that have a date, and so a start after them. */
const isWallMs = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) < WALL_MS_LIMIT;
