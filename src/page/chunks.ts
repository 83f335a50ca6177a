/**
 * Sends the chunks that are missing, some at a time and each until the server has it. In memory is nothing of the file: a browser reads a
 * slice while it sends it.
 */
import type { MissingRange } from "./answers.ts";
import { inLane, LANES } from "./lanes.ts";
import { type Patience, persist } from "./patience.ts";
import { sendBytes, Unreachable } from "./server.ts";

/** The file on this device changed or went away while it was read. */
export class FileUnreadable extends Error {
  constructor(options?: ErrorOptions) {
    super("The file has changed or cannot be read any more. Drop it here again.", options);
  }
}

export interface Sending extends Patience {
  readonly file: Blob;
  readonly uploadId: string;
  readonly chunkBytes: number;
  /** Bytes on their way, by chunk index. */
  readonly onMoving: (index: number, bytes: number) => void;
  readonly onStored: (index: number, bytes: number) => void;
}

export async function sendChunks(sending: Sending, missing: readonly MissingRange[]): Promise<void> {
  const indexes = indexesOf(missing);
  const stop = new AbortController();
  const signal = AbortSignal.any([sending.signal, stop.signal]);
  const lane = async (): Promise<void> => {
    for (const index of indexes) await sendChunk({ ...sending, signal }, index);
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    // The first failure is the reason; the others' chunks are not wanted any more.
    stop.abort();
  }
}

export async function sendChunk(sending: Sending, index: number): Promise<void> {
  const { file, uploadId, chunkBytes, signal } = sending;
  const bytes = file.slice(index * chunkBytes, Math.min(file.size, (index + 1) * chunkBytes));
  const path = `/api/v1/uploads/${uploadId}/chunks/${index}`;
  await sendPatiently("PUT", path, { ...sending, bytes, onSent: (moving) => sending.onMoving(index, moving), signal });
  sending.onStored(index, bytes.size);
}

export interface PatientBytes extends Patience {
  readonly bytes: Blob;
  readonly headers?: Readonly<Record<string, string>>;
  /** How many of the bytes are on their way: none when that has ended. */
  readonly onSent: (bytes: number) => void;
}

/** When a lane is free, and again until the server has them; what it answered. */
export async function sendPatiently(method: string, path: string, sending: PatientBytes): Promise<string> {
  const { bytes, signal, onSent } = sending;
  const attempt = async (): Promise<string> => {
    try {
      return await sendBytes(method, path, sending);
    } catch (error) {
      onSent(0);
      if (error instanceof Unreachable) await assertReadable(bytes, signal);
      throw error;
    }
  };
  try {
    return await persist(() => inLane(attempt, signal), sending);
  } finally {
    onSent(0);
  }
}

/** A browser that cannot read a body fails as if the network had. */
async function assertReadable(bytes: Blob, signal: AbortSignal): Promise<void> {
  try {
    await bytes.slice(0, 1).arrayBuffer();
  } catch (error) {
    signal.throwIfAborted();
    throw new FileUnreadable({ cause: error });
  }
}

function* indexesOf(missing: readonly MissingRange[]): Generator<number, undefined> {
  for (const [first, last] of missing) for (let index = first; index <= last; index += 1) yield index;
}
