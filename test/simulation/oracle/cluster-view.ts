/** The cluster as the oracle sees it from outside: what is committed, what lies on disks, what processes carry. It changes nothing. */
import { leavesPath } from "../../../src/actors/storage/layout.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../../src/core/limits.ts";
import { type Cluster, DATA_ROOT } from "../cluster.ts";
import type { ByteRange } from "../disk/byte-ranges.ts";
import type { Breach, Rows } from "./breach.ts";
import type { Burdens } from "./burdens.ts";
import type { NodeFiles } from "./stored-blobs.ts";

export class ClusterView {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Of the database `storage`. */
  readonly rows: Rows = (sql) => this.#cluster.databases.storage.inspect((committed) => committed.rows(sql));

  get nodes(): NodeFiles[] {
    return [...this.#cluster.disks].map(([nodeId, disk]) => ({
      nodeId,
      root: DATA_ROOT,
      files: new Map(
        disk
          .files()
          .filter(({ path }) => path.startsWith(`${DATA_ROOT}/`))
          .map(({ path, sizeBytes }) => [path, sizeBytes]),
      ),
      read: (path) => {
        const inode = disk.tree.find(path);
        if (inode?.kind !== "file") return new Uint8Array();
        const bytes = new Uint8Array(inode.sizeBytes);
        inode.read(bytes, 0);
        return bytes;
      },
    }));
  }

  /** Leaves of the blob that went wrong on a disk, or whose digests did, as ranges of its bytes. @param path below the folder of blobs */
  damageOf(path: string): ByteRange[] {
    const data = `${DATA_ROOT}/blobs/${path}`;
    const leaves = (ranges: readonly ByteRange[], bytesOfLeaf: number): ByteRange[] =>
      ranges.map(({ from, to }) => ({
        from: Math.floor(from / bytesOfLeaf) * LEAF_BYTES,
        to: Math.ceil(to / bytesOfLeaf) * LEAF_BYTES,
      }));
    return [...this.#cluster.disks.values()].flatMap((disk) => [
      ...leaves(disk.damageAt(data), LEAF_BYTES),
      ...leaves(disk.damageAt(leavesPath(data)), LEAF_DIGEST_BYTES),
    ]);
  }

  /** @param path below the folder of blobs */
  isDamaged(path: string): boolean {
    return this.damageOf(path).length > 0;
  }

  notReady(): Breach[] {
    return this.#cluster.serverNames
      .filter((name) => !this.#cluster.isReady(name))
      .map((name) => ({ rule: "does-not-come-up", sentence: `${name} is not ready` }));
  }

  burdens(): Burdens {
    const onBus = new Map(this.#cluster.bus.probe().map((probe) => [probe.process, probe]));
    return new Map(
      this.#cluster.serverNames.map((name) => {
        const bus = onBus.get(name);
        const network = this.#cluster.network.probe(name);
        return [
          name,
          [
            { kind: "subscriptions", count: bus?.subscriptions ?? 0 },
            { kind: "open requests", count: bus?.openRequests ?? 0 },
            { kind: "waiting messages", count: bus?.waitingMessages ?? 0 },
            { kind: "timers", count: this.#cluster.life(name)?.waitingCount ?? 0 },
            { kind: "exchanges asked", count: network.askedCount },
            { kind: "exchanges answered", count: network.answeringCount },
          ],
        ] as const;
      }),
    );
  }

  /** No ID that the database would give out is one that a live blob has. */
  idBreaches(): Breach[] {
    const next = this.#cluster.databases.ids.inspect((committed) =>
      committed.rows("SELECT next_value FROM t_id_gen WHERE CAST(id_key AS TEXT) = 'blob'"),
    )[0]?.["next_value"];
    const highest = this.rows("SELECT max(blob_id) AS highest FROM t_blob WHERE live IS 1")[0]?.["highest"];
    if (highest === null || highest === undefined || (next !== undefined && BigInt(String(next)) > BigInt(String(highest)))) return [];
    return [{ rule: "id-to-be-repeated", sentence: `blob ${highest} is there, and the counter stands at ${next ?? "nothing"}` }];
  }
}
