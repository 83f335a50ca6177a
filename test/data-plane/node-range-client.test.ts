/** Ranges over plain sockets: what this client makes of answers, connections and slow readers. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NodeRangeClient } from "../../src/data-plane/node-range-client.ts";
import { splice } from "../../src/data-plane/node-splice.ts";
import { codeOf, collect, collectUntilError, failureOf, until } from "../contract/data-plane.ts";
import { someBytes } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("ranges over plain sockets", () => {
  let listener: Server;
  let client: NodeRangeClient;
  let url: string;
  let sockets: Socket[];
  /** Called with each request's head. */
  let answer: (socket: Socket, head: string) => void;

  beforeEach(async () => {
    sockets = [];
    listener = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      let text = "";
      socket.on("data", (data: Buffer) => {
        text += data.toString("latin1");
        for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
          const head = text.slice(0, end);
          text = text.slice(end + 4);
          answer(socket, head);
        }
      });
    });
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/blobs/1`;
    client = new NodeRangeClient();
  });
  afterEach(async () => {
    await client.close();
    const closed = once(listener, "close");
    listener.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });

  const headOf = (lengthBytes: number, more = "") => `HTTP/1.1 206 Partial Content\r\nContent-Length: ${lengthBytes}\r\n${more}\r\n`;
  const get = () => client.exchange({ method: "GET", url, headers: { authorization: "Bearer x", range: "bytes=0-1" } });

  it("sends what it was asked, and reads status, fields and bytes in whatever pieces they come", async () => {
    const bytes = someBytes(200_000);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 6 }), fc.nat(bytes.length), async (cuts, lengthBytes) => {
        let asked = "";
        answer = (socket, head) => {
          asked = head;
          const whole = Buffer.concat([Buffer.from(headOf(lengthBytes, "ETag: a\r\nX: 1\r\nx: 2\r\n")), bytes.subarray(0, lengthBytes)]);
          let offset = 0;
          for (const cut of cuts) socket.write(whole.subarray(offset, (offset += cut)));
          socket.write(whole.subarray(offset));
        };
        const { status, headers, body } = await get();
        expect(status).toBe(206);
        expect(headers).toMatchObject({ "content-length": String(lengthBytes), etag: "a", x: "1, 2" });
        expect((await collect(body)).equals(bytes.subarray(0, lengthBytes))).toBe(true);
        expect(asked).toMatch(/^GET \/blobs\/1 HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nauthorization: Bearer x\r\nrange: bytes=0-1$/);
      }),
      { numRuns: 50 },
    );
    // One after the other, on one connection.
    expect(sockets).toHaveLength(1);
  });

  it("takes anything but an answer of known length for a broken one", async () => {
    const answers = [
      "HTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      `HTTP/1.1 200 OK\r\nContent-Length: ${2n ** 63n}\r\n\r\n`,
      "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
      "SSH-2.0-OpenSSH\r\n\r\n",
      "x".repeat(20_000),
    ];
    for (const text of answers) {
      answer = (socket) => void socket.write(text);
      expect(await codeOf(get()), text.slice(0, 60)).toBe("UNAVAILABLE");
    }
  });

  it("gives the bytes of the length and no more, and no answer to what nobody asked", async () => {
    answer = (socket) => void socket.write(`${headOf(3)}abcd`);
    const answered = await get().then(
      ({ body }) => collectUntilError(body),
      (error: unknown) => ({ bytes: Buffer.alloc(0), error }),
    );
    expect(answered.error).toMatchObject({ code: "UNAVAILABLE" });
    answer = (socket) => void socket.write(`${headOf(3)}abc`);
    expect((await collect((await get()).body)).toString()).toBe("abc");
    sockets.at(-1)?.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad");
    await until(() => sockets.at(-1)?.destroyed === true);
    answer = (socket) => void socket.write(`${headOf(3)}def`);
    expect((await collect((await get()).body)).toString()).toBe("def");
  });

  it("throws when the connection ends before the bytes do", async () => {
    answer = (socket) => void socket.end(`${headOf(10)}abc`);
    const { bytes, error } = await collectUntilError((await get()).body);
    expect(bytes.toString()).toBe("abc");
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("asks again when a kept connection turns out to be dead, and not after a byte has come", async () => {
    let count = 0;
    answer = (socket) => {
      count += 1;
      if (count === 2) socket.destroy();
      else if (count === 4) socket.end("HTTP/1.1 2");
      else socket.write(`${headOf(1)}${count}`);
    };
    expect((await collect((await get()).body)).toString()).toBe("1");
    expect((await collect((await get()).body)).toString()).toBe("3");
    expect(await codeOf(get())).toBe("UNAVAILABLE");
  });

  it("leaves a connection that is said to be closed, and asks on another", async () => {
    answer = (socket) => void socket.write(`${headOf(2, "Connection: close\r\n")}ok`);
    for (let time = 0; time < 2; time += 1) expect((await collect((await get()).body)).toString()).toBe("ok");
    expect(sockets).toHaveLength(2);
  });

  it("says that there never was a connection: refused, or too slow to come about", async () => {
    const closed = once(listener, "close");
    listener.close();
    await closed;
    expect(await failureOf(get())).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    const clock = new VirtualClock();
    const patient = new NodeRangeClient({ connecting: { clock, timeoutMs: 1_000 } });
    const failure = failureOf(patient.exchange({ method: "GET", url: "http://192.0.2.1:9/" }));
    let isOver = false;
    failure.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    while (!isOver) await clock.advance(1_000);
    expect(await failure).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
  });

  it("ends with its caller's signal: before the answer, and in the middle", async () => {
    answer = () => undefined;
    const early = new AbortController();
    const waiting = codeOf(client.exchange({ method: "GET", url, signal: early.signal }));
    await until(() => sockets.length === 1);
    early.abort();
    expect(await waiting).toBe("CANCELLED");
    answer = (socket) => void socket.write(`${headOf(10)}abc`);
    const late = new AbortController();
    const { body } = await client.exchange({ method: "GET", url, signal: late.signal });
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    late.abort();
    await expect(iterator.next()).rejects.toMatchObject({ code: "CANCELLED" });
    await until(() => sockets.every((socket) => socket.destroyed));
  });

  it("refuses a field that would become another", async () => {
    const request = { method: "GET", url, headers: { authorization: "Bearer x\r\nHost: y" } };
    expect(await codeOf(client.exchange(request))).toBe("BAD_REQUEST");
  });

  describe.skipIf(splice() === undefined)("moved by the operating system", () => {
    /** A socket pair: what is poured into one end comes out of the other when it is read. */
    async function pair(): Promise<{ near: Socket; far: Socket; descriptor: number; close(): void }> {
      const accepting = createServer({ highWaterMark: 1024 });
      accepting.listen(0, "127.0.0.1");
      await once(accepting, "listening");
      const near = connect((accepting.address() as AddressInfo).port, "127.0.0.1");
      const [far] = (await once(accepting, "connection")) as [Socket];
      const { _handle: handle } = near as unknown as { _handle: { fd: number } };
      return {
        near,
        far,
        descriptor: handle.fd,
        close: () => {
          near.destroy();
          far.destroy();
          accepting.close();
        },
      };
    }

    it("bytes come exactly and in order, also where the other socket takes only some of them", async () => {
      const bytes = someBytes(20_000_000);
      answer = (socket) => {
        socket.write(headOf(bytes.length));
        socket.write(bytes);
      };
      const ends = await pair();
      const received: Buffer[] = [];
      let receivedBytes = 0;
      ends.far.on("data", (data: Buffer) => {
        received.push(data);
        receivedBytes += data.length;
      });
      ends.far.pause();
      const { body } = await get();
      const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array> & { pour(descriptor: number, bytesMax: number): number };
      let pouredBytes = 0;
      let pulledBytes = 0;
      // Nobody reads the far end at first: the near one fills up, and the rest is handed back to be written.
      for (;;) {
        const poured = ends.near.writableLength > 0 ? 0 : iterator.pour(ends.descriptor, bytes.length);
        pouredBytes += poured;
        if (poured > 0) continue;
        const result = await iterator.next();
        if (result.done === true) break;
        pulledBytes += result.value.length;
        if (!ends.near.write(result.value)) {
          ends.far.resume();
          await once(ends.near, "drain");
          ends.far.pause();
        }
      }
      ends.far.resume();
      await until(() => receivedBytes === bytes.length);
      expect(Buffer.concat(received).equals(bytes)).toBe(true);
      expect(pouredBytes + pulledBytes).toBe(bytes.length);
      expect(pouredBytes).toBeGreaterThan(0);
      ends.close();
    });

    it("no byte past the answer's last is moved, and the connection serves the next request", async () => {
      const bytes = someBytes(300_000);
      let extra = "";
      answer = (socket) => {
        socket.write(headOf(bytes.length));
        socket.write(bytes);
        socket.write(extra);
      };
      const ends = await pair();
      ends.far.resume();
      for (let time = 0; time < 4; time += 1) {
        // The last time more comes than was said: it is not part of the answer.
        if (time === 3) extra = "x".repeat(50_000);
        const { body } = await get();
        const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array> & { pour(descriptor: number, bytesMax: number): number };
        let total = 0;
        for (;;) {
          const poured = iterator.pour(ends.descriptor, 1_000_000_000);
          total += poured;
          if (poured > 0) continue;
          const result = await iterator.next();
          if (result.done === true) break;
          total += result.value.length;
        }
        expect(total).toBe(bytes.length);
      }
      expect(sockets).toHaveLength(1);
      ends.close();
    });
  });
});
