/** The `/tus/` routes of a gateway over the whole cast in this process: real sessions, journals and catalog; only the socket is missing. */
import { TroupeError } from "../../../src/core/errors.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { HttpRequest } from "../../../src/core/ports/http-exchange.ts";
import { LocalDataPlane } from "../../../src/data-plane/local-data-plane.ts";
import { createGateway, type RunningGateway } from "../../../src/gateway/gateway.ts";
import type { GatewayOptions } from "../../../src/gateway/ports.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { startTroupe, type Troupe, type TroupeOptions } from "../../support/troupe.ts";
import { once } from "../rig.ts";

export const BODY_TYPE = { "content-type": "application/offset+octet-stream" };
export const VERSION = { "tus-resumable": "1.0.0" };

export interface TusAsk {
  /** Besides the version and, with a body, its type; a field that is `undefined` is left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface TusAnswer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  /** Of a problem document. */
  readonly code: string | undefined;
  readonly detail: string;
}

export class TusRig implements AsyncDisposable {
  readonly gateway: RunningGateway;
  readonly troupe: Troupe;
  readonly #end: () => Promise<void>;

  private constructor(troupe: Troupe, gateway: RunningGateway, end: () => Promise<void>) {
    this.troupe = troupe;
    this.gateway = gateway;
    this.#end = end;
  }

  static async start(options: Partial<GatewayOptions> = {}, cast: Partial<TroupeOptions> = {}): Promise<TusRig> {
    const directory = await temporaryDirectory();
    const troupe = await startTroupe({ root: directory.path, ...cast });
    const gateway = createGateway(
      { bus: troupe.bus, clock: troupe.clock, random: new SeededRandom(5), log: SILENT_LOG, dataPlane: new LocalDataPlane([troupe.node]) },
      { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: 1024 ** 4, trustProxy: false, ...options },
    );
    return new TusRig(troupe, gateway, async () => {
      await gateway.stop();
      await troupe.stop();
      await directory[Symbol.asyncDispose]();
    });
  }

  async ask(method: string, target: string, { headers = {}, body = "", signal }: TusAsk = {}): Promise<TusAnswer> {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const length = bytes instanceof Uint8Array ? { "content-length": String(bytes.length) } : { "transfer-encoding": "chunked" };
    const hasBody = !(bytes instanceof Uint8Array) || bytes.length > 0;
    const fields = { host: "localhost", ...VERSION, ...(hasBody ? { ...length, ...BODY_TYPE } : {}), ...headers };
    const request: HttpRequest = {
      method,
      target,
      headers: Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Record<string, string>,
      body: bytes instanceof Uint8Array ? once(bytes) : bytes,
      remoteAddress: "127.0.0.1",
      secure: false,
      signal: signal ?? new AbortController().signal,
    };
    const { status, headers: answered, body: text } = await this.gateway.handler(request);
    const problem = typeof text === "string" && text.startsWith("{") ? (JSON.parse(text) as { code?: string; detail?: string }) : {};
    return {
      status,
      fields: Object.fromEntries(Object.entries(answered).map(([name, value]) => [name, String(value)])),
      code: problem.code,
      detail: problem.detail ?? "",
    };
  }

  /** Another one's address, when a test has many. */
  async create(headers: TusAsk["headers"] = {}, body: TusAsk["body"] = ""): Promise<string> {
    const { status, fields, detail } = await this.ask("POST", "/tus/", { headers, body });
    if (status !== 201) throw new Error(`${status} ${detail}`);
    return fields["location"] as string;
  }

  patch(at: string, offset: number, body: TusAsk["body"] = "", headers: TusAsk["headers"] = {}): Promise<TusAnswer> {
    return this.ask("PATCH", at, {
      headers: { ...BODY_TYPE, "upload-offset": String(offset), ...headers },
      ...(body === "" ? {} : { body }),
    });
  }

  async offset(at: string): Promise<number> {
    return Number((await this.ask("HEAD", at)).fields["upload-offset"]);
  }

  /** The bytes of the file at a `Troupe-File` address. */
  async read(url: string): Promise<Buffer> {
    const { pathname } = new URL(url);
    const { status, body } = await this.gateway.handler({
      method: "GET",
      target: pathname,
      headers: { host: "localhost" },
      body: once(),
      remoteAddress: "127.0.0.1",
      secure: false,
      signal: new AbortController().signal,
    });
    if (status !== 200) throw new Error(`${pathname} answered ${status}`);
    const blocks: Uint8Array[] = [];
    if (body !== undefined) for await (const block of body as AsyncIterable<Uint8Array>) blocks.push(block);
    return Buffer.concat(blocks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

/** Blocks, and then the end of the connection. */
export async function* brokenOff(...blocks: Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  yield* blocks;
  throw new TroupeError("CANCELLED", "The client went away.");
}

export async function* inBlocks(bytes: Uint8Array, blockBytes: number): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = 0; offset < bytes.length; offset += blockBytes) yield bytes.subarray(offset, offset + blockBytes);
}

/** `Upload-Metadata`. */
export function metadata(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`)
    .join(",");
}
