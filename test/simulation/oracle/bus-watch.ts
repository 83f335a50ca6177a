/**
 * What is said on the bus, heard where it is sent: before it is lost, doubled or late, and in the order in which it was sent.
 *
 * W1: nothing is decoded but what a rule needs.
 * W2: what nobody answered is forgotten, the oldest first.
 */
import { z } from "zod";
import { catalog } from "../../../src/actors/catalog/contract.ts";
import { ids } from "../../../src/actors/ids/contract.ts";
import { decodeBody } from "../../../src/bus/codec.ts";
import { requestSubject } from "../../../src/bus/contract.ts";
import { HEADERS } from "../../../src/bus/headers.ts";
import { REPLY_BYTES_MAX, REPLY_ITEMS_MAX } from "../../../src/core/limits.ts";
import type { BusHeaders } from "../../../src/core/ports/bus.ts";
import { epoch, identity, isEnded, uploadState } from "../../../src/core/shapes.ts";
import type { Breach } from "./breach.ts";
import { IdLeases } from "./id-leases.ts";
import { tellableSteps } from "./transitions.ts";
import { UploadOwners } from "./upload-owners.ts";

/** As its sender gave it to the bus. */
export interface SentMessage {
  /** Name and life of the sender: `storage1#2`. */
  readonly life: string;
  readonly subject: string;
  readonly reply?: string | undefined;
  readonly headers: BusHeaders;
  readonly payload: Uint8Array;
}

/** @returns what is wrong with a good answer, if anything */
type Answered = (output: unknown) => Breach | undefined;
/** @returns who wants to hear the answers; or what is wrong already */
type Asked = (input: unknown, life: string) => Answered | Breach | undefined;

const OPEN_QUESTIONS_MAX = 10_000;
const UPLOAD_FACTS = "troupe.v1.evt.upload.";

const ownedUpload = z.object({ uploadId: identity, epoch });
const toldUpload = ownedUpload.extend({ state: uploadState });
const forgotten = z.object({ uploadId: identity, isForgotten: z.literal(true) });
const committed = ownedUpload.extend({ blob: z.object({ blobId: z.int() }) });

export class BusWatch {
  readonly #breached: (breach: Breach) => void;
  readonly #leases = new IdLeases();
  readonly #owners = new UploadOwners(tellableSteps());
  /** Which upload has which blob ID. */
  readonly #blobs = new Map<number, string>();
  /** Who hears answers, by inbox. */
  readonly #open = new Map<string, Answered>();
  readonly #questions: ReadonlyMap<string, Asked>;

  constructor(breached: (breach: Breach) => void) {
    this.#breached = breached;
    this.#questions = new Map<string, Asked>([
      [requestSubject(ids, {}, "next"), () => (output) => this.#leased(output)],
      [requestSubject(catalog, {}, "commitFile"), (input, life) => this.#commits(input, life)],
      [requestSubject(catalog, {}, "commitKnown"), (input, life) => this.#acts(input, life)],
      [requestSubject(catalog, {}, "endUpload"), (input, life) => this.#ends(input, life)],
      [requestSubject(catalog, {}, "claimUpload"), () => (output) => this.#claimed(output)],
    ]);
  }

  sent({ life, subject, reply, headers, payload }: SentMessage): void {
    const asked = this.#questions.get(subject);
    if (asked !== undefined) {
      const hears = asked(decoded(payload), life);
      if (typeof hears !== "function") this.#report(hears);
      else if (reply !== undefined) this.#expect(reply, hears);
      return;
    }
    const answered = this.#open.get(subject);
    if (answered !== undefined) {
      // Kept: a request that was doubled is answered twice.
      if (headers[HEADERS.errorCode] === undefined && headers[HEADERS.error] === undefined && payload.length > 0)
        this.#report(answered(decoded(payload)));
      return;
    }
    if (!subject.startsWith(UPLOAD_FACTS)) return;
    const told = toldUpload.safeParse(decoded(payload));
    if (told.success) this.#report(this.#owners.told(told.data, life));
  }

  /** The database of IDs was put back: what it had committed since is not there any more. */
  idsRewound(): void {
    this.#leases.forget();
    // Which of two that commit with one ID is refused is the catalog's word: no two rows have it.
    this.#blobs.clear();
  }

  #leased(output: unknown): Breach | undefined {
    const { key, first, count } = output as { key: string; first: number; count: number };
    const repeated = this.#leases.give(key, first, count);
    return repeated && { rule: "id-repeated", sentence: `IDs ${repeated.first} to ${repeated.end - 1} of ${key} were given out twice` };
  }

  #commits(input: unknown, life: string): Answered | Breach | undefined {
    const request = committed.safeParse(input);
    if (!request.success) return undefined;
    const { uploadId, blob } = request.data;
    const other = this.#blobs.get(blob.blobId);
    if (other !== undefined && other !== uploadId)
      return { rule: "blob-id-repeated", sentence: `uploads ${other} and ${uploadId} both have the blob ID ${blob.blobId}` };
    this.#blobs.set(blob.blobId, uploadId);
    return this.#acts(input, life);
  }

  #ends(input: unknown, life: string): Answered | Breach | undefined {
    const request = forgotten.safeParse(input);
    // Nobody was told of it: who finds its folder may begin it anew.
    return request.success ? () => this.#owners.forgotten(request.data.uploadId) : this.#acts(input, life);
  }

  #acts(input: unknown, life: string): Answered | Breach | undefined {
    const request = ownedUpload.safeParse(input);
    if (!request.success) return undefined;
    const { uploadId, epoch } = request.data;
    return this.#owners.acts(uploadId, epoch, life) ?? (() => this.#owners.accepted(uploadId, epoch));
  }

  #claimed(output: unknown): Breach | undefined {
    const record = toldUpload.safeParse(output);
    if (!record.success || isEnded(record.data.state)) return undefined;
    return this.#owners.takenOver(record.data.uploadId, record.data.epoch);
  }

  #expect(reply: string, hears: Answered): void {
    this.#open.set(reply, hears);
    // W2
    if (this.#open.size > OPEN_QUESTIONS_MAX) this.#open.delete(this.#open.keys().next().value as string);
  }

  #report(breach: Breach | undefined): void {
    if (breach !== undefined) this.#breached(breach);
  }
}

const decoded = (payload: Uint8Array): unknown => decodeBody(payload, { bytesMax: REPLY_BYTES_MAX, itemsMax: REPLY_ITEMS_MAX });
