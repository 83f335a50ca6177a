/**
 * Writing one response over node:http: part of that adapter.
 *
 * W1: a stream is pulled one block at a time, the next only when the socket has taken the last: a slow reader costs one block.
 * W2: a stream that throws, or gives another number of bytes than its Content-Length, destroys the connection.
 * W3: a reader that takes nothing for `slowReaderMs` is given up.
 * W4: an answer to a request whose body has not been read whole closes the connection, but not before the client could read it:
 *     what still comes is thrown away within bounds (closing with unread bytes would reset the connection and lose the answer).
 * W5: where the stream names a region of a file, or has bytes in another socket, and this one has nothing waiting, the operating system moves them; what the socket does
 *     not take at once goes the ordinary way, which waits for it. So does a region that gives no bytes: reading says what is wrong.
 * W6: a stream is ended in every case, also one that was never pulled: it may keep a file open.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { LINGER_BYTES_MAX, LINGER_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { ByteIterator } from "../core/ports/byte-stream.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpResponse } from "../core/ports/http-exchange.ts";
import type { Counter } from "../core/ports/metrics.ts";
import { descriptorOf, sendFile } from "./node-http-send-file.ts";

export interface ResponsePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly slowReaderMs: number;
  /** Of bytes of bodies. */
  readonly sent?: Counter | undefined;
  /** The listener is closing: no further request on this connection. */
  readonly isClosing: () => boolean;
}

/** Resolves when the response has been handed to the operating system, or cannot be. */
export async function writeResponse(
  ports: ResponsePorts,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  response: HttpResponse,
): Promise<void> {
  const { body } = response;
  const iterator = typeof body === "object" && !(body instanceof Uint8Array) ? body[Symbol.asyncIterator]() : undefined;
  try {
    if (!gone(outgoing)) await write(ports, incoming, outgoing, response, iterator);
  } finally {
    // W6. An iterator that has ended takes this for nothing.
    if (iterator !== undefined) endStream(ports, iterator);
  }
}

async function write(
  ports: ResponsePorts,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, headers, body, close }: HttpResponse,
  iterator: ByteIterator | undefined,
): Promise<void> {
  const isBodiless = status === 204 || status === 304;
  const hasNoBody = incoming.method === "HEAD" || isBodiless;
  const closes = close === true || !incoming.complete || ports.isClosing();
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value as string | string[]);
  if (closes) outgoing.setHeader("connection", "close");
  outgoing.statusCode = status;
  if (iterator !== undefined) {
    if (!hasNoBody && !(await pump(ports, outgoing, iterator))) return;
  } else if (body !== undefined && !isBodiless) {
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : (body as Uint8Array);
    outgoing.setHeader("content-length", bytes.length);
    if (!hasNoBody) await takeBlock(ports, outgoing, bytes);
  } else if (!outgoing.hasHeader("content-length") && !isBodiless) {
    outgoing.setHeader("content-length", 0);
  }
  if (!incoming.complete && !gone(outgoing)) {
    outgoing.flushHeaders();
    await linger(ports, incoming);
  }
  if (gone(outgoing)) return;
  outgoing.end();
  if (!outgoing.writableFinished && !(await settled(ports, outgoing, "finish"))) outgoing.destroy();
}

/**
 * Waits until those before it on the connection have been sent: node:http gives a response its socket only then.
 * @returns false when the connection has gone
 */
export async function hasItsTurn(incoming: IncomingMessage, outgoing: ServerResponse): Promise<boolean> {
  const { socket } = incoming;
  if (outgoing.socket === null && !outgoing.destroyed && !socket.destroyed) {
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        outgoing.off("socket", settle);
        incoming.off("close", settle);
        resolve();
      };
      outgoing.on("socket", settle);
      // Not the socket's own "close": all that wait would listen to one socket. Of a body nothing has been read, so this comes with it.
      incoming.on("close", settle);
    });
  }
  return !gone(outgoing);
}

const gone = (outgoing: ServerResponse): boolean => outgoing.destroyed || outgoing.socket === null || outgoing.socket.destroyed;

