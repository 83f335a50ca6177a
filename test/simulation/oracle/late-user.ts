/**
 * Somebody who comes when nothing ails the cluster any more, and does with a file all that there is to do, through one gateway.
 *
 * U1: every step succeeds. One that fails in a way that may pass is tried again, but not for long.
 * U2: what came of it stands in the history, like all that clients did: what stays must be there after a restart, what was deleted must not.
 */
import { type AgainPorts, again, MOVING_POLICY } from "../../../src/client/again.ts";
import { mergeUpload } from "../../../src/client/merging.ts";
import { TroupeClient } from "../../../src/client/troupe-client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { HttpClient } from "../../../src/core/ports/http-exchange.ts";
import { problemOf } from "../../../src/core/received-problem.ts";
import type { Token } from "../../../src/gateway/owner-keys.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import { Content } from "../workload/content.ts";
import { endWish, type History, openWish } from "../workload/history.ts";
import { KnownFile, type Rename } from "../workload/known-file.ts";
import { KnownUpload } from "../workload/known-upload.ts";
import type { Breach } from "./breach.ts";

/** For all steps with a file, those that are tried again among them (U1). */
export const USED_WITHIN_MS = 2 * 60_000;
/** It has two chunks, and the second is a short one. */
const CHUNK_BYTES = 64 * 1024;
const FILE_BYTES = CHUNK_BYTES + 4_321;
const LAST_CHUNK = 1;
/** Of no operation of the plan. */
const NO_OPERATION = -1;

interface LateUserOptions {
  readonly process: SimulatedProcess;
  readonly http: HttpClient;
  readonly history: History;
  /** Its name, and its address. */
  readonly gateway: { readonly name: string; readonly url: string };
  readonly token: Token;
}

interface FileWish {
  readonly name: string;
  readonly user: string;
  readonly content: Content;
}

/** With its first chunk acknowledged. */
export interface BegunUpload {
  readonly wish: FileWish;
  readonly known: KnownUpload;
  readonly uploadId: string;
}

export class LateUser {
  readonly #options: LateUserOptions;
  readonly #client: TroupeClient;
  readonly #ports: AgainPorts;
  readonly #authorization: string;
  /** What it is at. */
  #step = "";

