/** Taking a data directory: one process owns it, and its marker says whose it is. */
import { makeDurableDirectory } from "../../core/durable.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Random } from "../../core/ports/random.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { claimMarker } from "./marker.ts";

export interface DataDirectory {
  readonly layout: Layout;
  readonly nodeId: string;
  release(): Promise<void>;
}

/** @throws {TroupeError} `DIRECTORY_IN_USE`, `MARKER_MISSING`, `FORMAT_TOO_NEW`, `SETTING_INVALID`, `DISK_FAILED` */
export async function openDataDirectory(
  ports: { readonly disk: Disk; readonly clock: Clock; readonly random: Random },
  root: string,
  wantedNodeId: string | undefined,
): Promise<DataDirectory> {
  await makeDurableDirectory(ports.disk, root);
  const lock = await ports.disk.lock(root);
  try {
    const layout = layoutOf(root);
    const nodeId = await claimMarker(ports.disk, layout, ports, wantedNodeId);
    return { layout, nodeId, release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
