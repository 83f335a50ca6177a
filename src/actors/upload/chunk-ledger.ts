/**
 * Which chunks of an upload are absent, in flight or received: pure bookkeeping, made for up to a million chunks.
 *
 * L1: an index has one writer; it is given up only by {@link ChunkLedger.release}, after the writer's last write has returned.
 * L2: a received index is never in flight again.
 * L3: while the size is unknown, one chunk may be short, and it is the last.
 * L4: at most one chunk has a tail: bytes from its beginning that are durable while the rest is missing. It is absent all the same.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../../core/errors.ts";
import { CHUNK_COUNT_MAX } from "../../core/limits.ts";

const ABSENT = 0;
const IN_FLIGHT = 1;
const RECEIVED = 2;

export interface ChunkPlan {
  readonly chunkBytes: number;
  /** Absent while the client has not said. */
  readonly sizeBytes?: number | undefined;
  /** No file grows past this, also while its size is unknown. */
  readonly sizeBytesMax?: number | undefined;
}

/** L4 */
export interface Tail {
  readonly index: number;
  /** At least one, and fewer than the whole chunk has. */
  readonly lengthBytes: number;
  readonly leafDigests: Uint8Array;
}

/** What may be done with a body that arrives for an index. */
export type ChunkClaim = "write" | "compare-received" | "compare-in-flight";

/** A body that is not as long as its chunk. */
export function chunkLengthError(index: number, minBytes: number, maxBytes: number, actual: number | string): TroupeError {
  const wanted = minBytes === maxBytes ? `${maxBytes}` : `${minBytes} to ${maxBytes}`;
  return new TroupeError("CHUNK_LENGTH", `Chunk ${index} has ${wanted} bytes; the body has ${actual}.`);
}

export class ChunkLedger {
  readonly #plan: ChunkPlan;
  #states: Uint8Array;
  /** Where each received chunk's record begins in the journal, in bytes. */
  #journalOffsets: Float64Array;
  #receivedCount = 0;
  #receivedBytes = 0;
  #inFlightCount = 0;
  #prefixCount = 0;
  #highestIndex = -1;
  #short: { readonly index: number; readonly lengthBytes: number } | undefined;
  #sizeBytes: number | undefined;
  #tail: Tail | undefined;

  constructor(plan: ChunkPlan) {
    this.#plan = plan;
    this.#sizeBytes = plan.sizeBytes;
    const count = this.chunkCount ?? 0;
    assert(count <= CHUNK_COUNT_MAX, "the number of chunks was checked at creation");
    this.#states = new Uint8Array(count);
    this.#journalOffsets = new Float64Array(count);
  }

  /** As it was said at creation or later. */
  get sizeBytes(): number | undefined {
    return this.#sizeBytes;
  }

  /** Unknown while the size is. */
  get chunkCount(): number | undefined {
    return this.#sizeBytes === undefined ? undefined : Math.ceil(this.#sizeBytes / this.#plan.chunkBytes);
  }

  get receivedCount(): number {
    return this.#receivedCount;
  }

  /** Durable, the tail included. */
  get receivedBytes(): number {
    return this.#receivedBytes + (this.#tail?.lengthBytes ?? 0);
  }

  get tail(): Tail | undefined {
    return this.#tail;
  }

