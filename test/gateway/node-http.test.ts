/** The server over real sockets: what arrives broken, slowly or never, and who pays for it. */
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import {
  BODY_BUFFER_BYTES_MAX,
  LINGER_MS,
  SILENT_CONNECTION_MS_MAX,
  SLOW_BODY_WINDOW_MS,
  SLOW_READER_TIMEOUT_MS,
} from "../../src/core/limits.ts";
import type { HttpHandler, HttpListener, HttpRequest } from "../../src/core/ports/http-exchange.ts";
import { NodeHttpServer, type NodeHttpServerOptions } from "../../src/gateway/node-http.ts";
import { TestLoad } from "../support/load.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { recordingLog } from "./rig.ts";

const open: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end();
});

interface Stage {
  readonly clock: VirtualClock;
  readonly listener: HttpListener;
  readonly lines: string[];
}

async function stage(handler: HttpHandler, options: NodeHttpServerOptions = {}): Promise<Stage> {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const listener = await new NodeHttpServer({ clock, log: recordingLog(lines) }, options).listen({ host: "127.0.0.1", port: 0 }, handler);
  open.push(async () => {
    const closed = listener.close(0);
    await clock.advance(1);
    await closed;
  });
  return { clock, listener, lines };
}

/** A client that says exactly what it is told to. */
class RawClient {
  readonly socket: Socket;
  received = "";
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    this.socket.on("data", (bytes) => {
      this.received += bytes.toString("latin1");
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.isClosed = true;
    });
    open.push(() => this.socket.destroy());
  }

  send(text: string | Uint8Array): this {
    this.socket.write(text);
    return this;
  }

  async until(condition: () => boolean): Promise<void> {
    const giveUpMs = Date.now() + 30_000;
    while (!condition()) {
      if (Date.now() > giveUpMs) throw new Error(`it never came; received: ${this.received.slice(0, 500)}`);
      await settle(1);
    }
  }

  async answer(text: string): Promise<string> {
    this.send(text);
    await this.until(() => this.isClosed || /\r\n\r\n/.test(this.received));
    return this.received;
  }

  async closed(): Promise<string> {
    await this.until(() => this.isClosed);
    return this.received;
  }
}

const readAll = async (request: HttpRequest): Promise<number> => {
  let count = 0;
  for await (const block of request.body) count += block.length;
  return count;
};
const counting: HttpHandler = async (request) => {
  try {
    return { status: 200, headers: {}, body: String(await readAll(request)) };
  } catch (error) {
    return { status: error instanceof TroupeError ? error.status : 500, headers: {}, body: String(error) };
  }
};
const neverAsked: HttpHandler = async () => {
  throw new Error("the handler must not be asked");
};
const head = (first: string, ...fields: string[]): string => `${[first, ...fields].join("\r\n")}\r\n\r\n`;

describe("requests whose end is in doubt", () => {
  test.each([
    ["I2: two Host fields", head("GET / HTTP/1.1", "Host: a", "Host: b"), 400, "BAD_REQUEST"],
    ["I2: no Host", head("GET / HTTP/1.1"), 400, "BAD_REQUEST"],
    ["I2: Transfer-Encoding on HTTP/1.0", head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400, "BAD_REQUEST"],
    [
      "I2: Content-Length and Transfer-Encoding",
      head("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"),
      400,
      "BAD_REQUEST",
    ],
    ["I3: an absolute target", head("GET http://a/ HTTP/1.1", "Host: a"), 400, "BAD_PATH"],
    ["I3: an asterisk", head("OPTIONS * HTTP/1.1", "Host: a"), 400, "BAD_PATH"],
    ["I3: an authority", head("CONNECT a:80 HTTP/1.1", "Host: a"), 400, "BAD_PATH"],
    ["I1: a length of 2^63", head("PUT /put/a HTTP/1.1", "Host: a", `Content-Length: ${2n ** 63n}`), 413, "TOO_LARGE"],
    ["I1: a length of the limit and one", head("PUT /put/a HTTP/1.1", "Host: a", "Content-Length: 1001"), 413, "TOO_LARGE"],
    ["headers beyond measure", head("GET / HTTP/1.1", "Host: a", `X: ${"y".repeat(70_000)}`), 431, "HEADERS_TOO_LARGE"],
    ["what is no HTTP", "HELO there\r\n\r\n", 400, "BAD_REQUEST"],
  ])("%s: a problem document, and the connection is closed", async (_, text, status, code) => {
    const { listener, clock } = await stage(neverAsked, { bodyBytesMax: 1000 });
    const client = new RawClient(listener.port);
    const answer = await client.answer(text);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.toLowerCase()).toContain("connection: close");
    await client.until(() => client.received.includes(`"code":"${code}"`));
    await settle();
    await clock.advance(LINGER_MS);
    await client.closed();
  });

  test("I1: a body of exactly the limit is taken", async () => {
    const { listener } = await stage(counting, { bodyBytesMax: 10 });
    const client = new RawClient(listener.port);
    await client.answer(`${head("PUT / HTTP/1.1", "Host: a", "Content-Length: 10")}0123456789`);
    await client.until(() => client.received.endsWith("\r\n\r\n10"));
  });
});

