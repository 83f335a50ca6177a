/**
 * A node's end of the data plane over the bus: what its data server does for those who can connect to it.
 *
 * N1: a transfer needs a token of this node's, for what it is asked for; frames go to an inbox only.
 * N2: transfers are bounded, in all and of one connection, and one whose gateway is silent, or lets nothing be sent, is given up: nothing
 *     of its chunk counts.
 * N3: a transfer that is asked for again while it is under way is begun once, and both times answered the same: a bus may double what was
 *     asked, and whoever asked takes the answer that comes first.
 */
import { bytesOnBus } from "../actors/bytes/contract.ts";
import type { Handlers, HostedActor, HostPorts } from "../bus/actor.ts";
import { actorSubject, type OutputOf, type ReceivedOf } from "../bus/contract.ts";
import { host } from "../bus/host.ts";
import { inboxOwner, isInbox } from "../bus/subject.ts";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import {
  FRAME_CREDIT_MS_MAX,
  FRAME_WINDOW_MAX,
  GATEWAY_SILENCE_MS_MAX,
  TRANSFERS_PER_NODE_MAX,
  TRANSFERS_PER_OWNER_MAX,
} from "../core/limits.ts";
import type { Bus, BusMessage, Subscription } from "../core/ports/bus.ts";
import type { ByteStream } from "../core/ports/byte-stream.ts";
import { SilenceWatch } from "../core/silence-watch.ts";
import type { ByteService } from "./byte-service.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frame.ts";
import { FrameReceiver } from "./frame-receiver.ts";
import { FrameSender } from "./frame-sender.ts";
import type { TokenMint } from "./token.ts";

export interface BytesOnBus {
  /** Ends the transfers under way. */
  stop(): Promise<void>;
}

/** Answers on `troupe.v1.bytes.{nodeId}.…` for a node that plays in this process. Resolves when it is heard. */
export async function serveBytesOnBus(bus: Bus, node: ByteService, tokens: TokenMint, ports: HostPorts): Promise<BytesOnBus> {
  const service = new BusDataServer(bus, node, tokens, ports);
  await service.start();
  return service;
}

type WriteRequest = ReceivedOf<typeof bytesOnBus, "write">;
type ReadBegun = OutputOf<typeof bytesOnBus, "read">;
type WriteBegun = OutputOf<typeof bytesOnBus, "write">;

class BusDataServer implements BytesOnBus {
  readonly #bus: Bus;
  readonly #node: ByteService;
  readonly #tokens: TokenMint;
  readonly #ports: HostPorts;
  readonly #transfers = new Map<string, NodeTransfer>();
  /** What those under way were answered with (N3). */
  readonly #reads = new WeakMap<NodeTransfer, Promise<ReadBegun>>();
  readonly #writes = new WeakMap<NodeTransfer, Promise<WriteBegun>>();
  #actor: HostedActor | undefined;
  #frames: Subscription | undefined;

  constructor(bus: Bus, node: ByteService, tokens: TokenMint, ports: HostPorts) {
    this.#bus = bus;
    this.#node = node;
    this.#tokens = tokens;
    this.#ports = ports;
  }

