/** Taking a data directory: one process owns it, and its marker says whose it is. */
import { dirname } from "node:path";
import { makeDurableDirectory } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Random } from "../../core/ports/random.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { claimMarker, isMarkedBy } from "./marker.ts";

export interface DataDirectory {
  readonly layout: Layout;
  readonly nodeId: string;
  /** When it was made, wall time. */
  readonly madeMs: number;
  /** Of this start: wall time, and later than any start before it, also when the wall clock was set back. */
  readonly startedMs: number;
  /** Nothing was there before. */
  readonly isNew: boolean;
  /** It is still the one that was opened: neither gone nor another. @throws {TroupeError} `MARKER_MISSING`, `DISK_FAILED` */
  isThere(): Promise<boolean>;
  release(): Promise<void>;
}

/** @throws {TroupeError} `DIRECTORY_IN_USE`, `MARKER_MISSING`, `FORMAT_TOO_NEW`, `SETTING_INVALID`, `DISK_FAILED` */
export async function openDataDirectory(
  ports: { readonly disk: Disk; readonly clock: Clock; readonly random: Random },
  root: string,
  wantedNodeId: string | undefined,
): Promise<DataDirectory> {
  const found = await ports.disk.status(root);
  if (found !== undefined && found.kind !== "directory")
    throw new TroupeError("SETTING_INVALID", `${root} is not a directory: give --data a folder.`);
  // A folder is made, its parents are not: a missing one is most often a disk that is not mounted.
  if (found === undefined && (await ports.disk.status(dirname(root))) === undefined) {
    throw new TroupeError(
      "SETTING_INVALID",
      `${dirname(root)} does not exist, so ${root} cannot be made in it. Is the disk mounted? Make the folder if it is meant to be new.`,
    );
  }
  await makeDurableDirectory(ports.disk, root);
  const lock = await ports.disk.lock(root);
  try {
    const layout = layoutOf(root);
    const isNew = (await ports.disk.status(layout.marker)) === undefined;
    // A start before this one may have made it and been killed before it was durable in its parent.
    if (isNew) await ports.disk.syncDirectory(dirname(root)).catch(ignoreForbidden);
    const { nodeId, createdMs, startedMs } = await claimMarker(ports.disk, layout, ports, wantedNodeId);
    const isThere = (): Promise<boolean> => isMarkedBy(ports.disk, layout, { nodeId, createdMs });
    return { layout, nodeId, madeMs: createdMs, startedMs, isNew, isThere, release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** A parent that this process may not read cannot be synced by it; whoever may, made the directory before. */
function ignoreForbidden(error: unknown): void {
  if (!(error instanceof TroupeError) || !["EACCES", "EPERM"].includes(String(error.facts["errno"]))) throw error;
}
