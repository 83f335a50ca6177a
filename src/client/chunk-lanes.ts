/**
 * Sends the missing chunks of an upload, several at a time.
 *
 * L1: after a failure the server is asked what it has; a chunk it has is sent again only to compare it.
 * L2: memory does not grow with the chunk's size: a body is read from the disk block by block as the connection takes it.
 * L3: when one chunk fails for good, the others are stopped, and all have ended before the failure is told.
 * L4: a chunk leaves only in one of the slots, which other files may share, and not faster than the pace.
 */
import { readFully } from "../core/durable.ts";
import { READ_BLOCK_BYTES } from "../core/limits.ts";
import type { DiskFile } from "../core/ports/disk.ts";
import { type AgainPorts, again, MOVING_POLICY, pauseOrGiveUp, throwIfCancelled } from "./again.ts";
import type { ChunkAnswer, UploadProgress } from "./answers.ts";
import { type Pace, paced } from "./pace.ts";
import type { Slots } from "./slots.ts";
import type { TroupeClient } from "./troupe-client.ts";

export interface ChunkLanesOptions {
  readonly client: TroupeClient;
  readonly ports: AgainPorts;
  readonly file: DiskFile;
  readonly uploadId: string;
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  readonly slots: Slots;
  readonly pace?: Pace | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes on their way or arrived; negative when a body has to be sent again. */
  readonly onBytes: (change: number) => void;
}

type Ranges = readonly (readonly [number, number])[];

export class ChunkLanes {
  readonly #options: ChunkLanesOptions;

  constructor(options: ChunkLanesOptions) {
    this.#options = options;
  }

  /**
   * Resolves when every chunk of the ranges has been acknowledged.
   * @param until ends it as the signal of the options does
   */
  async send(missing: Ranges, until?: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#options.signal, until].filter((each) => each !== undefined));
    const indexes = indexesOf(missing);
    // The first failure is the reason; those it causes in the other lanes are not.
    const failures: unknown[] = [];
    const lane = async (): Promise<void> => {
      try {
        for (let next = indexes.next(); !next.done && !signal.aborted; next = indexes.next()) await this.#sendChunk(next.value, signal);
        throwIfCancelled(signal);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    };
    await Promise.all(Array.from({ length: this.#options.slots.count }, lane));
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Sends a chunk the server has once more.
   * @throws {TroupeError} `CHUNK_CONFLICT` when it has other bytes
   */
  async compare(index: number): Promise<void> {
    const { ports, signal } = this.#options;
    await again(MOVING_POLICY, ports, signal, () => this.#put(index, () => undefined, signal));
  }

  /** Bytes of a chunk: all have `chunkBytes`, the last one the rest. */
  lengthOf(index: number): number {
    return Math.min(this.#options.chunkBytes, this.#options.sizeBytes - index * this.#options.chunkBytes);
  }

  async #sendChunk(index: number, signal: AbortSignal): Promise<void> {
    const { client, ports, uploadId, onBytes } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      let sentBytes = 0;
      const count = (bytes: number): void => {
        sentBytes += bytes;
        onBytes(bytes);
      };
      try {
        await this.#put(index, count, signal);
        onBytes(this.lengthOf(index) - sentBytes);
        return;
      } catch (error) {
        onBytes(-sentBytes);
        await pauseOrGiveUp(error, MOVING_POLICY, attempt, ports, signal);
      }
      // L1: the answer may have been lost after the chunk arrived.
      const progress = await again(MOVING_POLICY, ports, signal, () => client.status(uploadId, signal));
      if (!isMissing(progress, index)) return onBytes(this.lengthOf(index));
    }
  }

  #put(index: number, count: (bytes: number) => void, signal: AbortSignal | undefined): Promise<ChunkAnswer> {
    const { client, uploadId, slots } = this.#options;
    return slots.during(signal, () => client.chunk(uploadId, index, this.lengthOf(index), this.#body(index, count, signal), signal));
  }

  async *#body(index: number, count: (bytes: number) => void, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    for await (const block of paced(this.#blocks(index), this.#options.pace, signal)) {
      yield block;
      count(block.length);
    }
  }

  async *#blocks(index: number): AsyncGenerator<Uint8Array> {
    const { file, chunkBytes } = this.#options;
    const sizeBytes = this.lengthOf(index);
    for (let offset = 0; offset < sizeBytes; offset += READ_BLOCK_BYTES) {
      const block = new Uint8Array(Math.min(READ_BLOCK_BYTES, sizeBytes - offset));
      await readFully(file, block, index * chunkBytes + offset);
      yield block;
    }
  }
}

function* indexesOf(ranges: Ranges): Generator<number, undefined> {
  for (const [first, last] of ranges) for (let index = first; index <= last; index += 1) yield index;
  return undefined;
}

function isMissing(progress: UploadProgress, index: number): boolean {
  if (progress.missing.some(([first, last]) => first <= index && index <= last)) return true;
  // A list that was cut says nothing about what comes after its end.
  const end = progress.missing.at(-1)?.[1] ?? -1;
  return progress.missingTruncated && index > end;
}
