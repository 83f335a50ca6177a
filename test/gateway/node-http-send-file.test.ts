/** Regions of files through real sockets: what a reader receives is exactly what it would have received without them, or a broken connection. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ByteIterator, ByteStream } from "../../src/core/ports/byte-stream.ts";
import type { HttpHandler, HttpListener } from "../../src/core/ports/http-exchange.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { sendFile } from "../../src/gateway/node-http-send-file.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { recordingLog } from "./rig.ts";

const MIB = 1024 * 1024;
const BYTES = Buffer.alloc(24 * MIB + 12_345, createHash("sha512").update("seed").digest());
for (let offset = 0; offset < BYTES.length; offset += 4096) BYTES.writeUInt32LE(offset, offset);

let stack: AsyncDisposableStack;
let directory: TemporaryDirectory;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  directory = stack.use(await temporaryDirectory());
});
afterEach(() => stack.disposeAsync());

/** A file that offers its next bytes as a region, and can be pulled as well. */
class RegionStream implements ByteStream {
  /** How many bytes went as regions. */
  skippedBytes = 0;
  pulls = 0;
  readonly ended: Promise<void>;
  readonly #file: FileHandle;
  readonly #end: () => void;
  #at: number;
  readonly #until: number;

  constructor(file: FileHandle, first: number, lengthBytes: number) {
    const ended = Promise.withResolvers<void>();
    this.ended = ended.promise;
    this.#end = ended.resolve;
    this.#file = file;
    this.#at = first;
    this.#until = first + lengthBytes;
  }

