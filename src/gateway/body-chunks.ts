/**
 * One long body on its way into an upload: sliced at the borders of chunks as it streams, each slice sent while earlier ones are being synced.
 *
 * B1: memory is one block of the socket for each slice whose end is withheld, and one for the slice that streams, however long the body is.
 * B2: when this ends, well or not, no slice is under way.
 * B3: a body that is longer than it may be is found out before the last byte that it may have is handed over: it completes nothing.
 * B4: of a body that is checked nothing counts before the check: the ends of all its slices are withheld until then.
 */
import { TroupeError } from "../core/errors.ts";
import { CHECKED_CHUNKS_MAX, WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX } from "../core/limits.ts";
import type { DataPlane } from "../core/ports/data-plane.ts";
import { ChunkedBody } from "./chunked-body.ts";
import type { LiveUpload } from "./upload-directory.ts";

export interface LongBody {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Nobody wants it stored any more. */
  readonly signal?: AbortSignal | undefined;
  /** No byte of the upload is at or past this one. */
  readonly limitBytes: number;
  /** The body has every byte from its beginning to the limit. */
  readonly isWhole?: boolean;
  /** It goes on at this byte of the upload, and what of it is synced counts. Absent: it is all of the upload, in whole chunks. */
  readonly fromBytes?: number;
  /** Called when the body has ended; nothing of it counts when this throws (B4). Its length is bounded by `CHECKED_CHUNKS_MAX` chunks. */
  readonly check?: (() => void) | undefined;
}

/**
 * Resolves with the body's length when all of it is durable.
 * @throws {TroupeError} `TOO_LARGE`, what `check` throws, what the body throws, and what the data plane does
 */
export async function storeBody(dataPlane: DataPlane, live: LiveUpload, body: LongBody): Promise<number> {
  return await new BodyOnItsWay(dataPlane, live, body).store();
}

class BodyOnItsWay {
  readonly #dataPlane: DataPlane;
  readonly #live: LiveUpload;
  readonly #body: LongBody;
  readonly #source: ChunkedBody;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  /** Resolves when withheld ends may be handed over, rejects when they may not. */
  readonly #released = Promise.withResolvers<void>();
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  // One listener at a time, and no race: a promise that outlives its race gathers a reaction in every one.
  #wake = (): void => {};

  constructor(dataPlane: DataPlane, live: LiveUpload, body: LongBody) {
    this.#dataPlane = dataPlane;
    this.#live = live;
    this.#body = body;
    this.#source = new ChunkedBody(body.bytes);
    const { signal } = this.#abort;
    this.#signal = body.signal === undefined ? signal : AbortSignal.any([body.signal, signal]);
    // Perhaps no slice's end is withheld.
    this.#released.promise.catch(() => undefined);
  }

  async store(): Promise<number> {
    const beginBytes = this.#body.fromBytes ?? 0;
    let offset = beginBytes;
    try {
      while (await this.#source.hasMore()) {
        this.#throwFailure();
        const { limitBytes } = this.#body;
        if (offset >= limitBytes)
          throw new TroupeError("TOO_LARGE", `The body goes past the ${limitBytes} bytes that there may be.`, {
            facts: { bytesMax: limitBytes },
          });
        await this.#room();
        offset += await this.#send(offset);
      }
      this.#throwFailure();
      this.#body.check?.();
      this.#released.resolve();
      await Promise.all(this.#underWay);
      this.#throwFailure();
      return offset - beginBytes;
    } catch (error) {
      this.#released.reject(error);
      this.#abort.abort(error);
      await this.#source.close();
      await Promise.all(this.#underWay);
      throw error;
    }
  }

  /** Resolves with the slice's length when all of it has been read: it may still be on its way. */
  async #send(offset: number): Promise<number> {
    const { chunkBytes, uploadId, access } = this.#live;
    const { limitBytes, fromBytes, check, isWhole } = this.#body;
    const index = Math.floor(offset / chunkBytes);
    const roomBytes = Math.min((index + 1) * chunkBytes, limitBytes) - offset;
    const slice = this.#source.slice(roomBytes);
    const isWithheld = check !== undefined || (fromBytes !== undefined && offset + roomBytes === limitBytes);
    const stored: Promise<void> = this.#dataPlane
      .storeChunk(access, {
        uploadId,
        index,
        lengthBytes: isWhole === true ? roomBytes : undefined,
        bytes: isWithheld ? endWithheld(slice, roomBytes, this.#released.promise) : slice,
        digests: [],
        signal: this.#signal,
        ...(fromBytes === undefined ? {} : { fromBytes: offset % chunkBytes, isAtomic: check !== undefined }),
      })
      .then(
        () => undefined,
        (error: unknown) => {
          this.#failure ??= { error };
        },
      )
      .finally(() => {
        this.#underWay.delete(stored);
        this.#wake();
      });
    this.#underWay.add(stored);
    let readBytes: number | undefined;
    void slice.read.then((lengthBytes) => {
      readBytes = lengthBytes;
      this.#wake();
    });
    // The next slice streams while this one is being synced.
    while (readBytes === undefined && this.#failure === undefined && this.#underWay.has(stored)) await this.#somethingHappens();
    this.#throwFailure();
    if (readBytes === undefined) throw new TroupeError("INTERNAL", "A chunk was stored before it was read.");
    return readBytes;
  }

  async #room(): Promise<void> {
    if (this.#body.check === undefined) {
      while (this.#underWay.size >= WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX) await this.#somethingHappens();
      this.#throwFailure();
    } else if (this.#underWay.size >= CHECKED_CHUNKS_MAX) {
      const bytesMax = (CHECKED_CHUNKS_MAX - 1) * this.#live.chunkBytes;
      throw new TroupeError("TOO_LARGE", `A body with a checksum has at most ${bytesMax} bytes here; send more of them.`, {
        facts: { bytesMax },
      });
    }
  }

  #somethingHappens(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** The same blocks; but the one that makes the slice as long as it may be, and the end of a shorter one, only when `released` resolves. */
async function* endWithheld(
  slice: AsyncIterable<Uint8Array>,
  roomBytes: number,
  released: Promise<void>,
): AsyncGenerator<Uint8Array, void, void> {
  let lengthBytes = 0;
  for await (const block of slice) {
    lengthBytes += block.length;
    if (lengthBytes === roomBytes) await released;
    yield block;
  }
  if (lengthBytes < roomBytes) await released;
}
