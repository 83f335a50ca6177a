/** How a storage node is at the moment, told when somebody asks. */
import type { GaugeName } from "../../core/metrics.ts";
import type { Metrics } from "../../core/ports/metrics.ts";
import { UPLOAD_STATES } from "../../core/shapes.ts";
import type { BlobReader } from "./blob-reader.ts";
import type { BlobStore } from "./blob-store.ts";
import type { Capacity, Space } from "./capacity.ts";
import type { Sessions } from "./sessions.ts";

interface ToldNode {
  readonly capacity: Capacity;
  readonly sessions: Pick<Sessions, "countByState">;
  readonly blobs: Pick<BlobStore, "retiredCount">;
  readonly reader: Pick<BlobReader, "openBlobCount">;
  isSuspect(): boolean;
}

type SpaceGauge = Extract<GaugeName, "troupe_disk_total_bytes" | "troupe_disk_free_bytes" | "troupe_disk_reserved_bytes">;

/** @returns ends it */
export function tellNode(metrics: Metrics, { capacity, sessions, blobs, reader, isSuspect }: ToldNode): () => void {
  // One question to the disk a scrape, whichever of the three is read first.
  let asking: Promise<Space> | undefined;
  const space = (name: SpaceGauge, field: keyof Space): (() => void) =>
    metrics.read(name, async () => {
      asking ??= capacity.space().finally(() => {
        asking = undefined;
      });
      return [{ labels: {}, value: (await asking)[field] }];
    });
  const ends = [
    metrics.read("troupe_uploads", () => {
      const counts = sessions.countByState();
      return UPLOAD_STATES.map((state) => ({ labels: { state }, value: counts.get(state) ?? 0 }));
    }),
    space("troupe_disk_total_bytes", "totalBytes"),
    space("troupe_disk_free_bytes", "freeBytes"),
    space("troupe_disk_reserved_bytes", "reservedBytes"),
    metrics.read("troupe_disk_suspect", () => [{ labels: {}, value: isSuspect() ? 1 : 0 }]),
    metrics.read("troupe_blobs_open", () => [{ labels: {}, value: reader.openBlobCount }]),
    metrics.read("troupe_blobs_retired", () => [{ labels: {}, value: blobs.retiredCount }]),
  ];
  return () => {
    for (const end of ends) end();
  };
}