/** @returns false when the connection had to be destroyed */
async function pump(ports: ResponsePorts, outgoing: ServerResponse, iterator: ByteIterator): Promise<boolean> {
  const declared = outgoing.getHeader("content-length");
  const expected = declared === undefined ? undefined : Number(declared);
  let sent = 0;
  // A pull that never settles must not keep a connection whose client has gone.
  let leave: (() => void) | undefined;
  const onClose = (): void => {
    leave?.();
  };
  outgoing.once("close", onClose);
  try {
    for (;;) {
      // Without a declared length a body goes in frames, which a raw region would break.
      const handed = expected === undefined ? 0 : handRegion(outgoing, iterator, expected - sent);
      if (handed > 0) {
        sent += handed;
        ports.sent?.add(handed);
        // Others are served between two regions.
        await new Promise((resolve) => setImmediate(resolve));
        if (gone(outgoing)) return false;
        continue;
      }
      const pulled = iterator.next();
      const result = await Promise.race([
        pulled,
        new Promise<"gone">((resolve) => {
          leave = () => resolve("gone");
          if (gone(outgoing)) leave();
        }),
      ]);
      if (result === "gone") {
        // Whoever reads may fail because the client left; that is not news.
        pulled.catch((error: unknown) => ports.log.debug({ err: error }, "A response ended early because its client had gone."));
        return false;
      }
      if (result.done === true) break;
      sent += result.value.length;
      if (expected !== undefined && sent > expected) throw new Error(`the stream gave more than its ${expected} bytes`);
      if (!(await takeBlock(ports, outgoing, result.value))) {
        outgoing.destroy();
        return false;
      }
    }
    if (expected !== undefined && sent !== expected) throw new Error(`the stream gave ${sent} of its ${expected} bytes`);
    return true;
  } catch (error) {
    ports.log.error({ err: error, sentBytes: sent }, "A response was broken off.");
    outgoing.destroy();
    return false;
  } finally {
    outgoing.off("close", onClose);
  }
}

/** W5. @returns how many bytes went; 0 when there is no region, or the socket takes none now */
function handRegion(outgoing: ServerResponse, iterator: ByteIterator, bytesMax: number): number {
  if (iterator.pour !== undefined) return pour(outgoing, iterator, bytesMax);
  if (sendFile === undefined || iterator.region === undefined || iterator.skip === undefined) return 0;
  const region = iterator.region();
  const { socket } = outgoing;
  if (region === undefined || socket === null) return 0;
  if (region.lengthBytes > bytesMax) throw new Error(`a region has ${region.lengthBytes} bytes where ${bytesMax} were left`);
  if (!outgoing.headersSent) outgoing.flushHeaders();
  // What this process still holds for the socket goes first.
  if (outgoing.writableLength > 0 || socket.writableLength > 0) return 0;
  const count = sendFile(socket, region);
  if (count > 0) iterator.skip(count);
  return count;
}

/** W5, for bytes that come from another socket. The head goes with the first block, which has been read by then. */
function pour(outgoing: ServerResponse, iterator: ByteIterator, bytesMax: number): number {
  const { socket } = outgoing;
  if (!outgoing.headersSent || socket === null || outgoing.writableLength > 0 || socket.writableLength > 0) return 0;
  const descriptor = descriptorOf(socket);
  return descriptor === undefined ? 0 : (iterator.pour?.(descriptor, bytesMax) ?? 0);
}

/** Writes one block and waits until the socket wants more. @returns whether it did */
async function takeBlock(ports: ResponsePorts, outgoing: ServerResponse, block: Uint8Array): Promise<boolean> {
  if (gone(outgoing)) return false;
  ports.sent?.add(block.length);
  let wantsMore: boolean;
  if (outgoing.headersSent) wantsMore = outgoing.write(block);
  else {
    // The head and the first block leave in one packet.
    const { socket } = outgoing;
    socket?.cork();
    wantsMore = outgoing.write(block);
    socket?.uncork();
  }
  return wantsMore || settled(ports, outgoing, "drain");
}

/** @returns false when the client went away, or took too long (W3) */
function settled(ports: ResponsePorts, outgoing: ServerResponse, event: "drain" | "finish"): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (outcome: boolean) => (): void => {
      timer.cancel();
      outgoing.off(event, onEvent);
      outgoing.off("close", onClose);
      resolve(outcome);
    };
    const onEvent = settle(true);
    const onClose = settle(false);
    const timer = ports.clock.setTimer(ports.slowReaderMs, onClose);
    outgoing.on(event, onEvent);
    outgoing.on("close", onClose);
    if (gone(outgoing)) onClose();
  });
}

/** Reads and discards the rest of a request, within bounds (W4). */
function linger(ports: ResponsePorts, incoming: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let discarded = 0;
    const end = (): void => {
      timer.cancel();
      incoming.off("data", onData);
      incoming.off("end", end);
      incoming.off("close", end);
      resolve();
    };
    const onData = (block: Uint8Array): void => {
      discarded += block.length;
      if (discarded > LINGER_BYTES_MAX) end();
    };
    const timer = ports.clock.setTimer(LINGER_MS, end);
    incoming.on("data", onData);
    incoming.on("end", end);
    incoming.on("close", end);
    incoming.resume();
    if (incoming.complete || incoming.destroyed) end();
  });
}

/** Not waited for: a generator that is waiting for something returns only when that has come. */
function endStream(ports: ResponsePorts, iterator: ByteIterator): void {
  Promise.try(async () => await iterator.return?.()).catch((error: unknown) =>
    ports.log.warn({ err: error }, "A response stream failed while it was being ended."),
  );
}
