/** A gateway in front of a {@link Troupe}, without a socket: requests as values, answered by real sessions, a real disk and a real catalog. */

import { FILE_BYTES_LIMIT } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { HttpHeaders } from "../../src/core/ports/http-exchange.ts";
import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import type { GatewayOptions } from "../../src/gateway/ports.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { Troupe } from "./troupe.ts";

export interface Told {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly text: string;
  /** Nothing where the answer is no JSON. */
  readonly json: Record<string, unknown>;
}

export interface Said {
  readonly headers?: HttpHeaders;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface TroupeGateway {
  ask(method: string, target: string, said?: Said): Promise<Told>;
  /** The same with a JSON body. */
  post(target: string, value: unknown, headers?: HttpHeaders): Promise<Told>;
  /** The body as it comes. */
  stream(target: string, headers?: HttpHeaders): Promise<{ readonly status: number; readonly blocks: AsyncIterator<Uint8Array> }>;
  stop(): Promise<void>;
}

export function gatewayOf(troupe: Troupe, options: Partial<GatewayOptions> = {}): TroupeGateway {
  const gateway = createGateway(
    {
      bus: troupe.bus,
      clock: troupe.clock,
      random: new SeededRandom(11),
      log: SILENT_LOG,
      dataPlane: new LocalDataPlane([troupe.node]),
    },
    { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: FILE_BYTES_LIMIT, trustProxy: false, ...options },
  );
  const send = (method: string, target: string, { headers = {}, body = "", signal = new AbortController().signal }: Said) => {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const length: HttpHeaders = bytes instanceof Uint8Array && bytes.length > 0 ? { "content-length": String(bytes.length) } : {};
    return gateway.handler({
      method,
      target,
      headers: { host: "localhost:8080", ...length, ...headers },
      body: bytes instanceof Uint8Array ? one(bytes) : bytes,
      remoteAddress: "127.0.0.1",
      secure: false,
      signal,
    });
  };
  const ask = async (method: string, target: string, said: Said = {}): Promise<Told> => {
    const { status, headers: fields, body } = await send(method, target, said);
    const blocks: Uint8Array[] = [];
    if (typeof body === "string") blocks.push(Buffer.from(body));
    else if (body instanceof Uint8Array) blocks.push(body);
    else if (body !== undefined) for await (const block of body) blocks.push(block);
    const text = Buffer.concat(blocks).toString();
    const headers = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    const isJson = headers["content-type"]?.includes("json") === true;
    return { status, headers, text, json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} };
  };
  return {
    ask,
    post: (target, value, headers = {}) =>
      ask("POST", target, { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) }),
    stream: async (target, headers = {}) => {
      const { status, body } = await send("GET", target, { headers });
      const blocks = typeof body === "object" && Symbol.asyncIterator in body ? (body as AsyncIterable<Uint8Array>) : one();
      return { status, blocks: blocks[Symbol.asyncIterator]() };
    },
    stop: () => gateway.stop(),
  };
}

async function* one(...blocks: Uint8Array[]): AsyncGenerator<Uint8Array, undefined> {
  for (const block of blocks) if (block.length > 0) yield block;
}