describe("slow and absent clients", () => {
  test("I9: headers that do not come are answered 408 and closed", async () => {
    const { listener, clock } = await stage(neverAsked, { headersTimeoutMs: 60 });
    const client = new RawClient(listener.port).send("GET / HTTP/1.1\r\nHost: a\r\n");
    await client.until(() => client.received.includes("REQUEST_TIMEOUT"));
    expect(client.received).toMatch(/^HTTP\/1.1 408 /);
    await clock.advance(LINGER_MS);
    await client.closed();
  });

  test("I9: a body under 1 KiB a second for the window is given up; one just above lives, however long", async () => {
    const { listener, clock } = await stage(counting);
    const slow = new RawClient(listener.port).send(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 1000000"));
    const honest = new RawClient(listener.port).send(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 123456"));
    await slow.until(() => clock.timerCount === 2);
    let sent = 0;
    const drip = async (bytes: number): Promise<void> => {
      honest.send(Buffer.alloc(Math.min(bytes, 123_456 - sent)));
      sent = Math.min(123_456, sent + bytes);
      slow.send("x");
      await settle(50);
    };
    await drip(31_000);
    await clock.advance(SLOW_BODY_WINDOW_MS);
    await slow.until(() => slow.received.includes("\r\n\r\n"));
    expect(slow.received).toMatch(/^HTTP\/1.1 408 /);
    expect(honest.received).toBe("");
    for (let window = 0; window < 2; window += 1) {
      await drip(31_000);
      await clock.advance(SLOW_BODY_WINDOW_MS);
    }
    expect(honest.received).toBe("");
    await drip(200_000);
    await honest.until(() => honest.received.endsWith("\r\n\r\n123456"));
  });

  test("I9: time a full buffer waits for its reader is not held against the client, and costs bounded memory", async () => {
    const gate = Promise.withResolvers<void>();
    const { listener, clock } = await stage(async (request) => {
      const iterator = request.body[Symbol.asyncIterator]();
      await iterator.next();
      await gate.promise;
      let count = 0;
      for (let result = await iterator.next(); result.done !== true; result = await iterator.next()) count += result.value.length;
      return { status: 200, headers: {}, body: `more ${count > 0}` };
    });
    const client = new RawClient(listener.port).send(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 50000000"));
    client.send(Buffer.alloc(50_000_000));
    await settle(300);
    // What the kernel keeps is its own; the rest still waits at the client.
    expect(client.socket.writableLength).toBeGreaterThan(BODY_BUFFER_BYTES_MAX);
    await clock.advance(SLOW_BODY_WINDOW_MS * 3);
    expect(client.received).toBe("");
    gate.resolve();
    await client.until(() => client.received.includes("more true"));
    expect(client.received).toMatch(/^HTTP\/1.1 200 /);
  });

  test("I9: a reader that takes nothing costs a bounded number of blocks, and is closed at last", async () => {
    const blockBytes = 256 * 1024;
    let pulled = 0;
    let isReturned = false;
    const body: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => body,
      next: async () => {
        pulled += 1;
        if (pulled > 1000) throw new Error("pulled faster than anybody takes it");
        return { done: false, value: new Uint8Array(blockBytes) };
      },
      return: async () => {
        isReturned = true;
        return { done: true, value: undefined };
      },
    };
    const { listener, clock } = await stage(async () => ({ status: 200, headers: {}, body }));
    const client = new RawClient(listener.port);
    client.socket.pause();
    client.send(head("GET / HTTP/1.1", "Host: a"));
    let before = -1;
    while ((pulled === 0 || before !== pulled) && pulled < 1000) {
      before = pulled;
      await settle(200);
    }
    // A few MiB lie in the kernel's buffers of both ends; beyond them one block waits.
    expect(pulled).toBeLessThan(80);
    await clock.advance(SLOW_READER_TIMEOUT_MS);
    await client.until(() => isReturned);
    client.socket.resume();
    await client.closed();
    expect(pulled).toBe(before);
  });

  test("F18: a client gone mid-body ends the body with CANCELLED, never with less, and aborts the signal", async () => {
    const outcome = Promise.withResolvers<unknown>();
    const aborted = Promise.withResolvers<void>();
    const { listener } = await stage(async (request) => {
      request.signal.addEventListener("abort", () => aborted.resolve());
      try {
        await readAll(request);
        outcome.resolve("ended");
      } catch (error) {
        outcome.resolve(error);
      }
      return { status: 200, headers: {} };
    });
    const client = new RawClient(listener.port).send(`${head("PUT / HTTP/1.1", "Host: a", "Content-Length: 100")}half`);
    await settle(50);
    client.socket.destroy();
    expect(await outcome.promise).toMatchObject({ code: "CANCELLED" });
    await aborted.promise;
  });

  test("a client that leaves during the answer makes the stream return, also one that waits for something", async () => {
    const returned = Promise.withResolvers<void>();
    const body: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => body,
      next: (() => {
        let count = 0;
        return () =>
          count++ === 0 ? Promise.resolve({ done: false as const, value: Buffer.from("first") }) : new Promise<never>(() => undefined);
      })(),
      return: async () => {
        returned.resolve();
        return { done: true, value: undefined };
      },
    };
    const { listener } = await stage(async () => ({ status: 200, headers: {}, body }));
    const client = new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a"));
    await client.until(() => client.received.includes("first"));
    client.socket.destroy();
    await returned.promise;
  });
});

describe("answers", () => {
  /** A stream that knows whether it was ended. */
  const ending = (next: () => Promise<IteratorResult<Uint8Array>>) => {
    const ended = Promise.withResolvers<void>();
    const body: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => body,
      next,
      return: async () => {
        ended.resolve();
        return { done: true, value: undefined };
      },
    };
    return { body, ended: ended.promise };
  };

  test("a stream whose answer breaks is ended: it threw, gave too much, or its head could not be written", async () => {
    const tooMuch = async () => ({ done: false as const, value: Buffer.from("more than two") });
    const throws = async () => {
      throw new TroupeError("BLOB_DAMAGED");
    };
    for (const [next, headers] of [
      [throws, { "content-length": "2" }],
      [tooMuch, { "content-length": "2" }],
      [tooMuch, { "x-name": "a\nb" }],
    ] as const) {
      const { body, ended } = ending(next);
      const { listener } = await stage(async () => ({ status: 200, headers: headers as Record<string, string>, body }));
      await new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a")).closed();
      await ended;
    }
  });

  test("a stream that nobody reads is ended: HEAD, and a client that has gone", async () => {
    const never = (): Promise<never> => Promise.reject(new Error("nobody wants it"));
    const headed = ending(never);
    const { listener } = await stage(async () => ({ status: 200, headers: { "content-length": "5" }, body: headed.body }));
    await new RawClient(listener.port).answer(head("HEAD / HTTP/1.1", "Host: a"));
    await headed.ended;
    const late = ending(never);
    const { listener: other } = await stage(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return { status: 200, headers: { "content-length": "5" }, body: late.body };
    });
    const client = new RawClient(other.port).send(head("GET / HTTP/1.1", "Host: a"));
    await settle(50);
    client.socket.destroy();
    await late.ended;
  });

  test("I9: pipelined requests that wait for their turn gather nothing at their connection, and are let go with it", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    try {
      const gate = Promise.withResolvers<void>();
      const asked: string[] = [];
      const { listener } = await stage(async ({ target }) => {
        asked.push(target);
        await gate.promise;
        return { status: 200, headers: {} };
      });
      const client = new RawClient(listener.port);
      client.send(Array.from({ length: 40 }, (_, index) => head(`GET /${index} HTTP/1.1`, "Host: a")).join(""));
      await client.until(() => asked.length > 0);
      await settle();
      client.socket.destroy();
      await settle();
      // Nobody waits for an answer any more, so the others never have their turn.
      gate.resolve();
      await settle();
      expect(asked).toEqual(["/0"]);
      expect(warnings).toEqual([]);
    } finally {
      process.off("warning", onWarning);
    }
  });

  test("pipelined requests are all answered, one after the other", async () => {
    const gate = Promise.withResolvers<void>();
    const asked: string[] = [];
    const { listener } = await stage(async ({ target }) => {
      asked.push(target);
      if (target === "/1") await gate.promise;
      return { status: 200, headers: {}, body: `answer ${target}` };
    });
    const client = new RawClient(listener.port);
    client.send(["/1", "/2", "/3"].map((target) => head(`GET ${target} HTTP/1.1`, "Host: a")).join(""));
    await settle(50);
    expect(asked).toEqual(["/1"]);
    gate.resolve();
    await client.until(() => client.received.endsWith("answer /3"));
    expect(client.received.match(/answer \/\d/g)).toEqual(["answer /1", "answer /2", "answer /3"]);
    client.send(head("GET /4 HTTP/1.1", "Host: a"));
    await client.until(() => client.received.endsWith("answer /4"));
  });

  test("a request that waits for its turn goes with its connection, and nobody is asked", async () => {
    const asked: string[] = [];
    const { listener } = await stage(async ({ target, signal }) => {
      asked.push(target);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return { status: 200, headers: {} };
    });
    const client = new RawClient(listener.port).send(head("GET /1 HTTP/1.1", "Host: a") + head("GET /2 HTTP/1.1", "Host: a"));
    await client.until(() => asked.length > 0);
    client.socket.destroy();
    await settle(50);
    expect(asked).toEqual(["/1"]);
  });

  test("F28: a connection that sends request upon request without waiting is closed", async () => {
    const { listener } = await stage(() => new Promise(() => undefined));
    const client = new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a").repeat(1_000));
    expect(await client.closed()).toBe("");
  });

  test("F28: a connection past the bound is closed without an answer; one that ends makes room", async () => {
    const { listener } = await stage(async () => ({ status: 200, headers: {}, body: "here" }), { connectionsMax: 1 });
    const first = new RawClient(listener.port);
    await first.answer(head("GET / HTTP/1.1", "Host: a"));
    expect(await new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a")).closed()).toBe("");
    first.socket.destroy();
    await settle(50);
    const third = new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a"));
    await third.until(() => third.received.endsWith("here"));
  });

  test("a stream that throws, or is shorter than announced, breaks the connection instead of ending", async () => {
    for (const lengthBytes of [undefined, "100"]) {
      const body = (async function* () {
        yield Buffer.from("some");
        if (lengthBytes === undefined) throw new TroupeError("BLOB_DAMAGED");
      })();
      const { listener } = await stage(async () => ({
        status: 200,
        headers: lengthBytes === undefined ? {} : { "content-length": lengthBytes },
        body,
      }));
      const received = await new RawClient(listener.port).send(head("GET / HTTP/1.1", "Host: a")).closed();
      expect(received).toContain("some");
      expect(received).not.toContain("0\r\n\r\n");
    }
  });

  test("HEAD has the length and no body, and the connection goes on", async () => {
    const { listener } = await stage(async () => ({ status: 200, headers: { "content-type": "text/plain" }, body: "hello" }));
    const client = new RawClient(listener.port);
    await client.answer(head("HEAD / HTTP/1.1", "Host: a"));
    expect(client.received.toLowerCase()).toContain("content-length: 5\r\n");
    client.send(head("GET / HTTP/1.1", "Host: a"));
    await client.until(() => client.received.endsWith("hello"));
    expect(client.received.match(/hello/g)).toHaveLength(1);
  });

  test("an expectation that is none of ours is answered 417 with a problem, before the body", async () => {
    const asked: string[] = [];
    const { listener } = await stage(async ({ target }) => {
      asked.push(target);
      return { status: 200, headers: {} };
    });
    const client = new RawClient(listener.port).send(head("PUT /a HTTP/1.1", "Host: a", "Content-Length: 2000000", "Expect: tea"));
    await client.until(() => client.received.includes('"code":"EXPECTATION_FAILED"'));
    expect(client.received).toMatch(/^HTTP\/1\.1 417 [\s\S]*application\/problem\+json/);
    expect(asked).toEqual([]);
  });

  test("100 Continue is said when the body is wanted, and never when it is refused", async () => {
    const { listener, clock } = await stage(async (request) =>
      request.target === "/no" ? { status: 403, headers: {}, body: "no", close: true } : await counting(request),
    );
    const wanted = new RawClient(listener.port).send(head("PUT /yes HTTP/1.1", "Host: a", "Content-Length: 2", "Expect: 100-continue"));
    await wanted.until(() => wanted.received.startsWith("HTTP/1.1 100 Continue\r\n\r\n"));
    wanted.send("hi");
    await wanted.until(() => wanted.received.endsWith("\r\n\r\n2"));
    const refused = new RawClient(listener.port).send(
      head("PUT /no HTTP/1.1", "Host: a", "Content-Length: 2000000", "Expect: 100-continue"),
    );
    await refused.until(() => refused.received.endsWith("no"));
    expect(refused.received).toMatch(/^HTTP\/1.1 403 /);
    await clock.advance(LINGER_MS);
    await refused.closed();
  });

  test("an early answer reaches a client that is still sending, and the connection is closed after it", async () => {
    const { listener } = await stage(async () => ({ status: 507, headers: {}, body: "full" }));
    const client = new RawClient(listener.port);
    // It reads only when it has sent everything; a reset by then would have taken the answer with it.
    client.socket.pause();
    client.send(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 8000000")).send(Buffer.alloc(8_000_000));
    await client.until(() => client.isClosed || client.socket.writableLength === 0);
    client.socket.resume();
    const received = await client.closed();
    expect(received).toMatch(/^HTTP\/1.1 507 /);
    expect(received).toMatch(/full$/);
    expect(received.toLowerCase()).toContain("connection: close");
  });

  test("a handler that throws is a 500 without a word of why", async () => {
    const { listener, lines } = await stage(async () => {
      throw new Error("inner secret");
    });
    const client = new RawClient(listener.port);
    const received = await client.answer(head("GET / HTTP/1.1", "Host: a"));
    expect(received).toMatch(/^HTTP\/1.1 500 /);
    expect(received).not.toContain("inner");
    expect(lines.join()).toContain("A request handler threw.");
  });

  test("closing ends idle connections at once, lets answers under way end, and destroys what outstays the time", async () => {
    const gate = Promise.withResolvers<void>();
    const { listener, clock } = await stage(async ({ target }) => {
      if (target === "/slow") await gate.promise;
      if (target === "/never") await new Promise(() => undefined);
      return { status: 200, headers: {}, body: "done" };
    });
    const [idle, slow, never] = ["/", "/slow", "/never"].map((target) =>
      new RawClient(listener.port).send(head(`GET ${target} HTTP/1.1`, "Host: a")),
    ) as [RawClient, RawClient, RawClient];
    await idle.until(() => idle.received.endsWith("done"));
    await settle(50);
    const closed = listener.close(5_000);
    await idle.closed();
    gate.resolve();
    expect(await slow.closed()).toMatch(/done$/);
    expect(never.isClosed).toBe(false);
    await clock.advance(5_000);
    await never.closed();
    await closed;
  });

  test("an address in use is said in a sentence", async () => {
    const { listener } = await stage(counting);
    const other = new NodeHttpServer({ clock: new VirtualClock(), log: recordingLog([]) });
    await expect(other.listen({ host: "127.0.0.1", port: listener.port }, counting)).rejects.toMatchObject({ code: "SETTING_INVALID" });
  });
});

test("H6: when descriptors run short, connections without a request are closed, and no others", async () => {
  const load = new TestLoad();
  const clock = new VirtualClock();
  const answered = Promise.withResolvers<void>();
  const handler: HttpHandler = async (request) => {
    if (request.target === "/slow") await answered.promise;
    return { status: 200, headers: {}, body: "done" };
  };
  const listener = await new NodeHttpServer({ clock, log: recordingLog([]), load: load.watch }).listen(
    { host: "127.0.0.1", port: 0 },
    handler,
  );
  const clients = { silent: new RawClient(listener.port), dripping: new RawClient(listener.port), idle: new RawClient(listener.port) };
  const slow = new RawClient(listener.port).send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  clients.dripping.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: b");
  await clients.idle.answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await settle(5);
  await clock.advance(SILENT_CONNECTION_MS_MAX + 1);
  await load.begin();
  for (const client of Object.values(clients)) await client.closed();
  answered.resolve();
  expect(await slow.answer("")).toMatch(/^HTTP\/1\.1 200 /);
  await load.end();
  const closed = listener.close(0);
  await clock.advance(1);
  await closed;
});