  async start(): Promise<void> {
    const identity = { nodeId: this.#node.nodeId };
    this.#frames = this.#bus.subscribe(`${actorSubject(bytesOnBus, identity)}.frames.*`, (message) => this.#hear(message));
    try {
      this.#actor = await host(this.#bus, bytesOnBus, identity, this.#ports, async () => ({ handlers: this.#handlers }));
      await this.#bus.flush();
    } catch (error) {
      await this.#actor?.stop();
      this.#frames.unsubscribe();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const transfer of this.#transfers.values()) transfer.fail(new TroupeError("STOPPING"));
    await this.#actor?.stop();
    await Promise.all([...this.#transfers.values()].map((transfer) => transfer.ended));
    this.#frames?.unsubscribe();
  }

  readonly #handlers: Handlers<typeof bytesOnBus> = {
    read: (input, turn) => {
      const { sizeBytes, path } = this.#tokens.checkRead(input.token, input.blobId);
      if (input.offset + input.lengthBytes > sizeBytes) throw new TroupeError("RANGE_NOT_SATISFIABLE");
      const { blobId, offset, lengthBytes } = input;
      const range = { blobId, path, sizeBytes, offset, lengthBytes };
      const read = (transfer: NodeTransfer) => this.#read(transfer, input.credit, () => this.#node.readBlob(range));
      return turn.later(this.#once(this.#reads, input, FRAME_CREDIT_MS_MAX, read));
    },
    readUpload: (input, turn) => {
      const { uploadId, offset, lengthBytes } = input;
      this.#tokens.checkWrite(input.token, uploadId);
      const range = { uploadId, offset, lengthBytes };
      const read = (transfer: NodeTransfer) => this.#read(transfer, input.credit, () => this.#node.readUpload(range));
      return turn.later(this.#once(this.#reads, input, FRAME_CREDIT_MS_MAX, read));
    },
    write: (input, turn) => {
      this.#tokens.checkWrite(input.token, input.uploadId);
      return turn.later(this.#once(this.#writes, input, GATEWAY_SILENCE_MS_MAX, (transfer) => this.#write(transfer, input)));
    },
  };

  /** N3 */
  #once<Begun>(
    answers: WeakMap<NodeTransfer, Promise<Begun>>,
    { transferId, inbox }: { readonly transferId: string; readonly inbox: string },
    silenceMs: number,
    begin: (transfer: NodeTransfer) => Promise<Begun>,
  ): Promise<Begun> {
    const underWay = this.#transfers.get(transferId);
    const known = underWay?.inbox === inbox ? answers.get(underWay) : undefined;
    if (known !== undefined) return known;
    if (underWay !== undefined) throw new TroupeError("BAD_REQUEST", "This transfer has been begun.");
    const transfer = this.#begin(transferId, inbox, silenceMs);
    const answer = begin(transfer);
    answers.set(transfer, answer);
    return answer;
  }

  /** N1, N2 */
  #begin(transferId: string, inbox: string, silenceMs: number): NodeTransfer {
    if (!isInbox(inbox)) throw new TroupeError("BAD_REQUEST", "Frames go to an inbox.");
    if (this.#transfers.size >= TRANSFERS_PER_NODE_MAX)
      throw new TroupeError("TOO_MANY", `${TRANSFERS_PER_NODE_MAX} transfers over the bus are under way at this node already.`);
    const owner = inboxOwner(inbox);
    if ([...this.#transfers.values()].filter((transfer) => transfer.owner === owner).length >= TRANSFERS_PER_OWNER_MAX)
      throw new TroupeError("TOO_MANY", `${TRANSFERS_PER_OWNER_MAX} transfers of ${owner} are under way at this node already.`);
    const transfer = new NodeTransfer(this.#bus, inbox, new SilenceWatch(this.#ports.clock, silenceMs, undefined), () =>
      this.#transfers.delete(transferId),
    );
    this.#transfers.set(transferId, transfer);
    return transfer;
  }

  /** Resolves when the first block has been read; the frames follow. */
  async #read(transfer: NodeTransfer, credit: number, open: () => Promise<ByteStream>) {
    const sender = new FrameSender({
      publish: (payload) => transfer.publish(payload),
      payloadBytesMax: this.#bus.payloadBytesMax,
      watch: transfer.watch,
      credit,
    });
    transfer.listen({
      frame: (frame) => {
        if (frame.kind === "credit") sender.allow(frame.upTo);
      },
      fail: (error) => sender.fail(error),
    });
    try {
      const stream = await open();
      void this.#send(transfer, sender, stream);
    } catch (error) {
      transfer.end();
      throw error;
    }
    return {};
  }

  async #send(transfer: NodeTransfer, sender: FrameSender, stream: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const block of stream) await sender.send(block);
      sender.end();
    } catch (error) {
      this.#sendFailure(transfer, error);
    } finally {
      transfer.end();
    }
  }

  /** Resolves when the session wants the bytes, or has its answer without them. */
  #write(transfer: NodeTransfer, { uploadId, index, lengthBytes, digests, fromBytes, isAtomic }: WriteRequest): Promise<WriteBegun> {
    const receiver = new FrameReceiver({ allow: (upTo) => transfer.send({ kind: "credit", upTo }), watch: transfer.watch });
    // Frames begin when they are asked for; until then this node is the one who is waited for.
    transfer.watch.rest();
    transfer.listen({
      frame: (frame) => {
        if (frame.kind === "bytes") receiver.take(frame.number, frame.bytes);
        else if (frame.kind === "waiting") receiver.hearWaiting();
        else if (frame.kind === "end") receiver.end(frame.count);
      },
      fail: (error) => receiver.fail(error),
    });
    const begun = Promise.withResolvers<WriteBegun>();
    let isBegun = false;
    const bytes: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        isBegun = true;
        begun.resolve({ credit: FRAME_WINDOW_MAX });
        return receiver;
      },
    };
    const { signal } = transfer.watch;
    this.#node
      .storeChunk({ uploadId, index, lengthBytes, bytes, digests, signal, fromBytes, isAtomic })
      .then(
        (stored) => {
          if (isBegun) transfer.send({ kind: "end", count: 0, outcome: stored });
          else begun.resolve({ credit: 0, stored });
        },
        (error: unknown) => {
          if (isBegun) this.#sendFailure(transfer, error);
          else begun.reject(error);
        },
      )
      .catch((error: unknown) => this.#ports.log.warn({ err: error, uploadId, index }, "The outcome of a chunk could not be sent."))
      .finally(() => transfer.end());
    return begun.promise;
  }

  #sendFailure(transfer: NodeTransfer, error: unknown): void {
    const failure = toTroupeError(error);
    if (failure.code === "INTERNAL") this.#ports.log.error({ err: error }, "A transfer over the bus failed.");
    try {
      transfer.send({ kind: "failure", error: failure });
    } catch (unsent) {
      this.#ports.log.warn({ err: unsent }, "A gateway could not be told of a transfer that failed.");
    }
  }

  #hear({ subject, payload, reply }: BusMessage): void {
    const transfer = this.#transfers.get(subject.slice(subject.lastIndexOf(".") + 1));
    let frame: Frame;
    try {
      frame = decodeFrame(payload);
    } catch (error) {
      this.#ports.log.debug({ err: error, subject }, "Something that is no frame came for a transfer.");
      transfer?.fail(error);
      return;
    }
    if (transfer !== undefined) transfer.hear(frame);
    // This node has started anew, or has given the transfer up: whoever still sends is told.
    else if (frame.kind === "bytes" && reply !== undefined && isInbox(reply))
      this.#bus.publish(reply, encodeFrame({ kind: "failure", error: new TroupeError("UNAVAILABLE", "it knows no such transfer.") }));
  }
}

