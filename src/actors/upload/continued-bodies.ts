/**
 * Bodies that go on within a chunk, where an earlier one ended. What of them is synced counts, also when they break off: their sender asks
 * how far they came, and goes on from there.
 *
 * C1: they are counted in the order of their bytes: the one after a body still under way waits until that one's chunk is whole and durable,
 *     and does not count when it falls short.
 * C2: any other body means that the sender has begun anew: it ends those under way, waits until they have ended, and must then begin where
 *     the durable bytes end.
 * C3: durable bytes are not written again. A leaf of which some are there is read back and checked before its digest goes on; when it does
 *     not check, these bytes are lost, and the upload goes on from the leaf's beginning.
 * C4: order: data synced → journal record synced → counted → answered.
 */
import { readFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../core/limits.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { receiveChunk } from "./chunk-writer.ts";
import { COPIES, type IntakeSession } from "./intake-session.ts";
import type { ChunkWriting, WriterDesk } from "./writer-desk.ts";

/** A body under way. */
interface Continued {
  readonly chunk: ChunkBody;
  readonly fromBytes: number;
  /** Whether the one before it, which was under way when it came, made its chunk whole (C1). Not that one itself: they would be a chain. */
  readonly previousIsWhole: Promise<boolean> | undefined;
  readonly stop: AbortController;
  /** Resolves when it has ended: whether its chunk is whole and durable. */
  readonly isWhole: PromiseWithResolvers<boolean>;
}

export class ContinuedBodies {
  readonly #session: IntakeSession;
  readonly #desk: WriterDesk;
  /** In the order of their chunks. */
  #underWay: readonly Continued[] = [];

  constructor(session: IntakeSession, desk: WriterDesk) {
    this.#session = session;
    this.#desk = desk;
  }

  /** @throws what the body broke off with, when what has come of it is durable */
  async store(chunk: ChunkBody, fromBytes: number): Promise<ChunkStored> {
    for (;;) {
      const body = await this.#session.turn("chunk.continue", () => this.#begin(chunk, fromBytes));
      if (body !== undefined) return await this.#run(body);
      // C2
      await this.settle();
    }
  }

  /** Ends those under way; resolves when what has come of them is durable. */
  async settle(): Promise<void> {
    const ending = this.#underWay;
    for (const { stop } of ending) stop.abort(new TroupeError("UPLOAD_BUSY", "Another request goes on with this upload."));
    await Promise.all(ending.map(({ isWhole }) => isWhole.promise));
  }

  /** @returns `undefined` when those under way have to end first */
  #begin(chunk: ChunkBody, fromBytes: number): Continued | undefined {
    const { ledger, admit } = this.#session;
    const previous = this.#underWay.at(-1);
    admit();
    if (previous !== undefined && (chunk.index !== previous.chunk.index + 1 || fromBytes !== 0)) return undefined;
    const isHere = previous !== undefined || (chunk.index === ledger.prefixCount && fromBytes === ledger.tailBytesOf(chunk.index));
    if (!isHere || ledger.isReceived(chunk.index)) throw this.#offsetMismatch();
    if (ledger.isInFlight(chunk.index)) throw new TroupeError("UPLOAD_BUSY", `A body for chunk ${chunk.index} is arriving already.`);
    this.#desk.claim(chunk.index);
    const isWhole = Promise.withResolvers<boolean>();
    const body = { chunk, fromBytes, previousIsWhole: previous?.isWhole.promise, stop: new AbortController(), isWhole };
    this.#underWay = [...this.#underWay, body];
    return body;
  }

  async #run(body: Continued): Promise<ChunkStored> {
    const { index } = body.chunk;
    let isWhole = false;
    try {
      const roomBytes = this.#session.ledger.lengthsOf(index).maxBytes - body.fromBytes;
      return await this.#desk.write(index, roomBytes, async (writing) => {
        const { lengthBytes, broken } = await this.#receive(body, writing);
        const { ledger } = this.#session;
        isWhole = ledger.isReceived(index);
        if (broken !== undefined) throw broken.error;
        return { index, copies: COPIES, receivedCount: ledger.receivedCount, lengthBytes, isNew: true };
      });
    } finally {
      this.#underWay = this.#underWay.filter((other) => other !== body);
      body.isWhole.resolve(isWhole);
    }
  }

  /** Resolves when it is counted (C4). */
  async #receive({ chunk, fromBytes, previousIsWhole, stop }: Continued, writing: ChunkWriting) {
    const { ledger, data, journal, ports, interruptible } = this.#session;
    const { index } = chunk;
    const firstBytes = Math.floor(fromBytes / LEAF_BYTES) * LEAF_BYTES;
    if (fromBytes === 0) await this.#desk.shortenTail(index, 0);
    const head = await this.#readHead(index, firstBytes, fromBytes);
    const { broken, ...received } = await receiveChunk(
      interruptible(chunk, stop.signal),
      {
        file: data,
        sync: () => this.#desk.sync(),
        offset: ledger.offsetOf(index) + firstBytes,
        minBytes: head.length,
        maxBytes: ledger.lengthsOf(index).maxBytes - firstBytes,
        head,
        body: writing.body,
        keepsBroken: chunk.digests.length === 0 && chunk.isAtomic !== true,
      },
      ports,
    );
    const lengthBytes = firstBytes + received.lengthBytes;
    if (lengthBytes > fromBytes) await this.#desk.sync();
    // C1
    if (previousIsWhole !== undefined && !(await previousIsWhole)) throw this.#offsetMismatch();
    if (lengthBytes === fromBytes) {
      await writing.giveUp();
      return { lengthBytes, broken };
    }
    const before = ledger.tailBytesOf(index) === 0 ? undefined : ledger.tail?.leafDigests;
    const kept = (before ?? new Uint8Array()).subarray(0, (firstBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES);
    const leafDigests = Buffer.concat([kept, received.leafDigests]);
    if (lengthBytes === ledger.wholeBytesOf(index)) {
      const journalOffset = await journal.append({ kind: "chunk", index, lengthBytes, leafDigests });
      await writing.count(() => {
        ledger.receive(index, lengthBytes, journalOffset);
        this.#session.apply({ type: "chunk.received" });
      });
      writing.digested({ lengthBytes, leafDigests });
    } else {
      await journal.append({ kind: "tail", index, lengthBytes, leafDigests: received.leafDigests });
      await writing.count(() => {
        ledger.setTail({ index, lengthBytes, leafDigests });
        ledger.release(index);
        this.#session.apply({ type: "chunk.released" });
      });
    }
    return { lengthBytes, broken };
  }

  /** C3 */
  async #readHead(index: number, firstBytes: number, fromBytes: number): Promise<Uint8Array> {
    const { ledger, data, ports, plan } = this.#session;
    const head = new Uint8Array(fromBytes - firstBytes);
    if (head.length === 0) return head;
    const at = (firstBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES;
    const expected = ledger.tail?.leafDigests.subarray(at, at + LEAF_DIGEST_BYTES) ?? new Uint8Array();
    const isRead = await readFully(data, head, ledger.offsetOf(index) + firstBytes).then(
      () => true,
      (error: unknown) => {
        if (error instanceof TroupeError && error.facts["errno"] === "EOF") return false;
        throw error;
      },
    );
    if (isRead && Buffer.compare(expected, ports.hasher.leafDigest(head)) === 0) return head;
    ports.log.error({ uploadId: plan.uploadId, index, lostBytes: head.length }, "The last bytes of an upload are damaged on the disk.");
    await this.#desk.shortenTail(index, firstBytes);
    throw this.#offsetMismatch();
  }

  #offsetMismatch(): TroupeError {
    const { offsetBytes } = this.#session.ledger;
    return new TroupeError("OFFSET_MISMATCH", `The upload goes on at byte ${offsetBytes}.`, { facts: { offset: offsetBytes } });
  }
}
