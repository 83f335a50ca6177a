/**
 * The upload sessions a node hosts: created, let go when they have ended. What is found at a restart: `session-recovery.ts`.
 *
 * N1: an upload's folder and journal are durable before the catalog hears of it, and the catalog knows it before its creation is answered.
 * N2: no owner takes all: neither of the uploads a node hosts nor of the chunks that arrive.
 * N3: an operation that was done has its first answer, also where it could not be done again: its parts are gone, the disk is full.
 */
import { type Client, client, isNoResponders } from "../../bus/client.ts";
import type { InputOf, OutputOf } from "../../bus/contract.ts";
import { chooseChunkBytes } from "../../core/chunk-plan.ts";
import { TroupeError } from "../../core/errors.ts";
import type { FileIdMaker } from "../../core/file-id.ts";
import { CHUNKS_IN_FLIGHT_PER_NODE_MAX, ENDED_LOG_MS_DEFAULT, FORGOTTEN_UPLOADS_KEPT, SESSIONS_PER_NODE_MAX } from "../../core/limits.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { type Counter, SILENT_METRICS } from "../../core/ports/metrics.ts";
import { randomIdentity } from "../../core/ports/random.ts";
import type { Principal } from "../../core/principal.ts";
import { withRetry } from "../../core/retry.ts";
import { type Challenge, isEnded, type UploadState } from "../../core/shapes.ts";
import { Shares } from "../../core/shares.ts";
import type { catalog, UploadPlan } from "../catalog/contract.ts";
import { upload } from "../upload/contract.ts";
import type { HostedSession, HostSession, InspectedSession, SessionPorts, UploadCreation } from "../upload/ports.ts";
import type { storage } from "./contract.ts";
import { EndedLogs } from "./ended-logs.ts";

type Create = InputOf<typeof storage, "createUpload">;
type Created = OutputOf<typeof storage, "createUpload">;

export interface SessionsOptions {
  readonly fileBytesMax: number;
  readonly idleExpiryMs: number;
  /** How long it can be looked up what an upload went through that has ended; a day unless given. */
  readonly endedLogMs?: number;
  /** Makes an upload's folder durable, and opens it. */
  readonly createFolder: (folder: string, creation: UploadCreation) => Promise<void>;
  readonly hostSession: HostSession;
  /** How many bytes uploads have together that another is put together from. @throws {TroupeError} `UPLOAD_…`, naming the part */
  readonly sizeOfParts: (ports: SessionPorts, uploadIds: readonly string[], owner: string) => Promise<number>;
}

interface Hosted {
  readonly session: HostedSession;
  readonly owner: string;
}

const FIRST_EPOCH = 1;
const REGISTER_RETRY = { attemptsMax: 4, pauseMinMs: 50, pauseMaxMs: 1_000 };

export class Sessions {
  readonly #ports: SessionPorts;
  readonly #options: SessionsOptions;
  readonly #fileIds: FileIdMaker;
  readonly #hosted = new Map<string, Hosted>();
  /** Uploads hosted, or being created. */
  readonly #places = new Shares(SESSIONS_PER_NODE_MAX);
  /** Uploads of which nothing is here any more and of which the catalog has not said that it knew: the newest. */
  readonly #forgotten = new Set<string>();
  /** Uploads that are being created, until they are hosted or nothing is left of them. */
  readonly #opening = new Map<string, Promise<void>>();
  /** Chunk bodies on their way in. */
  readonly #arriving = new Shares(CHUNKS_IN_FLIGHT_PER_NODE_MAX);
  readonly #endedLogs: EndedLogs;
  readonly #ending = new Set<Promise<void>>();
  readonly #created: Counter;

  constructor(ports: SessionPorts, fileIds: FileIdMaker, options: SessionsOptions) {
    this.#ports = ports;
    this.#fileIds = fileIds;
    this.#options = options;
    this.#endedLogs = new EndedLogs(ports.clock, options.endedLogMs ?? ENDED_LOG_MS_DEFAULT);
    const { metrics = SILENT_METRICS } = ports;
    this.#created = metrics.counter("troupe_uploads_opened_total", { how: "created" });
  }

  get count(): number {
    return this.#hosted.size;
  }

