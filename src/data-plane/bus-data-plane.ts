/**
 * The data plane over the bus: bytes in frames, to and from a node that cannot be connected to. Slower than a connection, and it works from
 * anywhere that reaches the bus.
 *
 * B1: a chunk's body is read only when the node has asked for it.
 * B2: a frame that is lost, late or too much ends the transfer with an error; it never changes the bytes.
 * B3: transfers, and what waits in each, are bounded; a node that is silent is given up. A body that is silent shows its node that this
 *     gateway is there.
 */
import assert from "node:assert/strict";
import { bytesOnBus } from "../actors/bytes/contract.ts";
import { type CallOptions, type Client, client, isNoResponders } from "../bus/client.ts";
import { actorSubject } from "../bus/contract.ts";
import { TroupeError } from "../core/errors.ts";
import { DATA_SILENCE_MS_MAX, FRAME_WINDOW_MAX, TRANSFERS_PER_GATEWAY_MAX } from "../core/limits.ts";
import type { Bus, Subscription } from "../core/ports/bus.ts";
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataAccess, DataPlane, UploadRange } from "../core/ports/data-plane.ts";
import { type Random, randomIdentity } from "../core/ports/random.ts";
import { chunkStored } from "../core/shapes.ts";
import { SilenceWatch } from "../core/silence-watch.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frame.ts";
import { FrameReceiver } from "./frame-receiver.ts";
import { FrameSender } from "./frame-sender.ts";
import { hostUnavailable } from "./host-unavailable.ts";
import { type RangeSource, receiveRange } from "./received-range.ts";
import { withSignsOfLife } from "./signs-of-life.ts";

export interface BusDataPlanePorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
}

type ReadAddress = Transfer["address"] & { readonly credit: number };

/** What a transfer's owner does with what it hears. */
interface Hearing {
  frame(frame: Frame): void;
  fail(error: unknown): void;
}

export class BusDataPlane implements DataPlane {
  readonly #ports: BusDataPlanePorts;
  #transferCount = 0;

  constructor(ports: BusDataPlanePorts) {
    this.#ports = ports;
  }

  async readBlob(access: DataAccess, range: BlobRange, signal?: AbortSignal): Promise<ByteStream> {
    const { blobId, offset, lengthBytes } = range;
    const begin = (asked: ReadAddress, node: Client<typeof bytesOnBus>, options: CallOptions) =>
      node.read({ ...asked, blobId, offset, lengthBytes }, options);
    return await this.#read(access, lengthBytes, signal, begin);
  }

  async readUpload(access: DataAccess, range: UploadRange, signal?: AbortSignal): Promise<ByteStream> {
    return await this.#read(access, range.lengthBytes, signal, (asked, node, options) => node.readUpload({ ...asked, ...range }, options));
  }

  async #read(
    access: DataAccess,
    lengthBytes: number,
    signal: AbortSignal | undefined,
    begin: (asked: ReadAddress, node: Client<typeof bytesOnBus>, options: CallOptions) => Promise<unknown>,
  ): Promise<ByteStream> {
    const transfer = this.#open(access, signal);
    const receiver = new FrameReceiver({ allow: (upTo) => transfer.send({ kind: "credit", upTo }), watch: transfer.watch });
    transfer.listen({
      frame: (frame) => {
        if (frame.kind === "bytes") receiver.take(frame.number, frame.bytes);
        else if (frame.kind === "end") receiver.end(frame.count);
      },
      fail: (error) => receiver.fail(error),
    });
    try {
      const asked = { ...transfer.address, credit: FRAME_WINDOW_MAX };
      await begin(asked, client(this.#ports.bus, bytesOnBus, { nodeId: access.nodeId }), transfer.callOptions);
      return await receiveRange(transfer, receiver, lengthBytes);
    } catch (error) {
      transfer.giveUp();
      throw transfer.explain(error);
    }
  }

  async storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored> {
    const { uploadId, index, lengthBytes, digests, fromBytes, isAtomic } = chunk;
    const { bus, clock } = this.#ports;
    const transfer = this.#open(access, chunk.signal);
    const outcome = Promise.withResolvers<ChunkStored>();
    // It may fail before anybody waits for it.
    outcome.promise.catch(() => undefined);
    let sender: FrameSender | undefined;
    transfer.listen({
      frame: (frame) => {
        if (frame.kind === "credit") sender?.allow(frame.upTo);
        else if (frame.kind === "end") outcome.resolve(chunkStored.parse(frame.outcome));
      },
      fail: (error) => {
        sender?.fail(error);
        outcome.reject(error);
      },
    });
    try {
      const asked = { ...transfer.address, uploadId, index, lengthBytes, fromBytes, isAtomic, digests: [...digests] };
      const begun = await client(bus, bytesOnBus, { nodeId: access.nodeId }).write(asked, transfer.callOptions);
      if (begun.stored === undefined) {
        const { watch } = transfer;
        sender = new FrameSender({
          publish: (payload) => transfer.publish(payload),
          payloadBytesMax: bus.payloadBytesMax,
          watch,
          credit: begun.credit,
        });
        // B1. Not waited for: the node may answer before it has all, and then the rest is not wanted.
        sendBody(sender, withSignsOfLife(chunk.bytes, clock), watch).catch(outcome.reject);
      }
      const stored = begun.stored ?? (await outcome.promise);
      transfer.end();
      return stored;
    } catch (error) {
      transfer.giveUp();
      throw transfer.explain(error);
    }
  }

  #open(access: DataAccess, signal: AbortSignal | undefined): Transfer {
    // B3
    if (this.#transferCount >= TRANSFERS_PER_GATEWAY_MAX)
      throw new TroupeError("BUSY", `${TRANSFERS_PER_GATEWAY_MAX} transfers over the bus are under way already.`);
    const transfer = new Transfer(access, this.#ports, signal, () => {
      this.#transferCount -= 1;
    });
    this.#transferCount += 1;
    return transfer;
  }
}

