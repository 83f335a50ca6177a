/**
 * The catalog as an actor. All it knows is in the database, so its turns only start effects: any number of catalogs may answer, and a
 * restart loses nothing. Beside its answers it delivers the outbox and removes what has expired.
 */
import type { Activation, Self } from "../../bus/actor.ts";
import { mustBeSystem } from "../../bus/system-only.ts";
import type { Log } from "../../core/log.ts";
import type { Bus } from "../../core/ports/bus.ts";
import type { Cache } from "../../core/ports/cache.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { askDatabase } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { showBlobState } from "./blob-state.ts";
import { commitFile } from "./commit.ts";
import type { catalog } from "./contract.ts";
import { deleteFile } from "./delete.ts";
import { listFiles, renameFile } from "./files.ts";
import { findByName, listFolder, listUsers } from "./folders.ts";
import { checkFormat } from "./format.ts";
import { commitKnown, instantUpload } from "./known-commit.ts";
import { findOwnContent, findProvableContent } from "./known-content.ts";
import { lookUpFile } from "./lookup.ts";
import { publishEvents, recordFiles, retireBlobs } from "./outbox-delivery.ts";
import { OutboxSweep, type OutboxSweepOptions } from "./outbox-sweep.ts";
import type { CatalogPorts } from "./ports.ts";
import { Purge } from "./purge.ts";
import type { CatalogDatabase, OutboxKind } from "./tables.ts";
import { listUploads } from "./upload-listing.ts";
import { claimUpload, endUpload, findCreatedUpload, listHostedUploads, registerUpload, showUpload } from "./uploads.ts";

export interface CatalogOptions {
  readonly database: CatalogDatabase;
  readonly cache: Cache;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The number of file tables the database must have been made with; the program's own unless given. */
  readonly shardCount?: number;
}

/** Starting rejects with `SETTING_INVALID` or `FORMAT_TOO_NEW` when the database was made for another program. */
export function startCatalog(options: CatalogOptions): (self: Self) => Promise<Activation<typeof catalog>> {
  return async (self) => {
    await checkFormat(options.database, options.shardCount);
    const sweeps = sweepsOf(options, self.signal);
    const purge = new Purge(options);
    const ports: CatalogPorts = {
      ...options,
      wake: (...kinds) => {
        for (const kind of kinds) sweeps[kind].wake();
      },
    };
    // What an earlier life of this catalog, or another one, has left to do.
    for (const sweep of Object.values(sweeps)) sweep.wake();
    purge.start();
    return {
      handlers: {
        registerUpload: (input, turn) => turn.later(registerUpload(ports, turn.principal, input)),
        createdUpload: (input, turn) => turn.later(findCreatedUpload(ports, turn.principal, input)),
        claimUpload: (input, turn) => turn.later(claimUpload(ports, turn.principal, input)),
        endUpload: (input, turn) => turn.later(endUpload(ports, turn.principal, input)),
        commitFile: (input, turn) => turn.later(commitFile(ports, turn.principal, input)),
        ownContent: (input, turn) => turn.later(findOwnContent(ports, turn.principal, input)),
        instantUpload: (input, turn) => turn.later(instantUpload(ports, turn.principal, input)),
        provableContent: (input, turn) => {
          mustBeSystem(turn, PROVEN_BY_HOST);
          return turn.later(findProvableContent(ports, input));
        },
        commitKnown: (input, turn) => {
          mustBeSystem(turn, PROVEN_BY_HOST);
          return turn.later(commitKnown(ports, turn.principal, input));
        },
        ready: (_, turn) => turn.later(askDatabase(ports.database)),
        hostedUploads: (input, turn) => turn.later(listHostedUploads(ports, turn.principal, input)),
        blobState: (input, turn) => turn.later(showBlobState(ports, input)),
        upload: ({ uploadId }, turn) => turn.later(showUpload(ports, turn.principal, uploadId)),
        uploads: (input, turn) => turn.later(listUploads(ports, turn.principal, input)),
        file: ({ fileId }, turn) => turn.later(lookUpFile(ports, turn.principal, fileId)),
        files: (input, turn) => turn.later(listFiles(ports, turn.principal, input)),
        folder: (input, turn) => turn.later(listFolder(ports, turn.principal, input)),
        fileByName: (input, turn) => turn.later(findByName(ports, turn.principal, input)),
        users: (input, turn) => turn.later(listUsers(ports, turn.principal, input)),
        renameFile: (input, turn) => turn.later(renameFile(ports, turn.principal, input)),
        deleteFile: ({ fileId }, turn) => turn.later(deleteFile(ports, turn.principal, fileId)),
      },
      stop: async () => {
        await Promise.all([purge.stop(), ...Object.values(sweeps).map((sweep) => sweep.stop())]);
      },
    };
  };
}

const PROVEN_BY_HOST = "Whether somebody has the bytes of a digest is for the upload's host to find out.";

/** One for each kind: a node that does not answer about a retired blob holds up no event. */
function sweepsOf(options: CatalogOptions, signal: AbortSignal): Record<OutboxKind, OutboxSweep> {
  const { bus, database } = options;
  const sweep = (kind: OutboxKind, deliver: OutboxSweepOptions["deliver"]): OutboxSweep => new OutboxSweep({ ...options, kind, deliver });
  return {
    event: sweep("event", (claim) => publishEvents(bus, claim)),
    "blob.referred": sweep("blob.referred", (claim) => recordFiles({ bus, database, signal }, claim)),
    "blob.retired": sweep("blob.retired", (claim) => retireBlobs({ bus, database, signal }, claim)),
  };
}
