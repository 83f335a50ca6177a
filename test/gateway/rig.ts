/**
 * A gateway among small hand-written actors on a loopback bus, over bytes in memory: enough of the cast for routes to be tried as
 * functions of request values. Tests reach into its fields to make things go wrong.
 */
import { createHash } from "node:crypto";
import { catalog, type FileRecord, type FolderEntry, type LocatedFile, type UploadRecord } from "../../src/actors/catalog/contract.ts";
import { ids } from "../../src/actors/ids/contract.ts";
import { storage } from "../../src/actors/storage/contract.ts";
import { tracker } from "../../src/actors/tracker/contract.ts";
import { type UploadStatus, upload } from "../../src/actors/upload/contract.ts";
import type { HostedActor } from "../../src/bus/actor.ts";
import { eventSubject } from "../../src/bus/contract.ts";
import { host } from "../../src/bus/host.ts";
import { LoopbackBus } from "../../src/bus/loopback.ts";
import { type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import { FILE_BYTES_MAX_DEFAULT } from "../../src/core/limits.ts";
import type { Log } from "../../src/core/log.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataAccess, DataPlane } from "../../src/core/ports/data-plane.ts";
import type { HttpRequest, HttpResponse } from "../../src/core/ports/http-exchange.ts";
import { randomIdentity } from "../../src/core/ports/random.ts";
import { ANYONE, mayReadFilesOf } from "../../src/core/principal.ts";
import type { Challenge, ENDED_STATES, FileDigests } from "../../src/core/shapes.ts";
import { createGateway, type RunningGateway } from "../../src/gateway/gateway.ts";
import type { GatewayOptions, GatewayPorts } from "../../src/gateway/ports.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const NODE_IDS = ["node1", "node2"];
const CHUNK_BYTES = 64 * 1024;

interface MemoryUpload {
  record: UploadRecord;
  readonly chunks: Map<number, Uint8Array>;
  actor: HostedActor | undefined;
}

/** One request, as a value; what a test does not say is what a plain client sends. */
export interface Ask {
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface Answer extends HttpResponse {
  readonly fields: Record<string, string>;
  readonly bytes: Buffer;
  readonly json: Record<string, unknown>;
}

export class Rig implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(7);
  readonly bus = new LoopbackBus({ clock: this.clock, random: this.random });
  readonly lines: string[] = [];
  readonly uploads = new Map<string, MemoryUpload>();
  readonly files = new Map<string, LocatedFile>();
  readonly blobs = new Map<string, Uint8Array>();
  readonly operations = new Map<string, { digest: string; uploadId: string }>();
  readonly calls: string[] = [];
  readonly plane = new MemoryDataPlane(this);
  /** Errors that nodes answer `createUpload` with, by node. */
  readonly createFaults = new Map<string, ErrorCode>();
  /** Nodes take no upload before this. */
  createGate: Promise<void> | undefined;
  /** What every `createUpload` came with, in order. */
  readonly createKeys: (string | undefined)[] = [];
  /** What sessions answer a merge with. */
  mergeFault: ErrorCode | undefined;
  /** Merges that are asked for with the right epoch begin only then. */
  mergeGate: Promise<void> | undefined;
  /** Answers about a session's status, true when they were made, leave only then. */
  statusGate: Promise<void> | undefined;
  /** A folder without end, from one entry on. */
  folderOf: ((from: number) => FolderEntry[]) | undefined;
  isTrackerThere = true;
  /** What actors answer with that are to say whether they are ready, by name. */
  readonly readyFaults = new Map<string, ErrorCode>();
  /** What storage nodes say of themselves, and of which the trackers know. */
  areNodesClosed = false;
  nodeFreeBytes = 0;
  nodeState: "joined" | "active" | "offline" = "active";
  readonly suspects = new Set<string>();
  copies = 1;
  /** What creations are answered with besides. */
  challenge: Challenge | undefined;
  /** The proof that holds. */
  rightHmac: string | undefined;
  /** What nodes answer with that are to vouch for a blob. */
  holdFault: ErrorCode | undefined;
  gateway!: RunningGateway;
  #actors: HostedActor[] = [];
  #fileCount = 0;

  static async start(options: Partial<GatewayOptions> = {}, ports: Partial<GatewayPorts> = {}): Promise<Rig> {
    const rig = new Rig();
    const log = recordingLog(rig.lines);
    rig.gateway = createGateway(
      { bus: rig.bus, clock: rig.clock, random: rig.random, log, dataPlane: rig.plane, ...ports },
      { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: FILE_BYTES_MAX_DEFAULT, trustProxy: false, ...options },
    );
    await rig.#castActors();
    return rig;
  }

  async ask(method: string, target: string, ask: Ask = {}): Promise<Answer> {
    const response = await this.send(method, target, ask);
    const blocks: Uint8Array[] = [];
    const { body } = response;
    if (typeof body === "string") blocks.push(Buffer.from(body));
    else if (body instanceof Uint8Array) blocks.push(body);
    else if (body !== undefined) for await (const block of body) blocks.push(block);
    const bytes = Buffer.concat(blocks);
    const fields = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
    return {
      ...response,
      fields,
      bytes,
      json: fields["content-type"]?.includes("json") === true ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {},
    };
  }

  send(
    method: string,
    target: string,
    { headers = {}, body = "", signal = new AbortController().signal }: Ask = {},
  ): Promise<HttpResponse> {
    const hasLength = typeof body === "string" || body instanceof Uint8Array;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const request: HttpRequest = {
      method,
      target,
      headers: {
        host: "localhost:8080",
        ...(hasLength && bytes instanceof Uint8Array && bytes.length > 0 ? { "content-length": String(bytes.length) } : {}),
        ...headers,
      },
      body: bytes instanceof Uint8Array ? once(bytes) : bytes,
      remoteAddress: "127.0.0.1",
      secure: false,
      signal,
    };
    return this.gateway.handler(request);
  }

  createJson(body: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask("POST", "/api/v1/uploads", { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  }

  /** A file that is simply there. */
  addFile(bytes: Uint8Array, file: Partial<FileRecord> = {}): LocatedFile {
    this.#fileCount += 1;
    const fileId = `${this.#fileCount.toString(16).padStart(30, "0")}000000`;
    const path = `000/000/000/00000000_${this.#fileCount.toString(16).toUpperCase().padStart(3, "0")}`;
    const wallMs = this.clock.wallMs();
    const located: LocatedFile = {
      fileId,
      owner: "local",
      app: "default",
      user: "default",
      name: "film.mp4",
      sizeBytes: bytes.length,
      contentType: "video/mp4",
      digests: digestsOf(bytes),
      createdMs: wallMs,
      modifiedMs: wallMs,
      ...file,
      blob: { blobId: this.#fileCount, path, group: "group001", nodeIds: NODE_IDS },
    };
    this.blobs.set(path, bytes);
    this.files.set(fileId, located);
    return located;
  }

  /** The session's node goes away without a word. */
  async loseSession(uploadId: string): Promise<void> {
    const found = this.uploads.get(uploadId);
    await found?.actor?.stop();
    if (found !== undefined) found.actor = undefined;
  }

  publishFact(uploadId: string, fact: string, body: unknown): void {
    this.bus.publish(eventSubject("upload", uploadId, fact), Buffer.from(JSON.stringify(body)));
  }

  statusOf(uploadId: string): UploadStatus {
    const { record, chunks } = this.uploads.get(uploadId) as MemoryUpload;
    const chunkCount = record.sizeBytes === undefined ? undefined : Math.ceil(record.sizeBytes / record.chunkBytes);
    const missing: [number, number][] = [];
    for (let index = 0; index < (chunkCount ?? 0); index += 1) {
      const last = missing.at(-1);
      if (chunks.has(index)) continue;
      if (last !== undefined && last[1] === index - 1) last[1] = index;
      else missing.push([index, index]);
    }
    const receivedBytes = [...chunks.values()].reduce((sum, chunk) => sum + chunk.length, 0);
    const { uploadId: id, fileId, owner, host: nodeId, epoch, name, state, sinceMs, sizeBytes, chunkBytes } = record;
    return {
      uploadId: id,
      fileId,
      owner,
      host: nodeId,
      epoch,
      name,
      state,
      sinceMs,
      sizeBytes,
      chunkBytes,
      chunkCount,
      receivedCount: chunks.size,
      receivedBytes,
      inFlightCount: 0,
      missing,
      missingTruncated: false,
      offsetBytes: prefixBytesOf(chunks),
      followedBytes: 0,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop();
    for (const { actor } of this.uploads.values()) await actor?.stop();
    for (const actor of this.#actors) await actor.stop();
    await this.bus.drain();
  }

  async #castActors(): Promise<void> {
    const ports = { clock: this.clock, random: this.random, log: recordingLog([]) };
    const unused = (): never => {
      throw new TroupeError("NOT_IMPLEMENTED");
    };
    const there = (): void => {
      if (!this.isTrackerThere) throw new TroupeError("UNAVAILABLE", "The tracker is away.");
    };
    const nodes = NODE_IDS.map((nodeId) => ({ nodeId }));
    this.#actors = [
      await host(this.bus, tracker, {}, ports, async () => ({
        handlers: {
          join: unused,
          heartbeat: unused,
          leave: unused,
          table: unused,
          place: () => {
            there();
            return { group: "group001", nodes };
          },
          locate: () => ({ group: "group001", nodes }),
          ready: () => {
            there();
            return this.#ready("tracker");
          },
          groups: () => {
            there();
            return { groups: [{ group: "group001", createdMs: 0, nodeCount: 2, activeCount: 2, freeBytes: 10, totalBytes: 20 }] };
          },
          nodes: () => {
            there();
            const wallMs = this.clock.wallMs();
            return {
              nodes: NODE_IDS.map((nodeId) => ({
                nodeId,
                group: "group001",
                zone: "z",
                version: "1",
                startedMs: wallMs,
                totalBytes: 20,
                freeBytes: 10,
                closedToUploads: this.areNodesClosed,
                state: this.nodeState,
                left: false,
                sinceMs: 0,
                recent: [],
                joinedMs: wallMs,
                silentMs: 1000,
              })),
            };
          },
        },
      })),
      await host(this.bus, catalog, {}, ports, async () => ({
        handlers: {
          hostedUploads: unused,
          ready: () => this.#ready("catalog"),
          blobState: unused,
          registerUpload: unused,
          createdUpload: () => ({}),
          claimUpload: unused,
          endUpload: unused,
          commitFile: unused,
          ownContent: ({ digest, sizeBytes }, turn) => {
            this.calls.push(`catalog.ownContent ${digest.algorithm}`);
            const found = [...this.files.values()].find(
              (file) =>
                file.owner === turn.principal.owner &&
                file.digests[digest.algorithm] === digest.value &&
                file.sizeBytes === (sizeBytes ?? file.sizeBytes),
            );
            return found === undefined ? {} : { content: { sizeBytes: found.sizeBytes, digests: found.digests, blob: found.blob } };
          },
          instantUpload: ({ blobId, fileId, name, app, user, contentType }, turn) => {
            const known = [...this.files.values()].find(({ blob }) => blob.blobId === blobId);
            if (known === undefined) throw new TroupeError("BLOB_NOT_FOUND");
            const file: LocatedFile = { ...known, fileId, name, app, user, contentType, owner: turn.principal.owner };
            this.files.set(fileId, file);
            return { file };
          },
          provableContent: unused,
          commitKnown: unused,
          upload: ({ uploadId }, turn) => {
            const found = this.uploads.get(uploadId);
            if (found === undefined || found.record.owner !== turn.principal.owner) throw new TroupeError("UPLOAD_NOT_FOUND");
            return found.record;
          },
          uploads: ({ state, search }, turn) => ({
            uploads: [...this.uploads.values()]
              .map(({ record }) => record)
              .filter((record) => record.owner === turn.principal.owner && (state === undefined || record.state === state))
              .filter(
                ({ uploadId, name }) => search === undefined || uploadId === search || name.toLowerCase().includes(search.toLowerCase()),
              ),
          }),
          file: ({ fileId }, turn) => {
            this.calls.push(`catalog.file ${fileId}`);
            const file = this.files.get(fileId);
            if (file === undefined || !mayReadFilesOf(turn.principal, file.owner)) throw new TroupeError("FILE_NOT_FOUND");
            return file;
          },
          files: ({ prefix = "" }, turn) => ({
            files: [...this.files.values()].filter((file) => file.owner === turn.principal.owner && file.name.startsWith(prefix)),
          }),
          folder: ({ user, path, limit, cursor = "0" }, turn) => {
            this.calls.push("catalog.folder");
            const from = Number(cursor);
            if (this.folderOf !== undefined) return { entries: this.folderOf(from).slice(0, limit), cursor: String(from + limit) };
            const entries = entriesOf(this.#shelf(user, turn.principal.owner), path);
            const page = entries.slice(from, from + limit);
            return from + limit < entries.length ? { entries: page, cursor: String(from + limit) } : { entries: page };
          },
          fileByName: ({ user, name }, turn) => {
            this.calls.push("catalog.fileByName");
            const newest = this.#shelf(user, turn.principal.owner).findLast((file) => file.name === name);
            if (newest === undefined) throw new TroupeError("FILE_NOT_FOUND");
            return newest;
          },
          users: (_, turn) => ({
            users: [...new Set(this.#readable(turn.principal.owner).map((file) => file.user))].sort(),
          }),
          renameFile: ({ fileId, name }, turn) => {
            const renamed = { ...this.#ownFile(fileId, turn.principal.owner), name };
            this.files.set(fileId, renamed);
            return renamed;
          },
          deleteFile: ({ fileId }, turn) => {
            this.#ownFile(fileId, turn.principal.owner);
            this.files.delete(fileId);
            return {};
          },
        },
      })),
    ];
    this.#actors.push(
      await host(this.bus, ids, {}, ports, async () => ({
        handlers: { next: unused, raise: unused, state: unused, ready: () => this.#ready("ids") },
      })),
    );
    for (const nodeId of NODE_IDS) {
      this.#actors.push(
        await host(this.bus, storage, { nodeId }, ports, async () => ({
          handlers: {
            createUpload: async (input, turn) => {
              this.calls.push(`createUpload ${nodeId}`);
              this.createKeys.push(input.operation?.key);
              const fault = this.createFaults.get(nodeId);
              if (fault !== undefined) throw new TroupeError(fault);
              await this.createGate;
              const known = input.operation === undefined ? undefined : this.operations.get(input.operation.key);
              if (known !== undefined && known.digest !== input.operation?.requestDigest) throw new TroupeError("IDEMPOTENCY_CONFLICT");
              const uploadId = known?.uploadId ?? randomIdentity(this.random);
              if (known === undefined) await this.#openSession(uploadId, nodeId, turn.principal.owner, input);
              if (input.operation !== undefined)
                this.operations.set(input.operation.key, { digest: input.operation.requestDigest, uploadId });
              const { epoch, chunkBytes, chunkCount, state, missing } = this.statusOf(uploadId);
              return {
                uploadId,
                epoch,
                chunkBytes,
                chunkCount,
                state,
                missing,
                isNew: known === undefined,
                access: { nodeId, token: "write-1" },
                challenge: this.challenge,
              };
            },
            grantRead: ({ blobId }) => {
              this.calls.push(`grantRead ${nodeId} ${blobId}`);
              return { nodeId, token: this.plane.readToken };
            },
            holdBlob: ({ blobId }) => {
              this.calls.push(`holdBlob ${nodeId} ${blobId}`);
              if (this.holdFault !== undefined) throw new TroupeError(this.holdFault);
              return {};
            },
            proveBlob: unused,
            recordFile: unused,
            retireBlob: unused,
            status: () => ({
              nodeId,
              group: "group001",
              zone: "z",
              startedMs: 0,
              totalBytes: 20,
              freeBytes: this.nodeFreeBytes,
              reservedBytes: 0,
              uploadCount: 0,
              retiredCount: 0,
              openBlobCount: 0,
              ...(this.suspects.has(nodeId) ? { suspect: "fsync /srv/secret: EIO" } : {}),
            }),
            inspectUpload: unused,
            uploads: unused,
          },
        })),
      );
    }
  }

  #ready(name: string): Record<never, never> {
    const fault = this.readyFaults.get(name);
    if (fault !== undefined) throw new TroupeError(fault, `${fault} at 10.0.0.1`);
    return {};
  }

  #readable(owner: string): LocatedFile[] {
    return [...this.files.values()].filter((file) => owner === ANYONE.owner || file.owner === owner);
  }

  #shelf(user: string, owner: string): LocatedFile[] {
    return this.#readable(owner).filter((file) => file.user === user);
  }

  #ownFile(fileId: string, owner: string): LocatedFile {
    const file = this.files.get(fileId);
    if (file === undefined || file.owner !== owner) throw new TroupeError("FILE_NOT_FOUND");
    return file;
  }

  async #openSession(
    uploadId: string,
    nodeId: string,
    owner: string,
    input: {
      app: string;
      user: string;
      name: string;
      contentType: string;
      sizeBytes?: number | undefined;
      chunkBytes?: number | undefined;
    },
  ): Promise<void> {
    const wallMs = this.clock.wallMs();
    const { app, user, name, contentType, sizeBytes } = input;
    this.#fileCount += 1;
    const fileId = `${this.#fileCount.toString(16).padStart(30, "a")}000000`;
    const record: UploadRecord = {
      uploadId,
      fileId,
      app,
      user,
      name,
      contentType,
      sizeBytes,
      chunkBytes: input.chunkBytes ?? CHUNK_BYTES,
      createdMs: wallMs,
      owner,
      host: nodeId,
      group: "group001",
      epoch: 1,
      state: "receiving",
      sinceMs: wallMs,
    };
    const held: MemoryUpload = { record, chunks: new Map(), actor: undefined };
    this.uploads.set(uploadId, held);
    held.actor = await host(
      this.bus,
      upload,
      { uploadId },
      { clock: this.clock, random: this.random, log: recordingLog([]) },
      async () => ({
        handlers: {
          inspect: () => Promise.reject(new TroupeError("UPLOAD_NOT_FOUND")),
          status: async () => {
            const status = this.statusOf(uploadId);
            await this.statusGate;
            return status;
          },
          access: () => {
            this.calls.push(`access ${uploadId}`);
            return {
              access: { nodeId, token: this.plane.writeToken },
              owner,
              epoch: held.record.epoch,
              chunkBytes: record.chunkBytes,
              sizeBytes,
            };
          },
          settle: () => this.statusOf(uploadId),
          declareSize: ({ sizeBytes: declared }) => {
            const said = held.record.sizeBytes;
            if (said !== undefined && said !== declared) throw new TroupeError("UPLOAD_SIZE_FIXED");
            if (declared < this.statusOf(uploadId).receivedBytes) throw new TroupeError("TOO_LARGE");
            held.record = { ...held.record, sizeBytes: declared };
            return this.statusOf(uploadId);
          },
          merge: async ({ epoch, wait }) => {
            if (this.mergeFault !== undefined) throw new TroupeError(this.mergeFault);
            if (epoch === held.record.epoch) await this.mergeGate;
            if (epoch !== held.record.epoch) throw new TroupeError("EPOCH_STALE");
            const { missing } = this.statusOf(uploadId);
            if (missing.length > 0) throw new TroupeError("UPLOAD_INCOMPLETE", undefined, { facts: { missing } });
            if (!wait) return { state: "verifying" as const };
            const bytes = Buffer.concat([...held.chunks.entries()].sort(([a], [b]) => a - b).map(([, chunk]) => chunk));
            const file = this.addFile(bytes, { fileId, owner, name, contentType, app, user });
            this.files.set(fileId, { ...file, blob: { ...file.blob, nodeIds: NODE_IDS.slice(0, this.copies) } });
            this.end(uploadId, "merged");
            return {
              state: "merged" as const,
              file: {
                fileId,
                name,
                sizeBytes: bytes.length,
                digests: file.digests,
                copies: this.copies,
                durability: "single-copy" as const,
              },
            };
          },
          prove: ({ epoch, hmac }) => {
            this.calls.push(`prove ${hmac}`);
            if (epoch !== held.record.epoch) throw new TroupeError("EPOCH_STALE");
            if (hmac !== this.rightHmac) return this.statusOf(uploadId);
            const { digests, sizeBytes: fileBytes } = this.addFile(Buffer.from("proven"), { fileId, owner, name, contentType, app, user });
            this.end(uploadId, "merged");
            const file = { fileId, name, sizeBytes: fileBytes, digests, copies: 1, durability: "single-copy" as const };
            return { ...this.statusOf(uploadId), file };
          },
          cancel: () => {
            this.calls.push(`cancel ${uploadId}`);
            this.end(uploadId, "cancelled");
            return { state: "cancelled" as const };
          },
        },
      }),
    );
  }

  end(uploadId: string, state: (typeof ENDED_STATES)[number]): void {
    const held = this.uploads.get(uploadId) as MemoryUpload;
    held.record = { ...held.record, state, sinceMs: this.clock.wallMs() };
  }
}

/** What a folder holds, from the names of all files; the last of a name is the newest. */
function entriesOf(files: readonly LocatedFile[], path: string): FolderEntry[] {
  const entries = new Map<string, FolderEntry>();
  for (const { name, fileId, sizeBytes, contentType, createdMs, modifiedMs } of files) {
    if (!name.startsWith(path)) continue;
    const [first = "", ...below] = name.slice(path.length).split("/");
    if (below.length > 0) entries.set(`${first}/`, { kind: "folder", name: first });
    else entries.set(first, { kind: "file", name: first, fileId, sizeBytes, contentType, createdMs, modifiedMs });
  }
  return [...entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map(([, entry]) => entry);
}

/** Blobs and chunks in memory; tokens are refused when a test has changed them. */
/** Bytes from the beginning without a gap. */
function prefixBytesOf(chunks: ReadonlyMap<number, Uint8Array>): number {
  let prefixBytes = 0;
  for (let index = 0; chunks.has(index); index += 1) prefixBytes += chunks.get(index)?.length ?? 0;
  return prefixBytes;
}

export class MemoryDataPlane implements DataPlane {
  writeToken = "write-1";
  readToken = "read-1";
  blockBytes = 16 * 1024;
  /** What a node answers to reads. */
  readonly readFaults = new Map<string, ErrorCode>();
  /** Streams throw after this many bytes. */
  breaksAfterBytes = Number.POSITIVE_INFINITY;
  readonly reads: (BlobRange & { readonly nodeId: string })[] = [];
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  async storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored> {
    if (access.token !== this.writeToken) throw new TroupeError("FORBIDDEN");
    const held = this.#rig.uploads.get(chunk.uploadId);
    if (held === undefined) throw new TroupeError("UPLOAD_NOT_FOUND");
    const blocks: Uint8Array[] = [];
    for await (const block of chunk.bytes) blocks.push(block);
    const bytes = Buffer.concat(blocks);
    for (const { algorithm, value } of chunk.digests) {
      if (createHash(algorithm).update(bytes).digest("hex") !== value) throw new TroupeError("DIGEST_MISMATCH");
    }
    const existing = held.chunks.get(chunk.index);
    if (existing !== undefined && !bytes.equals(existing)) throw new TroupeError("CHUNK_CONFLICT");
    held.chunks.set(chunk.index, bytes);
    const { copies } = this.#rig;
    return { index: chunk.index, copies, receivedCount: held.chunks.size, lengthBytes: bytes.length, isNew: existing === undefined };
  }

  readUpload(): Promise<never> {
    return Promise.reject(new TroupeError("NOT_IMPLEMENTED", "Nobody reads an upload back through a gateway."));
  }

  async readBlob(access: DataAccess, range: BlobRange): Promise<AsyncIterable<Uint8Array>> {
    this.reads.push({ ...range, nodeId: access.nodeId });
    const fault = this.readFaults.get(access.nodeId);
    if (fault !== undefined) throw new TroupeError(fault);
    if (access.token !== this.readToken) throw new TroupeError("FORBIDDEN");
    const blob = this.#rig.blobs.get(range.path);
    if (blob === undefined) throw new TroupeError("BLOB_NOT_FOUND");
    return this.#stream(blob.subarray(range.offset, range.offset + range.lengthBytes));
  }

  async *#stream(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = 0; offset < bytes.length; offset += this.blockBytes) {
      if (offset >= this.breaksAfterBytes) throw new TroupeError("BLOB_DAMAGED");
      yield bytes.subarray(offset, offset + this.blockBytes);
    }
  }
}

/** Not BLAKE3: the gateway only passes it on. */
export function digestsOf(bytes: Uint8Array): FileDigests {
  return { blake3: createHash("sha256").update("b3").update(bytes).digest("hex") };
}

export async function* once(...blocks: Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  for (const block of blocks) if (block.length > 0) yield block;
}

export function recordingLog(lines: string[]): Log {
  const write = (facts: Readonly<Record<string, unknown>>, sentence: string): void =>
    void lines.push(`${sentence} ${JSON.stringify(facts)}`);
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}