async function sendBody(sender: FrameSender, body: AsyncIterable<Uint8Array>, watch: SilenceWatch): Promise<void> {
  for await (const block of body) await sender.send(block);
  sender.end();
  // From here on it is the node that is waited for.
  watch.touch();
}

/** The gateway's end of one transfer: an inbox, and the subject of the node's end. */
class Transfer implements RangeSource {
  readonly watch: SilenceWatch;
  /** What the node has to know to answer. */
  readonly address: { readonly transferId: string; readonly inbox: string; readonly token: string };
  readonly #access: DataAccess;
  readonly #bus: Bus;
  readonly #subject: string;
  readonly #onEnd: () => void;
  #subscription: Subscription | undefined;
  #isEnded = false;

  constructor(access: DataAccess, { bus, clock, random }: BusDataPlanePorts, signal: AbortSignal | undefined, onEnd: () => void) {
    const { nodeId, token } = access;
    this.#access = access;
    this.#bus = bus;
    this.#onEnd = onEnd;
    this.address = { transferId: randomIdentity(random), inbox: bus.inbox(), token };
    this.#subject = `${actorSubject(bytesOnBus, { nodeId })}.frames.${this.address.transferId}`;
    this.watch = new SilenceWatch(clock, DATA_SILENCE_MS_MAX, signal);
  }

  get callOptions() {
    return { timeoutMs: DATA_SILENCE_MS_MAX, signal: this.watch.signal };
  }

  listen(hearing: Hearing): void {
    assert(this.#subscription === undefined, "a transfer is listened to once");
    const fail = (error: unknown): void => hearing.fail(this.explain(error));
    this.#subscription = this.#bus.subscribe(
      this.address.inbox,
      ({ payload }) => {
        try {
          const frame = decodeFrame(payload);
          if (frame.kind === "failure") fail(frame.error);
          else hearing.frame(frame);
        } catch (error) {
          // The bus answers a message that nobody hears with one of no bytes: the node has gone.
          fail(payload.length === 0 ? new TroupeError("UNAVAILABLE", "it went away.", { cause: error }) : error);
        }
      },
      { pendingMax: 2 * FRAME_WINDOW_MAX },
    );
    this.watch.signal.addEventListener("abort", () => fail(this.watch.signal.reason), { once: true });
  }

  send(frame: Frame): void {
    this.publish(encodeFrame(frame));
  }

  publish(payload: Uint8Array): void {
    // With a reply, so that a node that knows no such transfer can say so.
    if (!this.#isEnded) this.#bus.publish(this.#subject, payload, { reply: this.address.inbox });
  }

  explain(error: unknown): unknown {
    const explained = this.watch.explain(error, "it");
    if (!(explained instanceof TroupeError)) return explained;
    const { code, detail } = explained;
    if (code !== "UNAVAILABLE" && code !== "DEADLINE_EXCEEDED" && code !== "MESSAGE_REFUSED") return explained;
    if (isNoResponders(explained))
      return hostUnavailable(this.#access, "nobody hears it on the bus.", { cause: explained, unconnected: true });
    return hostUnavailable(this.#access, detail, { cause: explained });
  }

  broken(why: string): TroupeError {
    return hostUnavailable(this.#access, why);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.watch.end();
    this.#subscription?.unsubscribe();
    this.#onEnd();
  }

  giveUp(): void {
    if (this.#isEnded) return;
    try {
      this.send({ kind: "failure", error: new TroupeError("CANCELLED", "The gateway wants no more of this.") });
    } catch (error) {
      // Without a bus the node notices by itself; and nobody waits for this transfer any more.
      if (!(error instanceof TroupeError)) throw error;
    } finally {
      this.end();
      this.watch.giveUp();
    }
  }
}
