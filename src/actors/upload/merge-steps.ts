/**
 * From the chunks to a file: the file's digest, its leaf digests, its place among the blobs, the catalog's commit. No byte is copied.
 *
 * M1: where the blob will be is decided once and journaled before its name exists, so that a repeated commit names the same blob.
 * M2: disk → database: the catalog hears of a blob only when its data, leaves and record are durable under their final names.
 */
import { writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { READ_BLOCK_BYTES } from "../../core/limits.ts";
import type { FileFollower } from "../../core/ports/hasher.ts";
import { withRetry } from "../../core/retry.ts";
import type { FileDigests } from "../../core/shapes.ts";
import type { LocatedFile, UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { CommitPlan, Journal } from "./journal.ts";
import type { SessionEvent } from "./machine.ts";
import type { SessionPorts } from "./ports.ts";
import type { SessionPaths } from "./session-files.ts";

export interface MergeSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly epoch: number;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly paths: SessionPaths;
  readonly signal: AbortSignal;
  readonly commitPlan: CommitPlan | undefined;
}

/** The catalog is asked this often before the merge goes back to the chunks with the reason. */
const COMMIT_RETRY = { attemptsMax: 5, pauseMinMs: 100, pauseMaxMs: 2_000 };

export class MergeSteps {
  readonly #session: MergeSession;
  #follower: FileFollower | undefined;
  #advancedBytes = 0;
  #digests: FileDigests | undefined;
  #commitPlan: CommitPlan | undefined;

  constructor(session: MergeSession) {
    this.#session = session;
    this.#commitPlan = session.commitPlan;
    this.#digests = session.commitPlan?.digests;
  }

  /** Bytes that were handed to the digest so far. */
  get verifiedBytes(): number {
    return this.#advancedBytes;
  }

  /** The first `prefixBytes` are durable; their digest can follow. */
  advance(prefixBytes: number): void {
    if (prefixBytes <= this.#advancedBytes || this.#digests !== undefined) return;
    this.#advancedBytes = prefixBytes;
    this.#follow().advance(prefixBytes);
  }

  /** The file's digests, and its leaf digests in a file of their own. @returns the event for the machine */
  async verify(): Promise<SessionEvent> {
    const { ledger, plan } = this.#session;
    const sizeBytes = ledger.completeBytes;
    if (sizeBytes === undefined) throw new Error("only a complete upload is verified");
    this.#digests ??= await this.#finishDigests(sizeBytes);
    await this.#writeLeaves(sizeBytes);
    const claim = plan.digest;
    const actual = claim === undefined ? undefined : this.#digests[claim.algorithm];
    if (claim !== undefined && actual !== claim.value)
      throw new TroupeError("DIGEST_MISMATCH", `The file was claimed to have ${claim.algorithm} ${claim.value} and has ${actual}.`);
    return { type: "file.verified", digests: this.#digests };
  }

  /** M1: everything but the catalog's word. */
  async prepareCommit(digests: FileDigests): Promise<CommitPlan> {
    const { ports, ledger, journal, paths } = this.#session;
    const sizeBytes = ledger.completeBytes;
    if (sizeBytes === undefined) throw new Error("only a complete upload is committed");
    if (this.#commitPlan === undefined) {
      const plan: CommitPlan = { ...(await ports.node.allocateBlob()), sizeBytes, digests };
      await journal.append({ kind: "commit", ...plan });
      this.#commitPlan = plan;
    }
    // M2
    await ports.node.publishBlob(
      this.#commitPlan,
      { dataPath: paths.data, leavesPath: paths.leaves },
      { sizeBytes, digests, file: this.#file(sizeBytes, digests) },
    );
    return this.#commitPlan;
  }

  async commit(plan: CommitPlan): Promise<LocatedFile> {
    const { ports, epoch, signal } = this.#session;
    const { blobId, path, sizeBytes, digests } = plan;
    const blob = { blobId, path, group: ports.node.group, nodeIds: [ports.node.nodeId] };
    const { file, isDuplicate } = await withRetry(
      COMMIT_RETRY,
      ports,
      () => ports.catalog.commitFile({ uploadId: this.#session.plan.uploadId, epoch, sizeBytes, digests, blob }),
      undefined,
      signal,
    );
    if (isDuplicate && file.blob.blobId !== blobId) {
      await ports.node.discardBlob(plan);
      const { blob: existing, ...record } = file;
      if (existing.nodeIds.includes(ports.node.nodeId)) await ports.node.addFile(existing, record);
    }
    return file;
  }

  /** The follower lets go of the file. */
  async close(): Promise<void> {
    const follower = this.#follower;
    this.#follower = undefined;
    await follower?.close();
  }

  #follow(): FileFollower {
    const { ports, plan, paths } = this.#session;
    this.#follower ??= ports.hasher.follow(
      paths.data,
      plan.digest === undefined || plan.digest.algorithm === "blake3" ? ["blake3"] : ["blake3", plan.digest.algorithm],
    );
    return this.#follower;
  }

  async #finishDigests(sizeBytes: number): Promise<FileDigests> {
    const follower = this.#follow();
    try {
      follower.advance(sizeBytes);
      this.#advancedBytes = sizeBytes;
      const { blake3, sha256, sha1, md5 } = await follower.finish(sizeBytes);
      if (blake3 === undefined) throw new Error("a follower always computes blake3");
      return {
        blake3,
        ...(sha256 === undefined ? {} : { sha256 }),
        ...(sha1 === undefined ? {} : { sha1 }),
        ...(md5 === undefined ? {} : { md5 }),
      };
    } finally {
      // Its running digest is spent, or spoilt: another attempt begins anew.
      this.#follower = undefined;
      await follower.close();
    }
  }

  /** Gathers the leaf digests of all chunks, which the journal holds in order of arrival, in order of offset. */
  async #writeLeaves(sizeBytes: number): Promise<void> {
    const { ports, ledger, journal, paths, plan } = this.#session;
    await ports.disk.remove(paths.leaves);
    const file = await ports.disk.open(paths.leaves, "create");
    try {
      const chunkCount = Math.ceil(sizeBytes / plan.chunkBytes);
      let pending: Uint8Array[] = [];
      let pendingBytes = 0;
      let offset = 0;
      const flush = async (): Promise<void> => {
        await writeFully(file, Buffer.concat(pending), offset);
        offset += pendingBytes;
        pending = [];
        pendingBytes = 0;
      };
      for (let index = 0; index < chunkCount; index += 1) {
        this.#session.signal.throwIfAborted();
        const digests = await journal.readLeafDigests(ledger.journalOffsetOf(index));
        pending.push(digests);
        pendingBytes += digests.length;
        if (pendingBytes >= READ_BLOCK_BYTES) await flush();
      }
      if (pendingBytes > 0) await flush();
      await file.sync();
    } finally {
      await file.close();
    }
  }

  #file(sizeBytes: number, digests: FileDigests) {
    const { fileId, app, user, name, contentType, createdMs } = this.#session.plan;
    return { fileId, owner: this.#session.owner, app, user, name, sizeBytes, contentType, digests, createdMs, modifiedMs: createdMs };
  }
}