  /** How many there are in each state. */
  countByState(): ReadonlyMap<UploadState, number> {
    const counts = new Map<UploadState, number>();
    for (const { session } of this.#hosted.values()) {
      const { state } = session.summary;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return counts;
  }

  /** By ID. */
  list(): [string, HostedSession][] {
    return [...this.#hosted]
      .map(([uploadId, { session }]): [string, HostedSession] => [uploadId, session])
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** @throws {TroupeError} `UPLOAD_NOT_FOUND` */
  find(uploadId: string): HostedSession {
    return this.#find(uploadId).session;
  }

  isHosted(uploadId: string): boolean {
    return this.#hosted.has(uploadId);
  }

  /** Nothing of it stayed in this life of the process, and the catalog may hear of the upload after that. */
  isForgotten(uploadId: string): boolean {
    return this.#forgotten.has(uploadId);
  }

  /** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `TOO_MANY`, and what the session throws */
  async storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    const { session, owner } = this.#find(chunk.uploadId);
    if (!this.#arriving.hasRoomFor(owner))
      throw new TroupeError("TOO_MANY", "As many of your chunks as can are arriving at this node already.");
    this.#arriving.add(owner);
    try {
      return await session.storeChunk(chunk);
    } finally {
      this.#arriving.remove(owner);
    }
  }

  /** N3 */
  async create(input: Create, principal: Principal): Promise<Created> {
    try {
      return await this.#begin(input, principal);
    } catch (error) {
      const { operation } = input;
      if (operation === undefined || !(error instanceof TroupeError) || error.code === "IDEMPOTENCY_CONFLICT") throw error;
      const { upload: earlier } = await this.#catalog.createdUpload({ operation }, { principal });
      if (earlier === undefined) throw error;
      return await this.#existing(earlier.uploadId, principal);
    }
  }

  async #begin(input: Create, principal: Principal): Promise<Created> {
    const parts = input.tus?.parts;
    const sizeBytes = parts === undefined ? input.sizeBytes : await this.#options.sizeOfParts(this.#ports, parts, principal.owner);
    if (sizeBytes !== undefined && sizeBytes > this.#options.fileBytesMax)
      throw new TroupeError("TOO_LARGE", `A file has at most ${this.#options.fileBytesMax} bytes here (--max-file).`);
    const chunkBytes = chooseChunkBytes(sizeBytes, input.chunkBytes, this.#options.fileBytesMax);
    const { owner } = principal;
    if (!this.#places.hasRoomFor(owner)) throw new TroupeError("TOO_MANY", "This node hosts as many of your uploads as it can already.");
    this.#places.add(owner);
    try {
      await this.#ports.node.reserve(sizeBytes ?? 0);
      try {
        return await this.#create({ ...input, sizeBytes, chunkBytes }, principal);
      } finally {
        // The session has its own reservation by now, or there is none.
        this.#ports.node.settle(sizeBytes ?? 0);
      }
    } finally {
      this.#places.remove(owner);
    }
  }

  /** Opens the session of an upload whose folder is there. */
  async host(uploadId: string, epoch: number, owner: string): Promise<void> {
    const session = await this.#options.hostSession(this.#ports, {
      uploadId,
      epoch,
      idleExpiryMs: this.#options.idleExpiryMs,
      fileBytesMax: this.#options.fileBytesMax,
    });
    this.#hosted.set(uploadId, { session, owner });
    this.#places.add(owner);
  }

  /** Nothing of it stays here: should the catalog hear of it after all, it is forgotten there as well. */
  forgotten(uploadId: string): void {
    this.#forgotten.add(uploadId);
    if (this.#forgotten.size > FORGOTTEN_UPLOADS_KEPT) this.#forgotten.delete(this.#forgotten.keys().next().value as string);
  }

  /** One that is hosted, or has ended lately. */
  inspected(uploadId: string): InspectedSession | undefined {
    return this.#hosted.get(uploadId)?.session.inspection ?? this.#endedLogs.find(uploadId);
  }

  /** The session holds nothing any more. */
  ended(uploadId: string): void {
    const hosted = this.#hosted.get(uploadId);
    if (hosted === undefined) return;
    this.#ports.feeds?.ended(uploadId);
    this.#endedLogs.keep(uploadId, hosted.session.inspection);
    this.#hosted.delete(uploadId);
    this.#places.remove(hosted.owner);
    const ending = hosted.session
      .stop()
      .catch((error: unknown) => this.#ports.log.error({ uploadId, err: error }, "An ended upload could not be stopped."))
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.#hosted.values()].map(({ session }) => session.stop()));
    await Promise.allSettled(this.#ending);
    this.#hosted.clear();
  }

  async #create(
    input: Omit<Create, "sizeBytes"> & { sizeBytes: number | undefined; chunkBytes: number },
    principal: Principal,
  ): Promise<Created> {
    const { clock, random, disk, node } = this.#ports;
    const uploadId = randomIdentity(random);
    const { app, user, name, contentType, sizeBytes, chunkBytes, digest, operation, tus } = input;
    const optional = {
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      ...(digest === undefined ? {} : { digest }),
      ...(tus === undefined ? {} : { tus }),
    };
    const plan: UploadPlan = {
      uploadId,
      fileId: this.#fileIds.next(user),
      app,
      user,
      name,
      contentType,
      chunkBytes,
      createdMs: clock.wallMs(),
      ...optional,
    };
    const folder = node.folderOf(uploadId);
    const opened = Promise.withResolvers<void>();
    this.#opening.set(uploadId, opened.promise);
    try {
      // N1
      await this.#options.createFolder(folder, { plan, owner: principal.owner, operation });
      const registration = { ...plan, host: node.nodeId, group: node.group, ...(operation === undefined ? {} : { operation }) };
      const registered = await withRetry(REGISTER_RETRY, this.#ports, () => this.#catalog.registerUpload(registration, { principal }));
      if (registered.uploadId !== uploadId) {
        this.forgotten(uploadId);
        await disk.remove(folder);
        return await this.#existing(registered.uploadId, principal);
      }
      await this.host(uploadId, registered.epoch, principal.owner);
      this.#created.add();
      const chunkCount = sizeBytes === undefined ? undefined : Math.ceil(sizeBytes / chunkBytes);
      return {
        uploadId,
        epoch: registered.epoch,
        chunkBytes,
        ...(chunkCount === undefined ? {} : { chunkCount }),
        state: "receiving",
        missing: chunkCount === undefined || chunkCount === 0 ? [] : [[0, chunkCount - 1]],
        isNew: true,
        access: node.grantWrite(uploadId),
        ...challengeOf(this.find(uploadId)),
      };
    } catch (error) {
      await this.#forget(uploadId, folder, error);
      throw error;
    } finally {
      this.#opening.delete(uploadId);
      opened.resolve();
    }
  }

  /** The creation did not succeed: nothing stays, neither here nor in the catalog (which may have heard of it). */
  async #forget(uploadId: string, folder: string, reason: unknown): Promise<void> {
    const { disk, log } = this.#ports;
    try {
      await this.#catalog.endUpload({ uploadId, epoch: FIRST_EPOCH, state: "cancelled", isForgotten: true });
    } catch (error) {
      this.forgotten(uploadId);
      // Most often it has not heard of it. If it does not answer, its row is found to have no folder.
      if (!(error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND"))
        log.warn({ uploadId, err: error, reason }, "An upload that could not be created may stay in the catalog for a minute.");
    }
    await disk
      .remove(folder)
      .catch((error: unknown) =>
        log.warn({ uploadId, err: error }, "The folder of an upload that could not be created stays until the next start."),
      );
  }

  /** The operation's key was used before: that upload, wherever it is hosted and however far it is. */
  async #existing(uploadId: string, principal: Principal): Promise<Created> {
    // The catalog knows it before it is hosted.
    await this.#opening.get(uploadId);
    try {
      const session = client(this.#ports.bus, upload, { uploadId });
      const [status, granted] = await Promise.all([session.status({}, { principal }), session.access({}, { principal })]);
      const { epoch, chunkBytes, chunkCount, state, missing } = status;
      return {
        uploadId,
        epoch,
        chunkBytes,
        ...(chunkCount === undefined ? {} : { chunkCount }),
        state,
        missing,
        isNew: false,
        access: granted.access,
        ...challengeOf(granted),
      };
    } catch (error) {
      if (!isNoResponders(error)) throw error;
      const record = await this.#catalog.upload({ uploadId }, { principal }).catch(givenUp);
      if (!isEnded(record.state)) throw new TroupeError("HOST_UNAVAILABLE");
      const chunkCount = record.sizeBytes === undefined ? undefined : Math.ceil(record.sizeBytes / record.chunkBytes);
      return {
        uploadId,
        epoch: record.epoch,
        chunkBytes: record.chunkBytes,
        ...(chunkCount === undefined ? {} : { chunkCount }),
        state: record.state,
        missing: [],
        isNew: false,
      };
    }
  }

  #find(uploadId: string): Hosted {
    const hosted = this.#hosted.get(uploadId);
    if (hosted === undefined) throw new TroupeError("UPLOAD_NOT_FOUND");
    return hosted;
  }

  get #catalog(): Client<typeof catalog> {
    return this.#ports.catalog;
  }
}

/** Another creation with the same key failed at this moment, and nothing stays of it: whoever asks again begins the upload. */
function givenUp(error: unknown): never {
  if (!(error instanceof TroupeError) || error.code !== "UPLOAD_NOT_FOUND") throw error;
  throw new TroupeError("HOST_UNAVAILABLE", "The upload that was begun with this key could not be created; ask again.", { cause: error });
}

/** What a creation is answered with where possession may be proven. */
function challengeOf({ challenge }: { readonly challenge?: Challenge | undefined }): { readonly challenge?: Challenge } {
  return challenge === undefined ? {} : { challenge };
}
