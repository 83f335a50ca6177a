/** A real HTTP server that stands for a collector of traces: it takes OTLP as JSON and keeps what came. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly OtlpAttribute[];
  readonly status: { readonly code: number; readonly message?: string };
}

interface OtlpResource {
  readonly resource: { readonly attributes: readonly OtlpAttribute[] };
  readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
}

export class Collector {
  readonly url: string;
  /** What requests asked for. */
  readonly paths: string[] = [];
  readonly resources: OtlpResource[] = [];
  readonly #close: () => void;

  private constructor(url: string, close: () => void) {
    this.url = url;
    this.#close = close;
  }

  static async start(): Promise<Collector> {
    const server = createServer(async (request, response) => {
      let text = "";
      for await (const block of request) text += String(block);
      collector.paths.push(request.url ?? "");
      const { resourceSpans } = JSON.parse(text) as { readonly resourceSpans: readonly OtlpResource[] };
      collector.resources.push(...resourceSpans);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const collector = new Collector(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, () => {
      server.closeAllConnections();
      server.close();
    });
    return collector;
  }

  get spans(): OtlpSpan[] {
    return this.resources.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
