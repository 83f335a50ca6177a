/**
 * A storage node: one data directory, its blobs, and the sessions it hosts. It takes its name before it recovers, and recovers before
 * anything is placed on it.
 */

import { join } from "node:path";
import type { Activation, Handlers, HostedActor } from "../../bus/actor.ts";
import type { ActorDirectory } from "../../bus/actor-directory.ts";
import { type Client, client } from "../../bus/client.ts";
import { host } from "../../bus/host.ts";
import type { RequestBooks } from "../../bus/request-book.ts";
import { mustBeSystem } from "../../bus/system-only.ts";
import type { BlobPlace } from "../../core/blob-path.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import { FileIdMaker } from "../../core/file-id.ts";
import { LEAF_BYTES } from "../../core/limits.ts";
import type { LoadWatch } from "../../core/load-watch.ts";
import type { Log } from "../../core/log.ts";
import type { Bus } from "../../core/ports/bus.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataPlane, UploadRange } from "../../core/ports/data-plane.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import { type Counter, type Metrics, SILENT_METRICS } from "../../core/ports/metrics.ts";
import type { Random } from "../../core/ports/random.ts";
import { withRetry } from "../../core/retry.ts";
import type { SpanBook } from "../../core/span-book.ts";
import { WriteBlocks } from "../../core/write-blocks.ts";
import type { ByteService } from "../../data-plane/byte-service.ts";
import type { TokenMint } from "../../data-plane/token.ts";
import { catalog } from "../catalog/contract.ts";
import { BLOB_KEY, ids } from "../ids/contract.ts";
import { tracker } from "../tracker/contract.ts";
import type { SessionNode, SessionPorts } from "../upload/ports.ts";
import { BlobAllocation } from "./blob-allocation.ts";
import { isProven } from "./blob-proof.ts";
import { BlobReader } from "./blob-reader.ts";
import type { BlobRecord } from "./blob-record.ts";
import { BlobStore, type SyncedBlob } from "./blob-store.ts";
import { Capacity } from "./capacity.ts";
import { storage } from "./contract.ts";
import type { DataDirectory } from "./data-directory.ts";
import { LostUploads } from "./lost-uploads.ts";
import { Membership } from "./membership.ts";
import { tellNode } from "./node-metrics.ts";
import { SessionRecovery, type SessionRecoveryOptions } from "./session-recovery.ts";
import { Sessions, type SessionsOptions } from "./sessions.ts";
import { StepFeed } from "./step-feed.ts";

export interface StoragePorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly tokens: TokenMint;
  /** To the bytes of any node, this one included. */
  readonly dataPlane: (self: ByteService) => DataPlane;
  /** Where requests to the node and to its sessions are counted. */
  readonly requestBooks?: RequestBooks | undefined;
  readonly spans?: SpanBook | undefined;
  readonly actors?: ActorDirectory | undefined;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics | undefined;
  /** Absent: there is never too much to do. */
  readonly load?: LoadWatch | undefined;
  /** Told of every event of its sessions' machines. */
  readonly onStep?: SessionPorts["onStep"];
}

export interface StorageOptions extends SessionsOptions, Omit<SessionRecoveryOptions, "layout"> {
  readonly directory: DataDirectory;
  readonly group: string;
  readonly zone: string;
  readonly version: string;
  readonly heartbeatMs: number;
  readonly verifyAgeMs: number;
  readonly deleteGraceMs: number;
  /** Free space that uploads never get. */
  readonly diskReserveBytes: number;
  /** Where the data server is reached from outside this process. */
  readonly dataUrl?: string | undefined;
  /** Another node has this one's name: it takes nothing new, and whoever started it stops it. */
  readonly onNameLost: (refusal: TroupeError) => void;
}

export interface StorageNode extends ByteService {
  /** Not placed any more, sessions put away, files closed. */
  stop(): Promise<void>;
}

/**
 * Resolves when the node has recovered and tried to join.
 * @throws {TroupeError} `FORBIDDEN` when a live node has its name
 */
export async function startStorage(ports: StoragePorts, options: StorageOptions): Promise<StorageNode> {
  const node = new Node(ports, options);
  await node.start();
  return node;
}

/** When a whole rack is switched on, those a node has to ask come up when they come up. */
const START_RETRY = { attemptsMax: Number.MAX_SAFE_INTEGER, pauseMinMs: 100, pauseMaxMs: 2_000 };

