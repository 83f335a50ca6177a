/**
 * Somebody who comes when nothing ails the cluster any more, and does with a file all that there is to do, through one gateway.
 *
 * U1: every step succeeds. One that fails in a way that may pass is tried again, but not for long.
 * U2: what came of it stands in the history, like all that clients did: what stays must be there after a restart, what was deleted must not.
 */
import { mergeUpload } from "../../../src/client/merging.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import { Content } from "../workload/content.ts";
import type { KnownFile } from "../workload/known-file.ts";
import type { KnownUpload } from "../workload/known-upload.ts";
import type { Breach } from "./breach.ts";
import { type FileWish, LateSteps, type LateUserOptions } from "./late-steps.ts";
import { createOfKnownContent, putWhole, uploadByTus } from "./late-ways.ts";

/** It has two chunks, and the second is a short one. */
const CHUNK_BYTES = 64 * 1024;
const FILE_BYTES = CHUNK_BYTES + 4_321;
const LAST_CHUNK = 1;

/** With its first chunk acknowledged. */
export interface BegunUpload {
  readonly wish: FileWish;
  readonly known: KnownUpload;
  readonly uploadId: string;
}

export class LateUser {
  readonly #steps: LateSteps;

  constructor(options: LateUserOptions) {
    this.#steps = new LateSteps(options);
  }

  /** Uploads a file, reads it, gives it another name, and deletes it. */
  async usesFile(name: string, contentSeed: number): Promise<Breach | undefined> {
    const steps = this.#steps;
    return await steps.within(async (signal) => {
      const wish = wishOf(name, contentSeed);
      const file = await this.#uploads(wish, signal);
      await steps.reads(file, wish, signal);
      const other = `${name}-renamed`;
      await steps.renames(file, other, signal);
      await steps.reads(file, { ...wish, name: other }, signal);
      await steps.deletes(file, signal);
    });
  }

  /** A larger file in every other way there is; of two with the same content one is deleted, and the other stays as it is. */
  async usesEveryWay(name: string, contentSeed: number, sizeBytes: number): Promise<Breach | undefined> {
    const steps = this.#steps;
    return await steps.within(async (signal) => {
      const content = Content.of(contentSeed, sizeBytes);
      const wishes = ["put", "again", "tus"].map((word) => ({ name: `${name}-${word}`, user: "default", content }));
      const [first, second, third] = wishes as [FileWish, FileWish, FileWish];
      const put = await putWhole(steps, first, signal);
      const again = await createOfKnownContent(steps, second, signal);
      await steps.deletes(put, signal);
      await steps.reads(again, second, signal);
      const tus = await uploadByTus(steps, third, signal);
      await steps.deletes(again, signal);
      await steps.reads(tus, third, signal);
      await steps.deletes(tus, signal);
    });
  }

  /** Sends a chunk now and then, each in time: the upload does not expire, however long all of them take. */
  async takesItsTime(name: string, contentSeed: number, idleExpiryMs: number): Promise<Breach | undefined> {
    const steps = this.#steps;
    return await steps.within(async (signal) => {
      const wish = wishOf(name, contentSeed);
      const begun = await this.#creates(wish, signal);
      for (let index = 0; index <= LAST_CHUNK; index += 1) {
        await sleep(steps.ports.clock, 0.6 * idleExpiryMs, signal);
        await this.#sends(begun, index, signal);
      }
      await steps.deletes(await this.#merges(begun, signal), signal);
    });
  }

  /** Uploads a file that stays. */
  async keepsFile(name: string, user: string, contentSeed: number): Promise<Breach | undefined> {
    return await this.#steps.within(async (signal) => {
      await this.#uploads({ ...wishOf(name, contentSeed), user }, signal);
    });
  }

  /** Uploads a file but for its last chunk. */
  async begins(name: string, contentSeed: number): Promise<BegunUpload | Breach> {
    let begun: BegunUpload | undefined;
    const breach = await this.#steps.within(async (signal) => {
      begun = await this.#creates(wishOf(name, contentSeed), signal);
      await this.#sends(begun, 0, signal);
    });
    return breach ?? (begun as BegunUpload);
  }

  /** Sends the last chunk, and counts on no answer. */
  goesOn(begun: BegunUpload): void {
    this.#chunk(begun, LAST_CHUNK).catch(() => undefined);
  }

  /** Goes on with it: the chunk that was acknowledged must be there. Then the file is read and deleted. */
  async finishes(begun: BegunUpload): Promise<Breach | undefined> {
    const steps = this.#steps;
    return await steps.within(async (signal) => {
      const { uploadId, wish } = begun;
      const { missing } = await steps.tries(`asking for upload ${uploadId}`, signal, () => steps.client.status(uploadId, signal));
      if (missing.some(([first]) => first === 0)) throw new TroupeError("UPLOAD_INCOMPLETE", "A chunk that was acknowledged is missing.");
      if (missing.length > 0) await this.#sends(begun, LAST_CHUNK, signal);
      const file = await this.#merges(begun, signal);
      await steps.reads(file, wish, signal);
      await steps.deletes(file, signal);
    });
  }

  async #uploads(wish: FileWish, signal: AbortSignal): Promise<KnownFile> {
    const begun = await this.#creates(wish, signal);
    for (let index = 0; index <= LAST_CHUNK; index += 1) await this.#sends(begun, index, signal);
    return await this.#merges(begun, signal);
  }

  async #creates(wish: FileWish, signal: AbortSignal): Promise<BegunUpload> {
    const { client, options } = this.#steps;
    const { name, user, content } = wish;
    const known = this.#steps.known(wish, "chunks", { key: name });
    const created = await this.#steps.tries("an upload's creation", signal, () =>
      client.create({ name, user, size: content.sizeBytes, chunkBytes: CHUNK_BYTES, idempotencyKey: name }, signal),
    );
    if (created.kind === "file") throw new TroupeError("NOT_IMPLEMENTED", "It is a file already.");
    const { uploadId, chunkBytes } = created.upload;
    if (chunkBytes !== CHUNK_BYTES) throw new TroupeError("NOT_IMPLEMENTED", `Its chunks are to have ${chunkBytes} bytes.`);
    options.history.named(known, uploadId);
    return { wish, known, uploadId };
  }

  async #sends(begun: BegunUpload, index: number, signal: AbortSignal): Promise<void> {
    await this.#steps.tries(`chunk ${index} of upload ${begun.uploadId}`, signal, () => this.#chunk(begun, index, signal));
  }

  async #chunk({ wish, uploadId }: BegunUpload, index: number, signal?: AbortSignal): Promise<void> {
    const bytes = wish.content.span(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
    await this.#steps.client.chunk(uploadId, index, bytes.length, once(bytes), signal);
  }

  async #merges({ wish: { content }, known, uploadId }: BegunUpload, signal: AbortSignal): Promise<KnownFile> {
    const steps = this.#steps;
    steps.at(`the merge of upload ${uploadId}`);
    known.merges.push(steps.wish());
    const merged = await mergeUpload(steps.client, steps.ports, { uploadId, isSmall: true, signal, onState: () => undefined });
    if ("missing" in merged) throw new TroupeError("UPLOAD_INCOMPLETE", "Acknowledged chunks are missing.");
    const { fileId, digest } = merged.file;
    if (digest.blake3 !== content.blake3) throw new TroupeError("DIGEST_MISMATCH", `It has ${digest.blake3}, and not ${content.blake3}.`);
    return steps.became(known, fileId);
  }
}

const wishOf = (name: string, contentSeed: number): FileWish => ({ name, user: "default", content: Content.of(contentSeed, FILE_BYTES) });

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