  /** The first chunk that is missing. */
  get prefixCount(): number {
    return this.#prefixCount;
  }

  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  /** Durable bytes from the beginning without a gap: where a body goes on. */
  get offsetBytes(): number {
    return this.prefixBytes + this.tailBytesOf(this.#prefixCount);
  }

  /** Bytes of whole chunks from the beginning without a gap. */
  get prefixBytes(): number {
    return this.#prefixCount === 0 ? 0 : this.offsetOf(this.#prefixCount - 1) + this.lengthOf(this.#prefixCount - 1);
  }

  /** The file's size when every chunk is there (while the size is unknown, the last one may be a tail), otherwise `undefined`. */
  get completeBytes(): number | undefined {
    if (this.#inFlightCount > 0) return undefined;
    if (this.#sizeBytes !== undefined) return this.#receivedCount === this.chunkCount ? this.#sizeBytes : undefined;
    return this.#prefixCount === this.#highestIndex + 1 ? this.offsetBytes : undefined;
  }

  offsetOf(index: number): number {
    return index * this.#plan.chunkBytes;
  }

  /** Lengths a body for this index may have. @throws {TroupeError} `CHUNK_OUT_OF_RANGE`, `TOO_LARGE` */
  lengthsOf(index: number): { readonly minBytes: number; readonly maxBytes: number } {
    const { chunkBytes } = this.#plan;
    const count = this.chunkCount ?? CHUNK_COUNT_MAX;
    if (!Number.isSafeInteger(index) || index < 0 || index >= count)
      throw new TroupeError("CHUNK_OUT_OF_RANGE", `Chunk ${index} is not below ${count}.`);
    if (this.#sizeBytes !== undefined) {
      const lengthBytes = this.wholeBytesOf(index);
      return { minBytes: lengthBytes, maxBytes: lengthBytes };
    }
    if (this.#short !== undefined && index > this.#short.index)
      throw new TroupeError("CHUNK_OUT_OF_RANGE", `Chunk ${this.#short.index} was the last: it is shorter than a chunk.`);
    const room = (this.#plan.sizeBytesMax ?? Number.POSITIVE_INFINITY) - this.offsetOf(index);
    if (room <= 0) throw new TroupeError("TOO_LARGE", `A file has at most ${this.#plan.sizeBytesMax} bytes here (--max-file).`);
    const isLast = this.#short?.index === index || index >= this.#highestIndex;
    return { minBytes: isLast ? 1 : chunkBytes, maxBytes: Math.min(chunkBytes, room) };
  }

  isReceived(index: number): boolean {
    return this.#states[index] === RECEIVED;
  }

  isInFlight(index: number): boolean {
    return this.#states[index] === IN_FLIGHT;
  }

  claim(index: number): ChunkClaim {
    this.lengthsOf(index);
    this.#grow(index);
    switch (this.#states[index]) {
      case RECEIVED:
        return "compare-received";
      case IN_FLIGHT:
        return "compare-in-flight";
      default:
        this.#states[index] = IN_FLIGHT;
        this.#inFlightCount += 1;
        return "write";
    }
  }

  /** L1 */
  release(index: number): void {
    assert(this.#states[index] === IN_FLIGHT, "only a writer gives its index up");
    this.#states[index] = ABSENT;
    this.#inFlightCount -= 1;
    if (this.#short?.index === index) this.#short = undefined;
  }

  /**
   * A body has arrived whole and is about to be recorded: from now on no other chunk can contradict its length (L3).
   * @throws {TroupeError} `CHUNK_LENGTH`, `CHUNK_OUT_OF_RANGE`: another chunk was sealed as the last one meanwhile
   */
  seal(index: number, lengthBytes: number): void {
    const { minBytes, maxBytes } = this.lengthsOf(index);
    if (lengthBytes < minBytes || lengthBytes > maxBytes) throw chunkLengthError(index, minBytes, maxBytes, lengthBytes);
    this.#highestIndex = Math.max(this.#highestIndex, index);
    if (this.#sizeBytes === undefined && lengthBytes < this.#plan.chunkBytes) this.#short = { index, lengthBytes };
  }

  /** A chunk is durable: its data and its journal record are synced. */
  receive(index: number, lengthBytes: number, journalOffset: number): void {
    this.seal(index, lengthBytes);
    this.#grow(index);
    assert(this.#states[index] !== RECEIVED, "a chunk is received once");
    if (this.#states[index] === IN_FLIGHT) this.#inFlightCount -= 1;
    this.#states[index] = RECEIVED;
    this.#journalOffsets[index] = journalOffset;
    this.#receivedCount += 1;
    this.#receivedBytes += lengthBytes;
    if (this.#tail?.index === index) this.#tail = undefined;
    while (this.#states[this.#prefixCount] === RECEIVED) this.#prefixCount += 1;
  }

  /** A received chunk turned out to be damaged on the disk: it is to be sent again. */
  lose(index: number): void {
    assert(this.isReceived(index), "only a received chunk can be lost");
    this.#receivedBytes -= this.lengthOf(index);
    this.#states[index] = ABSENT;
    this.#receivedCount -= 1;
    this.#prefixCount = Math.min(this.#prefixCount, index);
    if (this.#short?.index === index) this.#short = undefined;
  }

  journalOffsetOf(index: number): number {
    assert(this.isReceived(index), "only a received chunk has a record");
    return this.#journalOffsets[index] as number;
  }

  /** Inclusive ranges of indexes not received (in flight counts as missing), at most `rangesMax`. */
  missing(rangesMax: number): { readonly ranges: [number, number][]; readonly isTruncated: boolean } {
    const ranges: [number, number][] = [];
    const count = this.chunkCount ?? this.#highestIndex + 1;
    for (let index = this.#prefixCount; index < count; index += 1) {
      if (this.#states[index] === RECEIVED) continue;
      const first = index;
      while (index + 1 < count && this.#states[index + 1] !== RECEIVED) index += 1;
      if (ranges.length === rangesMax) return { ranges, isTruncated: true };
      ranges.push([first, index]);
    }
    return { ranges, isTruncated: false };
  }

  /** In bytes, of a received chunk. */
  lengthOf(index: number): number {
    return this.#short?.index === index ? this.#short.lengthBytes : this.wholeBytesOf(index);
  }

  /** In bytes, of a chunk that nothing is missing of. */
  wholeBytesOf(index: number): number {
    const { chunkBytes } = this.#plan;
    return this.#sizeBytes === undefined ? chunkBytes : Math.min(chunkBytes, this.#sizeBytes - this.offsetOf(index));
  }

  tailBytesOf(index: number): number {
    return this.#tail?.index === index ? this.#tail.lengthBytes : 0;
  }

  /** L4: in place of the one there was. Its data and its journal record are synced. */
  setTail(tail: Tail | undefined): void {
    assert(tail === undefined || (tail.lengthBytes > 0 && !this.isReceived(tail.index)), "a tail is of a chunk that is absent");
    this.#tail = tail;
    // What lies before it is missing, if it is not there.
    if (tail !== undefined) this.#highestIndex = Math.max(this.#highestIndex, tail.index - 1);
  }

  /**
   * @returns whether the size is news
   * @throws {TroupeError} `UPLOAD_SIZE_FIXED`, `TOO_LARGE`: other bytes than these have arrived, or a file may not have so many
   */
  mayDeclare(sizeBytes: number): boolean {
    if (this.#sizeBytes === sizeBytes) return false;
    if (this.#sizeBytes !== undefined) throw new TroupeError("UPLOAD_SIZE_FIXED", `The upload's size is ${this.#sizeBytes}.`);
    const sizeBytesMax = Math.min(this.#plan.sizeBytesMax ?? Number.POSITIVE_INFINITY, CHUNK_COUNT_MAX * this.#plan.chunkBytes);
    if (sizeBytes > sizeBytesMax) throw new TroupeError("TOO_LARGE", `This upload has at most ${sizeBytesMax} bytes.`);
    const arrivedBytes = this.#arrivedBytes();
    if (sizeBytes < arrivedBytes) throw new TroupeError("TOO_LARGE", `${arrivedBytes} bytes of the upload have arrived already.`);
    if (this.#short !== undefined && sizeBytes !== arrivedBytes)
      throw new TroupeError("UPLOAD_SIZE_FIXED", `Its last chunk has arrived: the upload's size is ${arrivedBytes}.`);
    return true;
  }

  /** From now on every chunk has its length by this. */
  declare(sizeBytes: number): void {
    assert(this.#inFlightCount === 0 && this.#sizeBytes === undefined, "a size is declared once, with nothing on its way");
    this.#sizeBytes = sizeBytes;
    this.#short = undefined;
    if (sizeBytes > 0) this.#grow((this.chunkCount as number) - 1);
  }

  /** Where the last byte ends that is there. */
  #arrivedBytes(): number {
    let index = this.#highestIndex;
    while (index >= 0 && !this.isReceived(index)) index -= 1;
    const wholeBytes = index < 0 ? 0 : this.offsetOf(index) + this.lengthOf(index);
    return this.#tail === undefined ? wholeBytes : Math.max(wholeBytes, this.offsetOf(this.#tail.index) + this.#tail.lengthBytes);
  }

  #grow(index: number): void {
    if (index < this.#states.length) return;
    const length = Math.min(CHUNK_COUNT_MAX, Math.max(index + 1, this.#states.length * 2, 16));
    const states = new Uint8Array(length);
    states.set(this.#states);
    this.#states = states;
    const offsets = new Float64Array(length);
    offsets.set(this.#journalOffsets);
    this.#journalOffsets = offsets;
  }
}