class Node implements StorageNode {
  readonly nodeId: string;
  readonly #ports: StoragePorts;
  readonly #options: StorageOptions;
  readonly #capacity: Capacity;
  readonly #blobs: BlobStore;
  readonly #reader: BlobReader;
  readonly #sessions: Sessions;
  readonly #recovery: SessionRecovery;
  readonly #feed: StepFeed;
  readonly #lostUploads: LostUploads;
  readonly #membership: Membership;
  readonly #allocator: Client<typeof ids>;
  readonly #catalog: Client<typeof catalog>;
  #actor: HostedActor | undefined;
  #suspect: string | undefined;
  /** Found on the disk at the start, of a blob or of an upload that is to become one; later ones the allocator knows itself. */
  #highestBlobId: number | undefined;
  #isStopping = false;
  readonly #mended: Counter;
  #endTelling: (() => void) | undefined;

  constructor(ports: StoragePorts, options: StorageOptions) {
    const { bus, clock, random, log, disk } = ports;
    const { layout, nodeId } = options.directory;
    this.nodeId = nodeId;
    this.#ports = ports;
    this.#options = options;
    this.#capacity = new Capacity(disk, layout.root, options.diskReserveBytes);
    this.#blobs = new BlobStore(ports, layout, options.deleteGraceMs);
    this.#reader = new BlobReader(ports, this.#blobs, options.verifyAgeMs);
    this.#allocator = client(bus, ids);
    this.#catalog = client(bus, catalog);
    this.#feed = new StepFeed(ports, (uploadId) => this.#sessions.inspected(uploadId));
    const sessionPorts = {
      ...ports,
      dataPlane: ports.dataPlane(this),
      blocks: new WriteBlocks(),
      catalog: this.#catalog,
      node: this.#sessionNode(new BlobAllocation(this.#allocator, clock)),
      feeds: this.#feed,
    };
    this.#sessions = new Sessions(sessionPorts, new FileIdMaker(clock, random, nodeId), options);
    this.#recovery = new SessionRecovery(sessionPorts, { ...options, layout }, this.#sessions);
    this.#lostUploads = new LostUploads(sessionPorts, {
      nodeId,
      directoryMadeMs: options.directory.madeMs,
      folderOf: sessionPorts.node.folderOf,
      isHosted: (uploadId) => this.#sessions.isHosted(uploadId),
      isForgotten: (uploadId) => this.#sessions.isForgotten(uploadId),
      isDirectoryThere: () => options.directory.isThere(),
      hasName: () => this.#membership.isKnown,
    });
    const { metrics = SILENT_METRICS } = ports;
    const missed = metrics.counter("troupe_heartbeat_failures_total", {});
    this.#mended = metrics.counter("troupe_blobs_mended_total", {});
    this.#membership = new Membership(client(bus, tracker), clock, log, {
      heartbeatMs: options.heartbeatMs,
      announce: () => this.#announce(),
      missed: () => missed.add(),
      nameLost: (refusal) => {
        this.#isStopping = true;
        options.onNameLost(refusal);
      },
    });
  }

  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.#putAway();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { bus, metrics } = this.#ports;
    const hasName = await this.#membership.takeName();
    await this.#blobs.recover();
    const highest = highestOf([await this.#blobs.highestBlobId(), await this.#recovery.readRecorded()]);
    this.#highestBlobId = highest;
    if (highest !== undefined) await this.#answered("an ID allocator", () => this.#raise(highest));
    const committing = await this.#recovery.recover();
    if (hasName) await this.#lostUploads.look();
    if (highest !== undefined) await this.#warnOfLostCatalog((blobId) => blobId <= highest && !committing.has(blobId));
    this.#actor = await host(bus, storage, { nodeId: this.nodeId }, this.#ports, async () => this.#activation());
    await this.#membership.start();
    this.#lostUploads.start();
    if (metrics !== undefined)
      this.#endTelling = tellNode(metrics, {
        capacity: this.#capacity,
        sessions: this.#sessions,
        blobs: this.#blobs,
        reader: this.#reader,
        isSuspect: () => this.#suspicion !== undefined,
      });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#membership.stop();
    await this.#putAway();
  }

  async #putAway(): Promise<void> {
    this.#endTelling?.();
    await this.#lostUploads.stop();
    await this.#actor?.stop();
    await this.#recovery.stop();
    await this.#sessions.stop();
    this.#feed.stop();
    await this.#blobs.close();
    await this.#reader.close();
  }

  /** Waits, and says for whom, until somebody answers. */
  #answered<T>(whom: string, ask: () => Promise<T>): Promise<T> {
    return withRetry(START_RETRY, this.#ports, ask, (error) => {
      if (!isRetryable(error)) return false;
      this.#ports.log.warn({ err: error }, `This node starts when ${whom} answers; none does yet.`);
      return true;
    });
  }

  /** One allocator that knows the floor has it in the database, where the others find it at their next step. */
  async #raise(highest: number): Promise<void> {
    const answers = await this.#allocator.raise({ key: BLOB_KEY, highest }, { answersMax: 1 });
    const refused = answers.find((answer) => !answer.ok);
    if (!answers.some((answer) => answer.ok))
      throw refused?.ok === false ? refused.error : new TroupeError("UNAVAILABLE", "No ID allocator answers.");
  }

  async storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    return await this.#sessions.storeChunk(chunk);
  }

  async readBlob(range: BlobRange): Promise<ByteStream> {
    return await this.#reader.read(range);
  }

  async readUpload({ uploadId, offset, lengthBytes }: UploadRange): Promise<ByteStream> {
    return await this.#sessions.find(uploadId).read(offset, lengthBytes);
  }

  #activation(): Activation<typeof storage> {
    return { handlers: this.#handlers };
  }

  readonly #handlers: Handlers<typeof storage> = {
    createUpload: (input, turn) => {
      const suspicion = this.#suspicion;
      if (suspicion !== undefined) throw new TroupeError("DISK_FAILED", `Node ${this.nodeId} takes no uploads: ${suspicion}`);
      if (this.#isStopping) throw new TroupeError("STOPPING");
      this.#ports.load?.mustTakeNew();
      return turn.later(this.#sessions.create(input, turn.principal));
    },
    grantRead: ({ blobId, path, sizeBytes }, turn) =>
      turn.later(
        this.#reader
          .mustHold({ blobId, path }, sizeBytes)
          .then(() => this.#access(this.#ports.tokens.mint({ kind: "read", blobId, path, sizeBytes }))),
      ),
    holdBlob: ({ blobId, path, sizeBytes }, turn) => turn.later(this.#reader.mustBeSound({ blobId, path }, sizeBytes).then(() => ({}))),
    proveBlob: (proof, turn) => {
      mustBeSystem(turn, "Bytes are compared for hosts of uploads only.");
      return turn.later(isProven(this.#reader, proof).then((proven) => ({ isProven: proven })));
    },
    recordFile: ({ blobId, path, file }, turn) => turn.later(this.#blobs.recordFile({ blobId, path }, file).then(() => ({}))),
    retireBlob: ({ blobId, path }, turn) => {
      const retiring = this.#blobs.retire({ blobId, path });
      // Refused from now on, so that nobody opens it again.
      this.#reader.forget(blobId);
      return turn.later(retiring.then(() => ({})));
    },
    status: async (_, turn) => turn.later(this.#status()),
    inspectUpload: ({ uploadId }) => {
      const session = this.#sessions.inspected(uploadId);
      if (session === undefined) throw new TroupeError("UPLOAD_NOT_FOUND", `Node ${this.nodeId} has no log of it (any more).`);
      this.#feed.looked(uploadId);
      return session.told();
    },
    uploads: ({ cursor, limit }) => {
      const rest = this.#sessions.list().filter(([uploadId]) => cursor === undefined || uploadId > cursor);
      const page = rest.slice(0, limit);
      const uploads = page.map(([uploadId, { summary }]) => ({
        uploadId,
        state: summary.state,
        sinceMs: summary.sinceMs,
        receivedCount: summary.receivedCount,
        ...(summary.chunkCount === undefined ? {} : { chunkCount: summary.chunkCount }),
      }));
      const last = page.at(-1)?.[0];
      return { uploads, ...(rest.length > limit && last !== undefined ? { cursor: last } : {}) };
    },
  };

  async #status() {
    const space = await this.#capacity.space();
    const suspect = this.#suspicion;
    return {
      nodeId: this.nodeId,
      group: this.#options.group,
      zone: this.#options.zone,
      startedMs: this.#options.directory.startedMs,
      ...space,
      uploadCount: this.#sessions.count,
      retiredCount: this.#blobs.retiredCount,
      openBlobCount: this.#reader.openBlobCount,
      ...(suspect === undefined ? {} : { suspect }),
      ...(this.#options.dataUrl === undefined ? {} : { dataUrl: this.#options.dataUrl }),
    };
  }

  async #announce() {
    const { group, zone, version, dataUrl } = this.#options;
    const { totalBytes, freeBytes } = await this.#capacity.space();
    const highestBlobId = this.#highestBlobId;
    return {
      nodeId: this.nodeId,
      group,
      zone,
      version,
      startedMs: this.#options.directory.startedMs,
      directoryMadeMs: this.#options.directory.madeMs,
      totalBytes,
      freeBytes,
      closedToUploads: this.#isStopping || this.#suspicion !== undefined || freeBytes === 0,
      ...(dataUrl === undefined ? {} : { dataUrl }),
      ...(highestBlobId === undefined ? {} : { highestBlobId }),
    };
  }

  #access(token: string) {
    const { dataUrl } = this.#options;
    return { nodeId: this.nodeId, token, ...(dataUrl === undefined ? {} : { url: dataUrl }) };
  }

  #sessionNode(allocation: BlobAllocation): SessionNode {
    const { group } = this.#options;
    return {
      nodeId: this.nodeId,
      group,
      folderOf: (uploadId) => join(this.#options.directory.layout.uploads, uploadId),
      reserve: (bytes) => this.#capacity.reserve(bytes),
      restoreReservation: (bytes) => this.#capacity.restore(bytes),
      settle: (bytes) => this.#capacity.settle(bytes),
      grantWrite: (uploadId) => this.#access(this.#ports.tokens.mint({ kind: "write", uploadId })),
      allocateBlob: () => allocation.next(),
      publishBlob: (place, synced, { sizeBytes, digests, file }) =>
        this.#blobs.publish(place, synced, { blobId: place.blobId, group, sizeBytes, leafBytes: LEAF_BYTES, digests, files: [file] }),
      mendBlob: (place, synced, { sizeBytes, digests, file }) =>
        this.#mendBlob(place, synced, { blobId: place.blobId, group, sizeBytes, leafBytes: LEAF_BYTES, digests, files: [file] }),
      discardBlob: (place) => this.#blobs.discard(place),
      discardUnlessKnown: (place) => this.#discardUnlessKnown(place),
      suspect: (error) => this.#becomeSuspect(error),
      ended: (uploadId) => this.#sessions.ended(uploadId),
    };
  }

  /** The same content has come again: where the blob's own bytes are damaged, these take their place. */
  async #mendBlob(place: BlobPlace, synced: SyncedBlob, record: BlobRecord): Promise<void> {
    // What is on the disk now, not what was when it was opened.
    this.#reader.forget(place.blobId);
    if (await this.#reader.isIntact(place, record.sizeBytes)) return await this.#blobs.ensureRecord(place, record);
    this.#ports.log.warn(
      { blobId: place.blobId, path: place.path },
      "A damaged blob is mended with bytes of the same content that were uploaded again.",
    );
    await this.#blobs.replace(place, synced, record);
    this.#mended.add();
    this.#reader.forget(place.blobId);
  }

  async #discardUnlessKnown(place: BlobPlace): Promise<void> {
    const { blobId, path } = place;
    const { state } = await this.#catalog.blobState({ blobId, path });
    if (state === "unknown") await this.#blobs.discard(place);
  }

  /**
   * The database may have been lost while the disk was kept. Nothing is removed for that; somebody has to know.
   * @param wasCommitted of an upload that is still committing, or has gone on meanwhile, the catalog need not know the blob
   */
  async #warnOfLostCatalog(wasCommitted: (blobId: number) => boolean): Promise<void> {
    const highestBlobId = await this.#blobs.highestBlobId(wasCommitted);
    if (highestBlobId === undefined) return;
    const { state } = await this.#answered("a catalog", () => this.#catalog.blobState({ blobId: highestBlobId }));
    if (state === "unknown")
      this.#ports.log.error(
        { highestBlobId },
        "The catalog does not know the newest blob on this disk. Was the database lost or replaced? No blob is removed; restore the database from a backup.",
      );
  }

  /** Why this disk is not to be trusted: what a session met, or any other sync, also one that nobody waited for. */
  get #suspicion(): string | undefined {
    const { suspect } = this.#ports.disk;
    if (suspect !== undefined) this.#becomeSuspect(suspect);
    return this.#suspect;
  }

  #becomeSuspect(error: unknown): void {
    if (this.#suspect !== undefined) return;
    this.#suspect = error instanceof Error ? error.message : String(error);
    this.#ports.log.error(
      { err: error },
      "The disk did not do what it promised; this node takes no uploads until it is restarted. Reads go on.",
    );
  }
}

function highestOf(blobIds: readonly (number | undefined)[]): number | undefined {
  return blobIds.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
}
