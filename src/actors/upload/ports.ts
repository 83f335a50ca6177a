/** What a session needs from the node that hosts it. Type-only: the storage node imports this, and composition hands the session in. */

import type { ActorDirectory } from "../../bus/actor-directory.ts";
import type { Client } from "../../bus/client.ts";
import type { RequestBooks } from "../../bus/request-book.ts";
import type { BlobPlace } from "../../core/blob-path.ts";
import type { MachineFeed, MachineInspection } from "../../core/inspection.ts";
import type { Log } from "../../core/log.ts";
import type { Bus } from "../../core/ports/bus.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { ChunkBody, ChunkStored, DataAccess, DataPlane } from "../../core/ports/data-plane.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import type { Metrics } from "../../core/ports/metrics.ts";
import type { Random } from "../../core/ports/random.ts";
import type { Challenge, FileDigests, Operation, UploadState } from "../../core/shapes.ts";
import type { SpanBook } from "../../core/span-book.ts";
import type { WriteBlocks } from "../../core/write-blocks.ts";
import type { catalog, FileRecord, UploadPlan } from "../catalog/contract.ts";
import type { SessionStep } from "./machine.ts";

/** What an upload is created with, which its journal begins with. */
export interface UploadCreation {
  readonly plan: UploadPlan;
  readonly owner: string;
  /** Absent when it was asked for without a key. */
  readonly operation?: Operation | undefined;
}

/** The hosting node, as a session sees it. */
export interface SessionNode {
  readonly nodeId: string;
  readonly group: string;
  /** The upload's folder. */
  folderOf(uploadId: string): string;
  /** @throws {TroupeError} `DISK_FULL` */
  reserve(bytes: number): Promise<void>;
  /** A reservation granted before a restart. */
  restoreReservation(bytes: number): void;
  /** Reserved bytes are on the disk, or not needed any more. */
  settle(bytes: number): void;
  grantWrite(uploadId: string): DataAccess;
  allocateBlob(): Promise<BlobPlace>;
  publishBlob(
    place: BlobPlace,
    synced: { readonly dataPath: string; readonly leavesPath: string },
    blob: { readonly sizeBytes: number; readonly digests: FileDigests; readonly file: FileRecord },
  ): Promise<void>;
  /** A blob of the same content: made of these bytes again where it is damaged or lost. */
  mendBlob(
    place: BlobPlace,
    synced: { readonly dataPath: string; readonly leavesPath: string },
    blob: { readonly sizeBytes: number; readonly digests: FileDigests; readonly file: FileRecord },
  ): Promise<void>;
  discardBlob(place: BlobPlace): Promise<void>;
  /** Removes what a commit that did not happen has put among the blobs; what the catalog knows stays. */
  discardUnlessKnown(place: BlobPlace): Promise<void>;
  /** The disk did not do what it promised: no new uploads until somebody has looked. */
  suspect(error: unknown): void;
  /** The session has ended and holds nothing any more. */
  ended(uploadId: string): void;
}

export interface SessionPorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly hasher: Hasher;
  /** Memory that the bodies of all sessions share. */
  readonly blocks: WriteBlocks;
  readonly catalog: Client<typeof catalog>;
  readonly node: SessionNode;
  /** To the parts of uploads that are put together. */
  readonly dataPlane: DataPlane;
  /** Where requests to all sessions are counted together. */
  readonly requestBooks?: RequestBooks | undefined;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics | undefined;
  /** Where turns and effects are written down. */
  readonly spans?: SpanBook | undefined;
  readonly actors?: ActorDirectory | undefined;
  /** To those who watch sessions. */
  readonly feeds?: SessionFeeds | undefined;
  /** Told of every event of a session's machine, inside its turn. */
  readonly onStep?: ((uploadId: string, step: SessionStep) => void) | undefined;
}

/** A session as others see it, also after it has ended. */
export interface InspectedSession {
  /** The number of the newest step of its machine. */
  readonly steps: number;
  told(): MachineInspection;
  /** @param after steps of a higher number */
  news(uploadId: string, after: number): MachineFeed;
}

/** Where sessions say that there is something new to see. It is published only while somebody listens. */
export interface SessionFeeds {
  changed(uploadId: string): void;
  /** Somebody looks at it, and may listen from now on. */
  looked(uploadId: string): void;
  ended(uploadId: string): void;
}

export interface SessionOptions {
  readonly uploadId: string;
  /** From the catalog: requests with another are refused. */
  readonly epoch: number;
  readonly idleExpiryMs: number;
  /** No file grows past this, also where the size was not declared. */
  readonly fileBytesMax: number;
}

/** A session that is hosted: on the bus by its contract, and in this process for bytes. */
export interface HostedSession {
  readonly summary: SessionSummary;
  /** Also after it has ended. */
  readonly inspection: InspectedSession;
  /** Absent when possession of its content cannot be proven (any more). */
  readonly challenge: Challenge | undefined;
  storeChunk(chunk: ChunkBody): Promise<ChunkStored>;
  /** See the DataPlane port. */
  read(offset: number, lengthBytes: number): Promise<ByteStream>;
  /** Everything it holds is on the disk and closed; it goes on at the next start. */
  stop(): Promise<void>;
}

export interface SessionSummary {
  readonly state: UploadState;
  readonly sinceMs: number;
  readonly receivedCount: number;
  readonly chunkCount: number | undefined;
}

export type HostSession = (ports: SessionPorts, options: SessionOptions) => Promise<HostedSession>;
