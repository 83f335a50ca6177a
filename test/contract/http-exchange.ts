/**
 * What every pair of HttpServer and HttpClient keeps. Run against each: `describeHttpExchange("node:http", open)`. What only a parser of
 * bytes can be asked (heads that are no HTTP, pipelining) is the adapter's own test.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { BODY_BUFFER_BYTES_MAX, SLOW_BODY_WINDOW_MS, SLOW_READER_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { HttpClient, HttpHandler, HttpListener, HttpRequest, HttpServer } from "../../src/core/ports/http-exchange.ts";
import { DrippingSource } from "../support/dripping-source.ts";
import { collect, collectUntilError, EndlessSource, failureOf, stillFor, until } from "./data-plane.ts";

export interface HttpExchangeHarness {
  readonly client: HttpClient;
  server(options?: { readonly bodyBytesMax?: number }): HttpServer;
  /** Time at the server and what is on its way go on by so much. */
  advance(byMs: number): Promise<void>;
  /** Resolves when what was sent has arrived. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const MIB = 1024 * 1024;
/** What sockets and windows may hold between the two, with room to spare. */
const BETWEEN_BYTES_MAX = 12 * MIB;
const LARGE_BYTES = 48 * MIB;

export function describeHttpExchange(name: string, open: () => Promise<HttpExchangeHarness>): void {
  describe(`HTTP over ${name}`, () => {
    let harness: HttpExchangeHarness;
    let listeners: HttpListener[];

    beforeEach(async () => {
      listeners = [];
      harness = await open();
    });
    afterEach(async () => {
      await harness.client.close();
      for (const listener of listeners) await closed(listener);
      await harness.close();
    });

    async function listen(handler: HttpHandler, port = 0, options = {}): Promise<HttpListener> {
      const listener = await harness.server(options).listen({ host: "127.0.0.1", port }, handler);
      listeners.push(listener);
      return listener;
    }
    async function closed(listener: HttpListener): Promise<void> {
      const closing = listener.close(0);
      await harness.advance(1);
      await closing;
    }
    const get = (url: string, signal?: AbortSignal) =>
      harness.client.exchange({ method: "GET", url, ...(signal === undefined ? {} : { signal }) });
    const textOf = async (body: AsyncIterable<Uint8Array>): Promise<string> => (await collect(body)).toString();

    test("a request arrives as it was asked, and the answer as it was given", async () => {
      let seen: HttpRequest | undefined;
      const { url } = await listen(async (request) => {
        seen = request;
        return {
          status: 201,
          headers: { "Content-Type": "text/plain", "set-cookie": ["a=1", "b=2"] },
          body: `got ${await textOf(request.body)}`,
        };
      });
      const answer = await harness.client.exchange({
        method: "POST",
        url: `${url}/some%20path?query=1`,
        headers: { "X-Name": "value" },
        body: "words",
      });
      expect(seen).toMatchObject({ method: "POST", target: "/some%20path?query=1", secure: false });
      expect(seen?.remoteAddress).toMatch(/^[0-9a-f.:]+$/);
      expect(seen?.headers).toMatchObject({ "x-name": "value", "content-length": "5", host: new URL(url).host });
      expect(answer.status).toBe(201);
      expect(answer.headers).toMatchObject({ "content-type": "text/plain", "content-length": "9", "set-cookie": "a=1, b=2" });
      expect(await textOf(answer.body)).toBe("got words");
    });

    test("bodies arrive whole, of any size and both ways, and are their receiver's own", async () => {
      const { url } = await listen(async (request) => ({ status: 200, headers: {}, body: await collect(request.body) }));
      const large = Buffer.alloc(3 * MIB + 1, "abcdefg");
      const kept = Buffer.from(large);
      const reused = Buffer.alloc(100_000);
      const stream = async function* (): AsyncGenerator<Uint8Array> {
        for (let index = 0; index < 9; index += 1) yield reused.fill(index);
      };
      for (const [body, expected] of [
        [undefined, Buffer.alloc(0)],
        ["", Buffer.alloc(0)],
        ["text", Buffer.from("text")],
        [large, kept],
        [stream(), Buffer.concat(Array.from({ length: 9 }, (_, index) => Buffer.alloc(100_000, index)))],
      ] as const) {
        const answer = await harness.client.exchange({ method: "PUT", url, ...(body === undefined ? {} : { body }) });
        expect((await collect(answer.body)).equals(expected)).toBe(true);
      }
      expect(large.equals(kept)).toBe(true);
    });

    test("a stream declared or not arrives as an answer, and an empty one, too", async () => {
      const { url } = await listen(async ({ target }) => {
        const bytes = Buffer.alloc(target === "/empty" ? 0 : 500_000, target);
        const body = (async function* () {
          for (let offset = 0; offset < bytes.length; offset += 70_000) yield bytes.subarray(offset, offset + 70_000);
        })();
        return { status: 200, headers: target === "/framed" ? {} : { "content-length": String(bytes.length) }, body };
      });
      for (const [path, bytes] of [
        ["/framed", 500_000],
        ["/declared", 500_000],
        ["/empty", 0],
      ] as const)
        expect((await collect((await get(`${url}${path}`)).body)).equals(Buffer.alloc(bytes, path))).toBe(true);
    });

    test("several exchanges at once have each their own answer", async () => {
      const { url } = await listen(async ({ target, body }) => ({ status: 200, headers: {}, body: target + (await textOf(body)) }));
      const answers = await Promise.all(
        Array.from({ length: 30 }, async (_, index) =>
          textOf((await harness.client.exchange({ method: "PUT", url: `${url}/${index}`, body: `!${index}` })).body),
        ),
      );
      expect(answers).toEqual(Array.from({ length: 30 }, (_, index) => `/${index}!${index}`));
    });

    test("HEAD, 204 and 304 have no body, whatever there would be", async () => {
      let returnedCount = 0;
      const { url } = await listen(async ({ target }) => ({
        status: Number(target.slice(1)),
        headers: { "content-length": "5" },
        body: {
          [Symbol.asyncIterator]: () => ({
            next: () => Promise.reject(new Error("nobody wants it")),
            return: async () => {
              returnedCount += 1;
              return { done: true, value: undefined };
            },
          }),
        },
      }));
      for (const [method, path] of [
        ["HEAD", "/200"],
        ["GET", "/204"],
        ["GET", "/304"],
      ] as const) {
        const answer = await harness.client.exchange({ method, url: url + path });
        expect([answer.status, await textOf(answer.body)]).toEqual([Number(path.slice(1)), ""]);
        if (method === "HEAD") expect(answer.headers["content-length"]).toBe("5");
      }
      await until(() => returnedCount === 3);
    });

    test("an answer is pulled no further ahead than what lies between", async () => {
      const source = new EndlessSource(LARGE_BYTES);
      const { url } = await listen(async () => ({ status: 200, headers: { "content-length": String(LARGE_BYTES) }, body: source }));
      const body = (await get(url)).body[Symbol.asyncIterator]();
      let received = (await body.next()).value?.length ?? 0;
      await stillFor(() => source.pulledBytes);
      expect(source.pulledBytes).toBeLessThan(BETWEEN_BYTES_MAX);
      for (let result = await body.next(); result.done !== true; result = await body.next()) received += result.value.length;
      expect(received).toBe(LARGE_BYTES);
    });

    test("a body is pulled no further ahead than what lies between", async () => {
      const gate = Promise.withResolvers<void>();
      const { url } = await listen(async (request) => {
        await gate.promise;
        return { status: 200, headers: {}, body: String((await collect(request.body)).length) };
      });
      const source = new EndlessSource(LARGE_BYTES);
      const answer = harness.client.exchange({ method: "PUT", url, headers: { "content-length": String(LARGE_BYTES) }, body: source });
      await until(() => source.pulledBytes > 0);
      await stillFor(() => source.pulledBytes);
      expect(source.pulledBytes).toBeLessThan(BETWEEN_BYTES_MAX);
      gate.resolve();
      expect(await textOf((await answer).body)).toBe(String(LARGE_BYTES));
    });

    test("F18: a client gone in the middle of its body ends the body with CANCELLED, never with less, and aborts the signal", async () => {
      for (const headers of [{}, { "content-length": "10" }]) {
        const outcome = Promise.withResolvers<unknown>();
        const aborted = Promise.withResolvers<void>();
        let receivedCount = 0;
        const { url } = await listen(async (request) => {
          request.signal.addEventListener("abort", () => aborted.resolve());
          try {
            for await (const block of request.body) receivedCount += block.length;
            outcome.resolve("ended");
          } catch (error) {
            outcome.resolve(error);
          }
          return { status: 200, headers: {} };
        });
        const client = new AbortController();
        const body = (async function* () {
          yield Buffer.from("half");
          await new Promise(() => undefined);
        })();
        const asking = failureOf(harness.client.exchange({ method: "PUT", url, headers, body, signal: client.signal }));
        await until(() => receivedCount === 4);
        client.abort();
        expect(await asking).toMatchObject({ code: "CANCELLED" });
        expect(await outcome.promise).toMatchObject({ code: "CANCELLED" });
        await aborted.promise;
      }
    });

    test("F18: a client gone once its body has arrived, before anybody read that, ends the body at once", async () => {
      const arrived = Promise.withResolvers<void>();
      const outcome = Promise.withResolvers<unknown>();
      const { url } = await listen(async (request) => {
        const gone = new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve(), { once: true }));
        arrived.resolve();
        await gone;
        outcome.resolve(await failureOf(collect(request.body)));
        return { status: 200, headers: {} };
      });
      const client = new AbortController();
      const asking = failureOf(harness.client.exchange({ method: "PUT", url, body: "four", signal: client.signal }));
      await harness.settle();
      await arrived.promise;
      client.abort();
      expect(await asking).toMatchObject({ code: "CANCELLED" });
      await harness.settle();
      expect(await outcome.promise).toMatchObject({ code: "CANCELLED" });
    });

    test("a client gone during the answer makes the stream return, also one that waits for something", async () => {
      for (const isWaiting of [true, false]) {
        let isReturned = false;
        let isAborted = false;
        const { url } = await listen(async (request) => {
          request.signal.addEventListener("abort", () => {
            isAborted = true;
          });
          let count = 0;
          return {
            status: 200,
            headers: {},
            body: {
              [Symbol.asyncIterator]: () => ({
                next: () =>
                  isWaiting && count++ > 0
                    ? new Promise<never>(() => undefined)
                    : Promise.resolve({ done: false, value: Buffer.alloc(65_536) }),
                return: async () => {
                  isReturned = true;
                  return { done: true, value: undefined };
                },
              }),
            },
          };
        });
        const client = new AbortController();
        const body = (await get(url, client.signal)).body[Symbol.asyncIterator]();
        await body.next();
        client.abort();
        await until(() => isReturned && isAborted);
        const rest = await collectUntilError({ [Symbol.asyncIterator]: () => body });
        expect(rest.error).toMatchObject({ code: "CANCELLED" });
      }
    });

    test("an exchange that ended well never aborts its signal", async () => {
      let isAborted = false;
      const { url } = await listen(async (request) => {
        request.signal.addEventListener("abort", () => {
          isAborted = true;
        });
        return { status: 200, headers: {}, body: "done" };
      });
      const client = new AbortController();
      expect(await textOf((await get(url, client.signal)).body)).toBe("done");
      client.abort();
      await harness.client.close();
      await harness.settle();
      expect(isAborted).toBe(false);
    });

    test("an answer that throws, or has another length than it says, never looks like a whole one", async () => {
      const { url } = await listen(async ({ target }) => ({
        status: 200,
        headers: target === "/framed" ? {} : { "content-length": "100" },
        body: (async function* () {
          yield Buffer.from("some");
          await harness.settle();
          if (target === "/long") yield Buffer.alloc(200);
          if (target !== "/short") throw new TroupeError("BLOB_DAMAGED");
        })(),
      }));
      for (const path of ["/framed", "/short", "/long", "/declared"]) {
        const { bytes, error } = await collectUntilError((await get(url + path)).body);
        expect(error).toMatchObject({ code: "UNAVAILABLE", facts: {} });
        expect(bytes.toString()).toBe("some");
      }
    });

    test("a handler that throws is a 500 without a word of why", async () => {
      const { url } = await listen(async () => {
        throw new Error("inner secret");
      });
      const answer = await get(url);
      expect(answer.status).toBe(500);
      expect(await textOf(answer.body)).not.toContain("inner");
    });

    test("a body that waits to be asked for is pulled when the handler reads it, and never when it does not", async () => {
      const { url } = await listen(async (request) =>
        request.target === "/no"
          ? { status: 403, headers: {}, body: "no", close: true }
          : { status: 200, headers: {}, body: await textOf(request.body) },
      );
      let pulledCount = 0;
      const body = () => ({
        [Symbol.asyncIterator]: () =>
          (async function* () {
            pulledCount += 1;
            yield Buffer.from("hi");
          })(),
      });
      const ask = (path: string) => harness.client.exchange({ method: "PUT", url: url + path, body: body(), expectContinue: true });
      const refused = await ask("/no");
      expect([refused.status, await textOf(refused.body), pulledCount]).toEqual([403, "no", 0]);
      const taken = await ask("/yes");
      expect([taken.status, await textOf(taken.body), pulledCount]).toEqual([200, "hi", 1]);
    });

    test("an answer that comes before the body was sent is the answer, and lets the source go", async () => {
      const { url } = await listen(async () => ({ status: 409, headers: {}, body: "no", close: true }));
      const source = new EndlessSource(Number.MAX_SAFE_INTEGER);
      const answer = await harness.client.exchange({ method: "PUT", url, body: source });
      expect([answer.status, await textOf(answer.body)]).toEqual([409, "no"]);
      await until(() => source.isLetGo);
    });

    test("nobody there is told as such, and only if nothing of the body was touched", async () => {
      const listener = await listen(async () => ({ status: 200, headers: {} }));
      await closed(listener);
      const failed = (request: object) => failureOf(harness.client.exchange({ method: "PUT", url: listener.url, ...request }));
      expect(await failed({ body: "abc" })).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
      const source = new EndlessSource(100);
      expect(await failed({ body: source, expectContinue: true })).toMatchObject({ facts: { unconnected: true } });
      expect(source.pulledBytes).toBe(0);
      const touched = await failed({ body: new EndlessSource(100) });
      expect([touched.code, touched.facts]).toEqual(["UNAVAILABLE", {}]);
    });

    test("a body that fails fails the exchange with its error, and the server hears of its end", async () => {
      const outcome = Promise.withResolvers<unknown>();
      const { url } = await listen(async (request) => {
        outcome.resolve(await collectUntilError(request.body));
        return { status: 200, headers: {} };
      });
      const body = (async function* () {
        yield Buffer.from("some");
        await harness.settle();
        throw new TroupeError("DIGEST_MISMATCH");
      })();
      expect(await failureOf(harness.client.exchange({ method: "PUT", url, body }))).toMatchObject({ code: "DIGEST_MISMATCH" });
      expect(await outcome.promise).toMatchObject({ error: { code: "CANCELLED" } });
    });

    test("a signal ends an exchange before it began, and while it waits", async () => {
      const { url } = await listen(() => new Promise(() => undefined));
      const client = new AbortController();
      const waiting = failureOf(get(url, client.signal));
      await harness.settle();
      client.abort();
      expect(await waiting).toMatchObject({ code: "CANCELLED" });
      expect(await failureOf(get(url, client.signal))).toMatchObject({ code: "CANCELLED" });
    });

    test("I1: a length above the limit is refused before the body", async () => {
      const { url } = await listen(async () => ({ status: 200, headers: {} }), 0, { bodyBytesMax: 10 });
      const ask = async (lengthBytes: number) =>
        (await harness.client.exchange({ method: "PUT", url, body: Buffer.alloc(lengthBytes) })).status;
      expect([await ask(10), await ask(11)]).toEqual([200, 413]);
    });

    test("an expectation that is none of ours is refused", async () => {
      const { url } = await listen(async () => ({ status: 200, headers: {} }));
      expect((await harness.client.exchange({ method: "PUT", url, headers: { expect: "tea" } })).status).toBe(417);
    });

    test("I9: a body under 1 KiB a second for the window is given up; one just above lives, however long", async () => {
      const { url } = await listen(async (request) => {
        const { bytes, error } = await collectUntilError(request.body);
        return error instanceof TroupeError
          ? { status: error.status, headers: {} }
          : { status: 200, headers: {}, body: String(bytes.length) };
      });
      const slow = new DrippingSource();
      const honest = new DrippingSource();
      const ask = (body: DrippingSource) => harness.client.exchange({ method: "PUT", url, body });
      const answers = [ask(slow), ask(honest)] as const;
      let answeredStatus = 0;
      void answers[0].then(({ status }) => {
        answeredStatus = status;
      });
      for (let window = 0; window < 4; window += 1) {
        if (window < 2) slow.drip(100);
        honest.drip(31_000);
        await harness.settle();
        await harness.advance(SLOW_BODY_WINDOW_MS);
      }
      await until(() => answeredStatus !== 0);
      expect(answeredStatus).toBe(408);
      honest.end();
      expect(await textOf((await answers[1]).body)).toBe(String(4 * 31_000));
      slow.end();
    });

    test("I9: time a full buffer waits for its reader is not held against the client", async () => {
      const gate = Promise.withResolvers<void>();
      const { url } = await listen(async (request) => {
        const iterator = request.body[Symbol.asyncIterator]();
        await iterator.next();
        await gate.promise;
        const { bytes, error } = await collectUntilError({ [Symbol.asyncIterator]: () => iterator });
        return { status: error === undefined ? 200 : 408, headers: {}, body: bytes.length > BODY_BUFFER_BYTES_MAX ? "more" : "less" };
      });
      const answer = harness.client.exchange({ method: "PUT", url, body: Buffer.alloc(30 * MIB) });
      await harness.settle();
      await harness.advance(3 * SLOW_BODY_WINDOW_MS);
      gate.resolve();
      expect([(await answer).status, await textOf((await answer).body)]).toEqual([200, "more"]);
    });

    test("I9: a reader that takes nothing is given up, and hears no end", async () => {
      const source = new EndlessSource(LARGE_BYTES);
      const { url } = await listen(async () => ({ status: 200, headers: {}, body: source }));
      const body = (await get(url)).body;
      await stillFor(() => source.pulledBytes);
      expect(source.isLetGo).toBe(false);
      await harness.advance(SLOW_READER_TIMEOUT_MS);
      await until(() => source.isLetGo);
      expect((await collectUntilError(body)).error).toMatchObject({ code: "UNAVAILABLE" });
    });

    test("a request that says less than it has, or more, is not taken for a whole one", async () => {
      const { url } = await listen(async (request) => {
        const { error } = await collectUntilError(request.body);
        await harness.settle();
        return { status: error instanceof TroupeError ? error.status : 200, headers: {} };
      });
      const ask = (lengthBytes: number) => {
        const body = (async function* () {
          yield Buffer.from("four");
        })();
        return harness.client.exchange({ method: "PUT", url, headers: { "content-length": String(lengthBytes) }, body });
      };
      expect(await failureOf(ask(3))).toMatchObject({ code: "UNAVAILABLE" });
      const short = ask(5);
      await harness.settle();
      // What came of it counts for nothing: it is too slow.
      await harness.advance(SLOW_BODY_WINDOW_MS);
      expect((await short).status).toBe(408);
    });

    test("closing lets answers under way end, refuses new requests, and breaks off what outstays the time", async () => {
      const gate = Promise.withResolvers<void>();
      let askedCount = 0;
      const listener = await listen(async ({ target }) => {
        askedCount += 1;
        if (target === "/slow") await gate.promise;
        if (target === "/never") await new Promise(() => undefined);
        return { status: 200, headers: {}, body: "done" };
      });
      const slow = get(`${listener.url}/slow`);
      const never = failureOf(get(`${listener.url}/never`));
      await until(() => askedCount === 2);
      const closing = listener.close(5_000);
      await harness.settle();
      expect(await failureOf(get(listener.url))).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
      gate.resolve();
      expect(await textOf((await slow).body)).toBe("done");
      await harness.advance(5_000);
      expect(await never).toMatchObject({ code: "UNAVAILABLE" });
      await closing;
    });

    test("a kept connection that died is replaced without the caller noticing", async () => {
      const handler: HttpHandler = async ({ body }) => ({ status: 200, headers: {}, body: await collect(body) });
      const first = await listen(handler);
      for (let index = 0; index < 3; index += 1) await collect((await get(first.url)).body);
      await closed(first);
      await listen(handler, first.port);
      expect(await textOf((await harness.client.exchange({ method: "PUT", url: first.url, body: "abc" })).body)).toBe("abc");
    });

    test("what must not be done twice is not sent again when its kept connection dies, and its caller is not told that nobody heard it", async () => {
      const heard: string[] = [];
      const listener = await listen(async ({ method, body }) => {
        await collect(body);
        heard.push(method);
        return method === "GET" ? { status: 200, headers: {} } : await new Promise<never>(() => undefined);
      });
      await collect((await get(listener.url)).body);
      const posted = failureOf(harness.client.exchange({ method: "POST", url: listener.url, body: "abc" }));
      await until(() => heard.length === 2);
      await closed(listener);
      const failure = (await posted) as TroupeError;
      expect(failure.code).toBe("UNAVAILABLE");
      expect(failure.facts).not.toHaveProperty("unconnected");
      expect(heard).toEqual(["GET", "POST"]);
    });

    test("an address that is taken is said in a sentence", async () => {
      const { port } = await listen(async () => ({ status: 200, headers: {} }));
      expect(await failureOf(listen(async () => ({ status: 200, headers: {} }), port))).toMatchObject({ code: "SETTING_INVALID" });
    });
  });
}
