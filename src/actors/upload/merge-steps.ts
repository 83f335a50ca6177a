/**
 * From the chunks to a file: the file's digest, its leaf digests, its place among the blobs, the catalog's commit. No byte is copied.
 *
 * M1: where the blob will be is decided once and journaled before its name exists, so that a repeated commit names the same blob. From
 *     then on the file's bytes are sealed: no chunk is added.
 * M2: disk → database: the catalog hears of a blob only when its data, leaves and record are durable under their final names.
 * M3: once the catalog has answered, the upload is a file: what is left to tidy cannot change that.
 * M4: a leaf that was written before a restart is checked again before it becomes part of a file. If the file has not the digest that was
 *     claimed, all are, before that is said: the disk may have changed what the client sent rightly.
 * M5: a place whose ID the catalog knows as another blob's is given up for another. That is its definite word: under this ID there is no
 *     file of this upload, and never will be.
 */
import assert from "node:assert/strict";
import { writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { READ_BLOCK_BYTES } from "../../core/limits.ts";
import type { FileFollower } from "../../core/ports/hasher.ts";
import { withRetry } from "../../core/retry.ts";
import type { FileDigests } from "../../core/shapes.ts";
import type { LocatedFile, UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { ChunkReader } from "./chunk-reader.ts";
import type { CommitPlan, Journal } from "./journal.ts";
import type { SessionPorts } from "./ports.ts";
import type { SessionPaths } from "./session-files.ts";

export interface MergeSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly epoch: number;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly reader: ChunkReader;
  readonly paths: SessionPaths;
  readonly commitPlan: CommitPlan | undefined;
  /** Chunks whose bytes were written before this activation (M4). */
  readonly doubtful: Set<number>;
}

export interface Committed {
  readonly file: LocatedFile;
  /** Nothing of the upload's is left but its folder. */
  readonly isTidy: boolean;
}

/** The catalog is asked this often before the merge goes back to the chunks with the reason. */
const COMMIT_RETRY = { attemptsMax: 5, pauseMinMs: 100, pauseMaxMs: 2_000 };

/** After a restored backup, IDs that were given out before may come one after the other. */
const PLACES_MAX = 100;

/** Chunks whose bytes on the disk are not those that were acknowledged: they are to be sent again. */
export class DamagedChunks extends Error {
  readonly indexes: readonly number[];
  constructor(indexes: readonly number[]) {
    super(`chunks ${indexes.slice(0, 10).join(", ")} are damaged`);
    this.indexes = indexes;
  }
}

export class MergeSteps {
  readonly #session: MergeSession;
  #follower: FileFollower | undefined;
  #followedBytes = 0;
  /** Of the first `sizeBytes` bytes. */
  #verified: { readonly sizeBytes: number; readonly digests: FileDigests } | undefined;
  #commitPlan: CommitPlan | undefined;

  constructor(session: MergeSession) {
    this.#session = session;
    this.#commitPlan = session.commitPlan;
    this.#verified = session.commitPlan;
  }

  /** Bytes that may be hashed already, on the way to the file's digest. */
  get followedBytes(): number {
    return this.#verified?.sizeBytes ?? this.#followedBytes;
  }

  /** The file's size when it can be made: every chunk is there, or it is sealed (M1), and no chunk is looked at any more. */
  get completeBytes(): number | undefined {
    return this.#commitPlan?.sizeBytes ?? this.#session.ledger.completeBytes;
  }

  /** M1 */
  get isSealed(): boolean {
    return this.#commitPlan !== undefined;
  }

  /** The first `prefixBytes` are durable; their digest can follow. */
  advance(prefixBytes: number): void {
    if (prefixBytes <= this.#followedBytes || this.#verified !== undefined) return;
    this.#followedBytes = prefixBytes;
    this.#follow().advance(prefixBytes);
  }

  /**
   * The file's digests, and its leaf digests in a file of their own.
   * @throws {DamagedChunks}
   * @throws {TroupeError} `DIGEST_MISMATCH`, `DISK_FULL`, `DISK_FAILED`
   */
  async verify(signal: AbortSignal): Promise<FileDigests> {
    const { plan } = this.#session;
    const sizeBytes = this.completeBytes;
    if (sizeBytes === undefined) throw new Error("only a complete upload is verified");
    if (this.#commitPlan === undefined) {
      await this.#checkDoubtful(signal);
      signal.throwIfAborted();
      // While the size was unknown, chunks may have come since the last attempt.
      if (this.#verified?.sizeBytes !== sizeBytes) this.#verified = { sizeBytes, digests: await this.#finishDigests(sizeBytes) };
      await this.#writeLeaves(sizeBytes, signal);
    }
    const { digests } = this.#verified as { readonly digests: FileDigests };
    const claim = plan.digest;
    const actual = claim === undefined ? undefined : digests[claim.algorithm];
    if (claim !== undefined && actual !== claim.value) {
      await this.#checkAll(sizeBytes, signal);
      throw new TroupeError("DIGEST_MISMATCH", `The file was claimed to have ${claim.algorithm} ${claim.value} and has ${actual}.`);
    }
    return digests;
  }

  /** M1: everything but the catalog's word. */
  async prepareCommit(digests: FileDigests, signal: AbortSignal): Promise<CommitPlan> {
    const { ports, journal, paths } = this.#session;
    const sizeBytes = this.completeBytes;
    if (sizeBytes === undefined) throw new Error("only a complete upload is committed");
    if (this.#commitPlan === undefined) {
      const plan: CommitPlan = { ...(await ports.node.allocateBlob()), sizeBytes, digests };
      signal.throwIfAborted();
      // Sealed before it is recorded: what is recorded must not change any more.
      this.#commitPlan = plan;
      try {
        await journal.append({ kind: "commit", ...plan });
      } catch (error) {
        this.#commitPlan = undefined;
        throw error;
      }
    }
    signal.throwIfAborted();
    await this.#cutOff(sizeBytes);
    // M2
    const synced = { dataPath: paths.data, leavesPath: paths.leaves };
    await ports.node.publishBlob(this.#commitPlan, synced, { sizeBytes, digests, file: this.#file(sizeBytes, digests) });
    return this.#commitPlan;
  }

  async commit(plan: CommitPlan, signal: AbortSignal): Promise<Committed> {
    let place = plan;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#commitAt(place, signal);
      } catch (error) {
        if (!(error instanceof TroupeError && error.code === "BLOB_ID_TAKEN") || attempt === PLACES_MAX) throw error;
        place = await this.#takeAnotherPlace(place, signal);
      }
    }
  }

  async #commitAt(plan: CommitPlan, signal: AbortSignal): Promise<Committed> {
    const { ports, epoch } = this.#session;
    const { blobId, path, sizeBytes, digests } = plan;
    const blob = { blobId, path, group: ports.node.group, nodeIds: [ports.node.nodeId] };
    const input = { uploadId: this.#session.plan.uploadId, epoch, sizeBytes, digests, blob };
    const { file, isDuplicate } = await withRetry(COMMIT_RETRY, ports, () => ports.catalog.commitFile(input), undefined, signal);
    return { file, isTidy: !isDuplicate || file.blob.path === path || (await this.#tidyDuplicate(plan, file)) };
  }

  /** M5 */
  async #takeAnotherPlace(refused: CommitPlan, signal: AbortSignal): Promise<CommitPlan> {
    const { ports, journal, plan } = this.#session;
    const { uploadId } = plan;
    ports.log.error(
      { uploadId, blobId: refused.blobId },
      "A blob ID was given out twice: the database of IDs was lost, or an older backup put back. The upload takes another.",
    );
    // First, while it is recorded: nobody else would find it.
    await ports.node.discardBlob(refused);
    signal.throwIfAborted();
    const next: CommitPlan = { ...refused, ...(await ports.node.allocateBlob()) };
    signal.throwIfAborted();
    await journal.append({ ...next, kind: "commit" });
    this.#commitPlan = next;
    return await this.prepareCommit(next.digests, signal);
  }

  /** What a commit that did not come about has left among the blobs. */
  async takeBack(): Promise<void> {
    if (this.#commitPlan !== undefined) await this.#session.ports.node.discardUnlessKnown(this.#commitPlan);
  }

  /** The upload is a file of other bytes. M3. @returns whether nothing of its own is left among the blobs */
  async tidyUnused(): Promise<boolean> {
    return await this.#tidy(() => this.takeBack());
  }

  /** The follower lets go of the file. */
  async close(): Promise<void> {
    const follower = this.#follower;
    this.#follower = undefined;
    await follower?.close();
  }

  /** The content was there already: these bytes mend the others where they are damaged, and go. M3 */
  async #tidyDuplicate(plan: CommitPlan, file: LocatedFile): Promise<boolean> {
    const { ports, paths } = this.#session;
    const { blob: existing, ...record } = file;
    return await this.#tidy(async () => {
      if (existing.nodeIds.includes(ports.node.nodeId)) {
        await ports.node.mendBlob(
          existing,
          { dataPath: paths.data, leavesPath: paths.leaves },
          { sizeBytes: file.sizeBytes, digests: file.digests, file: record },
        );
      }
      await ports.node.discardBlob(plan);
    });
  }

  /** M3 */
  async #tidy(work: () => Promise<void>): Promise<boolean> {
    const { ports, plan } = this.#session;
    try {
      await work();
      return true;
    } catch (error) {
      ports.log.error(
        { uploadId: plan.uploadId, err: error },
        "A second copy of known content could not be put away; it is tried again at the next start.",
      );
      return false;
    }
  }

  #follow(): FileFollower {
    const { ports, plan, paths } = this.#session;
    const algorithm = plan.digest?.algorithm ?? "blake3";
    this.#follower ??= ports.hasher.follow(paths.data, algorithm === "blake3" ? ["blake3"] : ["blake3", algorithm]);
    return this.#follower;
  }

  async #finishDigests(sizeBytes: number): Promise<FileDigests> {
    const follower = this.#follow();
    try {
      follower.advance(sizeBytes);
      this.#followedBytes = sizeBytes;
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
      if (this.#follower === follower) this.#follower = undefined;
      this.#followedBytes = 0;
      await follower.close();
    }
  }

  /** Bodies past the file's end, which broke off while its size was unknown, have left bytes there. After sealing, nothing is written (M1). */
  async #cutOff(sizeBytes: number): Promise<void> {
    const { ports, plan, paths } = this.#session;
    if (plan.sizeBytes !== undefined) return;
    const file = await ports.disk.open(paths.data, "write");
    try {
      if ((await file.sizeBytes()) <= sizeBytes) return;
      await file.truncate(sizeBytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** M4. What was taken back since it was written is nobody's. */
  async #checkDoubtful(signal: AbortSignal): Promise<void> {
    const { doubtful, ledger, reader } = this.#session;
    const damaged: number[] = [];
    for (const index of [...doubtful].sort((a, b) => a - b)) {
      signal.throwIfAborted();
      if (!ledger.isReceived(index) || (await reader.isIntact(index))) doubtful.delete(index);
      else damaged.push(index);
    }
    if (damaged.length === 0) return;
    // It may have read the damage already.
    await this.close();
    this.#followedBytes = 0;
    this.#verified = undefined;
    throw new DamagedChunks(damaged);
  }

  /** M4. Reads the file once more; once an upload, because without damage it fails for good. What is sealed had its digest. */
  async #checkAll(sizeBytes: number, signal: AbortSignal): Promise<void> {
    assert(this.#commitPlan === undefined, "a sealed file has the digest that was claimed");
    const { doubtful, plan } = this.#session;
    for (let index = 0; index * plan.chunkBytes < sizeBytes; index += 1) doubtful.add(index);
    await this.#checkDoubtful(signal);
  }

  /** Gathers the leaf digests of all chunks, which the journal holds in order of arrival, in order of offset. */
  async #writeLeaves(sizeBytes: number, signal: AbortSignal): Promise<void> {
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
        signal.throwIfAborted();
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
    await ports.disk.syncDirectory(paths.folder);
  }

  #file(sizeBytes: number, digests: FileDigests) {
    const { fileId, app, user, name, contentType, createdMs } = this.#session.plan;
    return { fileId, owner: this.#session.owner, app, user, name, sizeBytes, contentType, digests, createdMs, modifiedMs: createdMs };
  }
}
