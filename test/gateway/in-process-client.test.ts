/** A gateway's handler as an HTTP client: what a socket would have carried, and nothing waits for ever. */
import { expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import type { HttpHandler, HttpRequest } from "../../src/core/ports/http-exchange.ts";
import { InProcessClient } from "../../src/gateway/in-process-client.ts";

function clientOf(handler: HttpHandler): InProcessClient {
  return new InProcessClient(
    async () => handler,
    async () => undefined,
  );
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const blocks: Uint8Array[] = [];
  for await (const block of body) blocks.push(block);
  return Buffer.concat(blocks).toString();
}

it("hands a request over as it would have come, and its answer back", async () => {
  let seen: HttpRequest | undefined;
  const client = clientOf(async (request) => {
    seen = request;
    return { status: 201, headers: { "x-a": ["1", "2"], etag: '"e"' }, body: `got ${await textOf(request.body)}` };
  });
  const answer = await client.exchange({ method: "POST", url: "http://localhost/a%20b?c=d", headers: { "x-b": "y" }, body: "körper" });
  expect(seen).toMatchObject({
    method: "POST",
    target: "/a%20b?c=d",
    headers: { host: "localhost", "content-length": "7", "x-b": "y" },
  });
  expect(answer).toMatchObject({ status: 201, headers: { "x-a": "1, 2", etag: '"e"' } });
  expect(await textOf(answer.body)).toBe("got körper");
});

it("a body of unknown length is streamed, and one block is asked for at a time", async () => {
  let asked = 0;
  async function* blocks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      asked += 1;
      yield Buffer.from("x");
    }
  }
  const client = clientOf(async ({ body, headers }) => {
    expect(headers["content-length"]).toBeUndefined();
    for await (const _ of body) break;
    return { status: 200, headers: {}, body: blocks() };
  });
  const { body } = await client.exchange({ method: "PUT", url: "http://localhost/", body: blocks() });
  for await (const _ of body) break;
  expect(asked).toBe(2);
});

it("whoever goes away waits for no answer and for no body", async () => {
  const leaving = new AbortController();
  const silent = clientOf(() => new Promise(() => undefined)).exchange({ method: "GET", url: "http://localhost/", signal: leaving.signal });
  leaving.abort();
  await expect(silent).rejects.toMatchObject({ code: "CANCELLED" });

  const reading = new AbortController();
  let isLetGo = false;
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => undefined),
      return: async () => {
        isLetGo = true;
        return { done: true, value: undefined };
      },
    }),
  };
  const answer = await clientOf(async () => ({ status: 200, headers: {}, body })).exchange({
    method: "GET",
    url: "http://localhost/",
    signal: reading.signal,
  });
  const read = textOf(answer.body);
  reading.abort();
  await expect(read).rejects.toBeInstanceOf(TroupeError);
  expect(isLetGo).toBe(true);
});