interface Hearing {
  frame(frame: Frame): void;
  fail(error: unknown): void;
}

/** One transfer under way. */
class NodeTransfer {
  readonly watch: SilenceWatch;
  readonly ended: Promise<void>;
  readonly owner: string;
  readonly inbox: string;
  readonly #bus: Bus;
  readonly #onEnd: () => void;
  #hearing: Hearing | undefined;

  constructor(bus: Bus, inbox: string, watch: SilenceWatch, onEnd: () => void) {
    const ended = Promise.withResolvers<void>();
    this.ended = ended.promise;
    this.watch = watch;
    this.owner = inboxOwner(inbox);
    this.#bus = bus;
    this.inbox = inbox;
    this.#onEnd = () => {
      onEnd();
      ended.resolve();
    };
  }

  listen(hearing: Hearing): void {
    this.#hearing = hearing;
    this.watch.signal.addEventListener("abort", () => hearing.fail(this.watch.signal.reason), { once: true });
  }

  hear(frame: Frame): void {
    if (frame.kind === "failure") this.fail(frame.error);
    else this.#hearing?.frame(frame);
  }

  /** What is under way ends with this error; it ends the transfer. */
  fail(error: unknown): void {
    this.#hearing?.fail(error);
    this.watch.giveUp();
  }

  send(frame: Frame): void {
    this.publish(encodeFrame(frame));
  }

  publish(payload: Uint8Array): void {
    this.#bus.publish(this.inbox, payload);
  }

  end(): void {
    this.watch.end();
    this.#onEnd();
  }
}