  constructor(options: LateUserOptions) {
    this.#options = options;
    const { process, http, gateway, token } = options;
    const secret = `${token.owner}:${token.secret}`;
    this.#client = new TroupeClient({ http, clock: process.clock, gateway: gateway.url, token: secret, name: gateway.name });
    this.#authorization = `Basic ${Buffer.from(secret).toString("base64")}`;
    this.#ports = {
      clock: process.clock,
      random: process.random,
      onPause: () => process.world.counts.add("oracle.asked-again"),
    };
  }

  /** Uploads a file, reads it, gives it another name, and deletes it. */
  async usesFile(name: string, contentSeed: number): Promise<Breach | undefined> {
    return await this.#within(async (signal) => {
      const wish = { name, user: "default", content: Content.of(contentSeed, FILE_BYTES) };
      const file = await this.#uploads(wish, signal);
      await this.#reads(file, wish, signal);
      const other = `${name}-renamed`;
      await this.#renames(file, other, signal);
      await this.#reads(file, { ...wish, name: other }, signal);
      await this.#deletes(file, signal);
    });
  }

  /** Uploads a file that stays. */
  async keepsFile(name: string, user: string, contentSeed: number): Promise<Breach | undefined> {
    return await this.#within(async (signal) => {
      await this.#uploads({ name, user, content: Content.of(contentSeed, FILE_BYTES) }, signal);
    });
  }

  /** Uploads a file but for its last chunk. */
  async begins(name: string, contentSeed: number): Promise<BegunUpload | Breach> {
    let begun: BegunUpload | undefined;
    const breach = await this.#within(async (signal) => {
      begun = await this.#creates({ name, user: "default", content: Content.of(contentSeed, FILE_BYTES) }, signal);
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
    return await this.#within(async (signal) => {
      const { uploadId, wish } = begun;
      const { missing } = await this.#tries(`asking for upload ${uploadId}`, signal, () => this.#client.status(uploadId, signal));
      if (missing.some(([first]) => first === 0)) throw new TroupeError("UPLOAD_INCOMPLETE", "A chunk that was acknowledged is missing.");
      if (missing.length > 0) await this.#sends(begun, LAST_CHUNK, signal);
      const file = await this.#merges(begun, signal);
      await this.#reads(file, wish, signal);
      await this.#deletes(file, signal);
    });
  }

  /** U1 */
  async #within(work: (signal: AbortSignal) => Promise<void>): Promise<Breach | undefined> {
    const { process, gateway } = this.#options;
    const patience = new AbortController();
    const timer = process.clock.setTimer(USED_WITHIN_MS, () => patience.abort());
    try {
      await work(patience.signal);
      process.world.counts.add("oracle.files-used");
      return undefined;
    } catch (error) {
      const why = error instanceof TroupeError ? `${error.code} (${error.detail})` : String(error);
      const after = patience.signal.aborted ? ` within ${USED_WITHIN_MS / 1000} s` : "";
      return { rule: "does-not-work", sentence: `${gateway.name}: ${this.#step} did not succeed${after}: ${why}` };
    } finally {
      timer.cancel();
    }
  }

  async #uploads(wish: FileWish, signal: AbortSignal): Promise<KnownFile> {
    const begun = await this.#creates(wish, signal);
    for (let index = 0; index <= LAST_CHUNK; index += 1) await this.#sends(begun, index, signal);
    return await this.#merges(begun, signal);
  }

  async #creates(wish: FileWish, signal: AbortSignal): Promise<BegunUpload> {
    const { process, history, token } = this.#options;
    const { name, user, content } = wish;
    const known = new KnownUpload({
      operation: NO_OPERATION,
      owner: token.owner,
      app: "default",
      user,
      name,
      content,
      way: "chunks",
      key: name,
      isFalse: false,
      claimsDigest: false,
      isPartial: false,
      askedMs: process.world.nowMs,
    });
    history.addUpload(known);
    const created = await this.#tries("an upload's creation", signal, () =>
      this.#client.create({ name, user, size: content.sizeBytes, chunkBytes: CHUNK_BYTES, idempotencyKey: name }, signal),
    );
    if (created.kind === "file") throw new TroupeError("NOT_IMPLEMENTED", "It is a file already.");
    const { uploadId, chunkBytes } = created.upload;
    if (chunkBytes !== CHUNK_BYTES) throw new TroupeError("NOT_IMPLEMENTED", `Its chunks are to have ${chunkBytes} bytes.`);
    history.named(known, uploadId);
    return { wish, known, uploadId };
  }

  async #sends(begun: BegunUpload, index: number, signal: AbortSignal): Promise<void> {
    await this.#tries(`chunk ${index} of upload ${begun.uploadId}`, signal, () => this.#chunk(begun, index, signal));
  }

  async #chunk({ wish, uploadId }: BegunUpload, index: number, signal?: AbortSignal): Promise<void> {
    const bytes = wish.content.span(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
    await this.#client.chunk(uploadId, index, bytes.length, once(bytes), signal);
  }

  async #merges({ wish: { content }, known, uploadId }: BegunUpload, signal: AbortSignal): Promise<KnownFile> {
    const { process, history } = this.#options;
    this.#step = `the merge of upload ${uploadId}`;
    known.merges.push(this.#wish());
    const merged = await mergeUpload(this.#client, this.#ports, { uploadId, isSmall: true, signal, onState: () => undefined });
    if ("missing" in merged) throw new TroupeError("UPLOAD_INCOMPLETE", "Acknowledged chunks are missing.");
    const { fileId, digest } = merged.file;
    if (digest.blake3 !== content.blake3) throw new TroupeError("DIGEST_MISMATCH", `It has ${digest.blake3}, and not ${content.blake3}.`);
    known.fileId = fileId;
    const file = new KnownFile(fileId, known, process.world.nowMs);
    history.addFile(file);
    return file;
  }

  async #reads({ fileId }: KnownFile, { name, content }: FileWish, signal: AbortSignal): Promise<void> {
    const told = await this.#tries(`looking at file ${fileId}`, signal, () => this.#client.file(fileId, signal));
    if (told.name !== name) throw new TroupeError("NOT_IMPLEMENTED", `It is called ${told.name}, and not ${name}.`);
    const bytes = await this.#tries(`reading file ${fileId}`, signal, async () => {
      const blocks: Uint8Array[] = [];
      for await (const block of (await this.#client.open(fileId, undefined, undefined, signal)).body) blocks.push(block);
      return Buffer.concat(blocks);
    });
    if (!content.bytes().equals(bytes)) throw new TroupeError("DIGEST_MISMATCH", "Other bytes came than were sent.");
  }

  async #renames(file: KnownFile, name: string, signal: AbortSignal): Promise<void> {
    const wish: Rename = { ...this.#wish(), name };
    file.renames.push(wish);
    const { http, gateway } = this.#options;
    await this.#tries(`renaming file ${file.fileId}`, signal, async () => {
      const response = await http.exchange({
        method: "PATCH",
        url: `${gateway.url}/api/v1/files/${file.fileId}`,
        headers: { authorization: this.#authorization, "content-type": "application/json" },
        body: JSON.stringify({ name }),
        signal,
      });
      const blocks: Uint8Array[] = [];
      for await (const block of response.body) blocks.push(block);
      if (response.status >= 400) throw problemOf(response.status, response.headers, Buffer.concat(blocks).toString());
    });
    endWish(wish, "acknowledged", this.#options.process.world.nowMs);
  }

  async #deletes(file: KnownFile, signal: AbortSignal): Promise<void> {
    const wish = this.#wish();
    file.deletes.push(wish);
    let attempt = 0;
    await this.#tries(`deleting file ${file.fileId}`, signal, async () => {
      attempt += 1;
      // One whose answer was lost may have deleted it.
      await this.#client.remove(file.fileId, signal).catch((error: unknown) => {
        if (attempt === 1 || !isNotFound(error)) throw error;
      });
    });
    endWish(wish, "acknowledged", this.#options.process.world.nowMs);
    await this.#tries(`looking at file ${file.fileId}, which was deleted`, signal, async () => {
      try {
        await this.#client.file(file.fileId, signal);
      } catch (error) {
        if (isNotFound(error)) return;
        throw error;
      }
      throw new TroupeError("NOT_IMPLEMENTED", "It is still there.");
    });
  }

  #tries<T>(step: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.#step = step;
    return again(MOVING_POLICY, this.#ports, signal, work);
  }

  #wish() {
    return openWish(NO_OPERATION, this.#options.gateway.name, this.#options.process.world.nowMs);
  }
}

const isNotFound = (error: unknown): boolean => error instanceof TroupeError && error.code === "FILE_NOT_FOUND";

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
