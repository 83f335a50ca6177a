/**
 * The whole cast on one bus: tracker, ID allocator, catalog and one storage node, wired over ports that are handed in. What runs in
 * production, in tests and in simulations differs only in those ports.
 *
 * Starting goes from what others need to what needs others; stopping goes the same way back.
 */
import { startCatalog } from "../actors/catalog/actor.ts";
import { catalog } from "../actors/catalog/contract.ts";
import type { CatalogTables } from "../actors/catalog/tables.ts";
import { startIds } from "../actors/ids/actor.ts";
import { ids } from "../actors/ids/contract.ts";
import type { IdsTables } from "../actors/ids/tables.ts";
import { type StorageNode, type StorageOptions, startStorage } from "../actors/storage/actor.ts";
import { startTracker } from "../actors/tracker/actor.ts";
import { tracker } from "../actors/tracker/contract.ts";
import type { TrackerTables } from "../actors/tracker/tables.ts";
import { hostSession } from "../actors/upload/actor.ts";
import { createSessionFolder } from "../actors/upload/session-files.ts";
import { readSessionJournal } from "../actors/upload/session-journal.ts";
import { host } from "../bus/host.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Cache } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Database } from "../core/ports/database.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import type { Random } from "../core/ports/random.ts";
import type { TokenMint } from "../data-plane/token.ts";

export interface CastPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly cache: Cache;
  readonly tokens: TokenMint;
  /** A connection of its own for each actor. */
  readonly connect: () => Bus;
  readonly databases: {
    readonly tracker: Database<TrackerTables>;
    readonly ids: Database<IdsTables>;
    readonly storage: Database<CatalogTables>;
  };
}

export interface CastOptions extends Omit<StorageOptions, "createFolder" | "readFolder" | "hostSession"> {
  readonly offlineAfterMs: number;
}

/** Steps that take back what was started, in the order of starting. */
export type Undo = (() => Promise<void>)[];

/** @param undo gets a step for each part that was started, also when a later part fails */
export async function startCast(cast: CastPorts, options: CastOptions, undo: Undo): Promise<StorageNode> {
  const { disk, hasher, databases } = cast;
  const connect = (): Bus => {
    const bus = cast.connect();
    undo.push(() => bus.drain());
    return bus;
  };
  const trackerActor = await host(connect(), tracker, {}, cast, startTracker({ ...cast, ...options, database: databases.tracker }));
  undo.push(() => trackerActor.stop());
  const idsActor = await host(connect(), ids, {}, cast, startIds({ ...cast, database: databases.ids }));
  undo.push(() => idsActor.stop());
  const catalogBus = connect();
  const catalogActor = await host(catalogBus, catalog, {}, cast, startCatalog({ ...cast, database: databases.storage, bus: catalogBus }));
  undo.push(() => catalogActor.stop());
  const node = await startStorage(
    { ...cast, bus: connect() },
    {
      ...options,
      hostSession,
      createFolder: (folder, plan, owner) => createSessionFolder(disk, hasher, folder, plan, owner),
      readFolder: (folder) => readSessionJournal(disk, hasher, folder, options.fileBytesMax),
    },
  );
  undo.push(() => node.stop());
  return node;
}