  [Symbol.asyncIterator](): ByteIterator {
    return {
      next: async () => {
        this.pulls += 1;
        if (this.#at >= this.#until) return { done: true, value: undefined };
        const bytes = Buffer.alloc(Math.min(256 * 1024, this.#until - this.#at));
        const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, this.#at);
        if (bytesRead < bytes.length) throw new Error("the file is shorter than it was said to be");
        this.#at += bytesRead;
        return { done: false, value: bytes };
      },
      return: async () => {
        this.#end();
        return { done: true, value: undefined };
      },
      region: () =>
        this.#at >= this.#until ? undefined : this.region({ offset: this.#at, lengthBytes: Math.min(MIB, this.#until - this.#at) }),
      skip: (countBytes) => {
        this.skippedBytes += countBytes;
        this.#at += countBytes;
      },
    };
  }

  region(at: { readonly offset: number; readonly lengthBytes: number }) {
    return { descriptor: this.#file.fd, ...at };
  }
}

async function fileOf(bytes: Uint8Array, name = "blob"): Promise<FileHandle> {
  const path = join(directory.path, name);
  await writeFile(path, bytes);
  const file = await open(path, "r");
  stack.defer(() => file.close());
  return file;
}

async function serve(handler: HttpHandler): Promise<HttpListener> {
  const clock = new VirtualClock();
  const listener = await new NodeHttpServer({ clock, log: recordingLog([]) }).listen({ host: "127.0.0.1", port: 0 }, handler);
  stack.defer(async () => {
    const closed = listener.close(0);
    await clock.advance(1);
    await closed;
  });
  return listener;
}

class Reader {
  readonly socket: Socket;
  #blocks: Buffer[] = [];
  #length = 0;
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    this.socket.on("data", (block) => {
      this.#blocks.push(block as Buffer);
      this.#length += block.length;
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.isClosed = true;
    });
    stack.defer(() => void this.socket.destroy());
  }

  get length(): number {
    return this.#length;
  }

  ask(...lines: string[]): this {
    this.socket.write(lines.map((line) => `${line} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
    return this;
  }

  async until(condition: () => boolean): Promise<void> {
    const giveUpMs = Date.now() + 10_000;
    while (!condition()) {
      if (Date.now() > giveUpMs) throw new Error(`it never came; received ${this.#length} bytes`);
      await settle(1);
    }
  }

  /** The next answer whose length was announced, taken off what was received. */
  async answer(): Promise<{ readonly head: string; readonly body: Buffer }> {
    let headBytes = 0;
    let lengthBytes = 0;
    await this.until(() => {
      if (headBytes === 0) {
        const all = this.#gathered();
        headBytes = all.indexOf("\r\n\r\n") + 4;
        if (headBytes === 3) headBytes = 0;
        else lengthBytes = Number(/content-length: (\d+)/i.exec(all.toString("latin1", 0, headBytes))?.[1]);
      }
      return headBytes > 0 && this.#length >= headBytes + lengthBytes;
    });
    const all = this.#gathered();
    const rest = all.subarray(headBytes + lengthBytes);
    this.#blocks = [rest];
    this.#length = rest.length;
    return { head: all.toString("latin1", 0, headBytes), body: all.subarray(headBytes, headBytes + lengthBytes) };
  }

  #gathered(): Buffer {
    const all = Buffer.concat(this.#blocks);
    this.#blocks = [all];
    return all;
  }

  async closed(): Promise<Buffer> {
    await this.until(() => this.isClosed);
    return Buffer.concat(this.#blocks);
  }
}

const answerOf = (body: ByteStream, lengthBytes: number) => ({ status: 200, headers: { "content-length": String(lengthBytes) }, body });

describe("a region of a file", () => {
  test("Linux moves it: most bytes never pass through this process", async () => {
    const file = await fileOf(BYTES);
    const stream = new RegionStream(file, 0, BYTES.length);
    const reader = new Reader((await serve(async () => answerOf(stream, BYTES.length))).port).ask("GET /");
    expect((await reader.answer()).body.equals(BYTES)).toBe(true);
    expect(stream.skippedBytes > 0).toBe(process.platform === "linux");
    await stream.ended;
  });

  test("a kept connection goes on after it, for other regions and for text", async () => {
    const file = await fileOf(BYTES);
    const { port } = await serve(async ({ target }) => {
      const first = Number(target.slice(1));
      return first === 0 ? { status: 200, headers: {}, body: "text" } : answerOf(new RegionStream(file, first, 3 * MIB), 3 * MIB);
    });
    const reader = new Reader(port);
    for (const first of [1, 0, 70_000, 0, 20 * MIB]) {
      const { body, head } = await reader.ask(`GET /${first}`).answer();
      expect(head).toMatch(/^HTTP\/1.1 200 /);
      expect(body.equals(first === 0 ? Buffer.from("text") : BYTES.subarray(first, first + 3 * MIB))).toBe(true);
    }
  });

  test("a slow reader gets exactly the bytes, and the process waits for it", async () => {
    const file = await fileOf(BYTES);
    const stream = new RegionStream(file, 0, BYTES.length);
    const reader = new Reader((await serve(async () => answerOf(stream, BYTES.length))).port).ask("GET /");
    const answer = reader.answer();
    for (let pause = 0; pause < 8; pause += 1) {
      reader.socket.pause();
      await settle(100);
      const before = reader.length;
      reader.socket.resume();
      await reader.until(() => reader.length > before || reader.length >= BYTES.length);
    }
    expect((await answer).body.equals(BYTES)).toBe(true);
    // The socket was full again and again; then a block was read, and waited for.
    expect(stream.pulls).toBeGreaterThan(1);
  });

  test("pipelined requests are answered in order, byte for byte, between short answers", async () => {
    const file = await fileOf(BYTES);
    const { port } = await serve(async ({ target }) => {
      const first = Number(target.slice(1));
      await settle(first);
      return first % 2 === 0
        ? { status: 200, headers: {}, body: `short ${first}` }
        : answerOf(new RegionStream(file, first, 2 * MIB + first), 2 * MIB + first);
    });
    const reader = new Reader(port).ask(...Array.from({ length: 8 }, (_, index) => `GET /${index}`));
    for (let first = 0; first < 8; first += 1) {
      const { body } = await reader.answer();
      expect(body.equals(first % 2 === 0 ? Buffer.from(`short ${first}`) : BYTES.subarray(first, first + 2 * MIB + first))).toBe(true);
    }
  });

  test("HEAD sends none of it, and the connection goes on", async () => {
    const file = await fileOf(BYTES);
    const streams: RegionStream[] = [];
    const { port } = await serve(async () => {
      const stream = new RegionStream(file, 0, 1000);
      streams.push(stream);
      return answerOf(stream, 1000);
    });
    const reader = new Reader(port).ask("HEAD /");
    await reader.until(() => reader.length > 0);
    await streams[0]?.ended;
    expect(streams[0]?.skippedBytes).toBe(0);
    await settle(20);
    reader.ask("GET /");
    await reader.until(() => streams.length === 2);
    await streams[1]?.ended;
    await settle(20);
    reader.socket.destroy();
    const text = (await reader.closed()).toString("latin1");
    expect(text.split("HTTP/1.1 200 ")).toHaveLength(3);
    expect(Buffer.from(text.slice(text.lastIndexOf("\r\n\r\n") + 4), "latin1").equals(BYTES.subarray(0, 1000))).toBe(true);
  });

  test("a body in frames is read and written: a raw region would break them", async () => {
    const file = await fileOf(BYTES);
    const stream = new RegionStream(file, 0, 300_000);
    const { url } = await serve(async () => ({ status: 200, headers: {}, body: stream }));
    const answer = await fetch(url);
    expect(Buffer.from(await answer.arrayBuffer()).equals(BYTES.subarray(0, 300_000))).toBe(true);
    expect(stream.skippedBytes).toBe(0);
  });

  test("a client that leaves in the middle ends the stream", async () => {
    const file = await fileOf(BYTES);
    const stream = new RegionStream(file, 0, BYTES.length);
    const reader = new Reader((await serve(async () => answerOf(stream, BYTES.length))).port).ask("GET /");
    await reader.until(() => reader.length > 100_000);
    reader.socket.destroy();
    await stream.ended;
  });

  test("a file shorter than it was said to be breaks the connection after the bytes there are, and does not loop", async () => {
    const file = await fileOf(BYTES.subarray(0, 1_500_000));
    const stream = new RegionStream(file, 0, 2_000_000);
    const reader = new Reader((await serve(async () => answerOf(stream, 2_000_000))).port).ask("GET /");
    const received = await reader.closed();
    const body = received.subarray(received.indexOf("\r\n\r\n") + 4);
    expect(body.equals(BYTES.subarray(0, body.length))).toBe(true);
    expect(body.length).toBeLessThanOrEqual(1_500_000);
    expect(stream.pulls).toBe(1);
    await stream.ended;
  });

  test("a region that gives nothing, or names no file, is read instead", async () => {
    const [file, empty] = [await fileOf(BYTES), await fileOf(Buffer.alloc(0), "empty")];
    for (const descriptor of [empty.fd, 1_000_000]) {
      const stream = new RegionStream(file, 5, 2 * MIB);
      stream.region = (at) => ({ descriptor, ...at });
      const reader = new Reader((await serve(async () => answerOf(stream, 2 * MIB))).port).ask("GET /");
      expect((await reader.answer()).body.equals(BYTES.subarray(5, 5 + 2 * MIB))).toBe(true);
      expect(stream.skippedBytes).toBe(0);
    }
  });

  test("a region longer than the announced body breaks the connection before one byte too many", async () => {
    const file = await fileOf(BYTES);
    const stream = new RegionStream(file, 0, 100_001);
    const reader = new Reader((await serve(async () => answerOf(stream, 100_000))).port).ask("GET /");
    const received = await reader.closed();
    expect(received.length - (received.indexOf("\r\n\r\n") + 4)).toBeLessThanOrEqual(100_000);
    await stream.ended;
  });

  test("is for plain sockets that are open", async () => {
    if (sendFile === undefined) return;
    const file = await fileOf(BYTES);
    const region = { descriptor: file.fd, offset: 0, lengthBytes: 10 };
    const { port } = await serve(async () => ({ status: 200, headers: {} }));
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    expect(sendFile(Object.assign(Object.create(socket), { encrypted: true }) as Socket, region)).toBe(0);
    expect(sendFile(socket, { ...region, lengthBytes: 0 })).toBe(0);
    socket.destroy();
    await once(socket, "close");
    expect(sendFile(socket, region)).toBe(0);
  });
});
