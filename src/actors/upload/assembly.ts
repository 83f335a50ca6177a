/**
 * Puts an upload together from its parts: their bytes are read from wherever they are, and stored as chunks like anybody's. Nothing is
 * linked: chunks of one file lie in one file, and few disks can share ranges between files.
 *
 * P1: what is copied is durable chunk by chunk: after a restart only what is missing is copied.
 * P2: a part that cannot be reached is waited for; one that is gone, or damaged, ends the upload.
 */
import { client, isNoResponders } from "../../bus/client.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import type { ChunkBody, ChunkStored, DataAccess } from "../../core/ports/data-plane.ts";
import { withRetry } from "../../core/retry.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import { upload } from "./contract.ts";
import { lookAtParts, type Part } from "./parts.ts";
import type { SessionPorts } from "./ports.ts";

interface AssembledSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly partIds: readonly string[];
  readonly owner: string;
  readonly ledger: ChunkLedger;
  readonly store: (chunk: ChunkBody) => Promise<ChunkStored>;
}

/** One is being read while the other is being synced. */
const CHUNKS_AT_ONCE = 2;
const AGAIN = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 10_000 };

export class Assembly {
  readonly #session: AssembledSession;
  readonly #accesses = new Map<string, DataAccess>();

  constructor(session: AssembledSession) {
    this.#session = session;
  }

  /**
   * Resolves when every chunk is there.
   * @throws {TroupeError} naming the part that is not to be had any more
   */
  async run(signal: AbortSignal): Promise<void> {
    const { ports, plan, partIds, owner, ledger } = this.#session;
    const parts = await withRetry(AGAIN, ports, () => lookAtParts(ports, partIds, owner), isRetryable, signal);
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (sizeBytes !== plan.sizeBytes)
      throw new TroupeError("UPLOAD_INCOMPLETE", `The parts have ${sizeBytes} bytes; they had ${plan.sizeBytes}.`);
    let next = 0;
    const copySome = async (): Promise<void> => {
      while (next < (ledger.chunkCount ?? 0)) {
        const index = next;
        next += 1;
        if (!ledger.isReceived(index)) await withRetry(AGAIN, ports, () => this.#copy(index, parts, signal), isRetryable, signal);
      }
    };
    try {
      await Promise.all(Array.from({ length: CHUNKS_AT_ONCE }, copySome));
    } finally {
      next = Number.POSITIVE_INFINITY;
      this.#accesses.clear();
    }
  }

  async #copy(index: number, parts: readonly Part[], signal: AbortSignal): Promise<void> {
    const { plan, ledger, store } = this.#session;
    signal.throwIfAborted();
    const offset = ledger.offsetOf(index);
    const lengthBytes = ledger.wholeBytesOf(index);
    const bytes = this.#read(parts, offset, offset + lengthBytes, signal);
    await store({ uploadId: plan.uploadId, index, lengthBytes, bytes, digests: [], signal });
  }

  async *#read(parts: readonly Part[], from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    let partOffset = 0;
    for (const part of parts) {
      const first = Math.max(from, partOffset);
      const end = Math.min(to, partOffset + part.sizeBytes);
      if (first < end) yield* this.#readPart(part, first - partOffset, end - first, signal);
      partOffset += part.sizeBytes;
      if (partOffset >= to) return;
    }
  }

  async *#readPart({ uploadId }: Part, offset: number, lengthBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const { ports, owner } = this.#session;
    try {
      yield* await ports.dataPlane.readUpload(await this.#accessTo(uploadId), { uploadId, offset, lengthBytes }, signal);
    } catch (error) {
      this.#accesses.delete(uploadId);
      signal.throwIfAborted();
      // Nobody listens where a part has ended, too.
      if (isRetryable(error) && !isNoResponders(error)) throw error;
      if (error instanceof TroupeError && error.code === "BLOB_DAMAGED")
        throw new TroupeError(error.code, `Part ${uploadId}: ${error.detail}`, { cause: error });
      // P2: its host may have started anew meanwhile, which forgets rights, and uploads for a moment.
      await lookAtParts(ports, [uploadId], owner);
      throw new TroupeError("HOST_UNAVAILABLE", `Part ${uploadId} could not be read.`, { cause: error });
    }
  }

  async #accessTo(uploadId: string): Promise<DataAccess> {
    const known = this.#accesses.get(uploadId);
    if (known !== undefined) return known;
    const { ports, owner } = this.#session;
    const { access } = await client(ports.bus, upload, { uploadId }).access({}, { principal: { owner } });
    this.#accesses.set(uploadId, access);
    return access;
  }
}
