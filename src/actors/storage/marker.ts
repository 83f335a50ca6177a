/**
 * The marker of a data directory: whose it is and in which format. A directory that holds blobs and no marker is another disk than
 * meant, or a damaged one: the node stops and asks instead of beginning anew beside the data.
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

export interface Marker {
  readonly format: typeof FORMAT;
  readonly formatVersion: number;
  readonly nodeId: string;
  /** Wall time of the first start: with the name, which directory this is. */
  readonly createdMs: number;
}

/**
 * The directory's marker, which is written at the first start.
 * @param wantedNodeId from the settings, if given
 * @throws {TroupeError} `MARKER_MISSING`, `FORMAT_TOO_NEW`, `SETTING_INVALID` (another node's directory)
 */
export async function claimMarker(
  disk: Disk,
  layout: Layout,
  ports: { readonly clock: Clock; readonly random: Random },
  wantedNodeId: string | undefined,
): Promise<Marker> {
  const bytes = await readSmallFile(disk, layout.marker, MARKER_BYTES_MAX);
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
      createdMs: ports.clock.wallMs(),
    };
    await replaceFile(disk, layout.marker, Buffer.from(`${JSON.stringify(marker, undefined, 2)}\n`));
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
  return marker;
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
  if (!Number.isSafeInteger(marker.createdMs) || (marker.createdMs as number) < 0) throw unreadable();
  return marker as Marker;
}
