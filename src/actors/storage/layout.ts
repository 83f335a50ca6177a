/** Where things lie in a node's data directory. */
import { join } from "node:path";

export interface Layout {
  readonly root: string;
  readonly marker: string;
  readonly blobs: string;
  /** One folder an upload: its journal, its data, its leaf digests. */
  readonly uploads: string;
  /** One small file a blob that nothing refers to any more. */
  readonly retired: string;
}

export function layoutOf(root: string): Layout {
  return {
    root,
    marker: join(root, "marker.json"),
    blobs: join(root, "blobs"),
    uploads: join(root, "uploads"),
    retired: join(root, "retired"),
  };
}

/** Names beside a blob's data. */
export const leavesPath = (dataPath: string): string => `${dataPath}.leaves`;
export const recordPath = (dataPath: string): string => `${dataPath}.record`;
