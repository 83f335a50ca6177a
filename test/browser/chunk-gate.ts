/**
 * Stands between a browser and a server: lets so many chunks through and holds the others, counts what the server took, and stays where
 * it is while the server is killed and started again. An upload is slow here by as much as a test says, and not by time.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

const CHUNK = /^\/api\/v1\/uploads\/([^/]+)\/chunks\/(\d+)$/;

export interface TakenChunk {
  readonly uploadId: string;
  readonly index: number;
}

export class ChunkGate implements AsyncDisposable {
  /** None while the server is away: whoever asks then is cut off. */
  target: string | undefined;
  /** Chunks the server has answered for, in order. */
  readonly taken: TakenChunk[] = [];
  /** The next request of this address is done, and its answer lost. */
  loses: RegExp | undefined;
  readonly #server = createServer((incoming, answer) => void this.#pass(incoming, answer));
  readonly #sockets = new Set<Socket>();
  readonly #held: (() => void)[] = [];
  #permits = Number.POSITIVE_INFINITY;

  private constructor(target: string) {
    this.target = target;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async before(target: string): Promise<ChunkGate> {
    const gate = new ChunkGate(target);
    gate.#server.listen(0, "127.0.0.1");
    await once(gate.#server, "listening");
    return gate;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get heldCount(): number {
    return this.#held.length;
  }

  /** So many chunks more pass, and then none; those that wait are the first. */
  allow(count: number): void {
    this.#permits = count;
    while (this.#permits > 0 && this.#held.length > 0) {
      this.#permits -= 1;
      this.#held.shift()?.();
    }
  }

  async #pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunk = incoming.method === "PUT" ? CHUNK.exec(incoming.url ?? "") : null;
    // Read before it is held: of a body that nobody reads one does not hear that the browser has given it up.
    const body: Buffer[] = [];
    try {
      for await (const block of incoming) body.push(block as Buffer);
    } catch {
      return;
    }
    const go = (): void => this.#forward(incoming, Buffer.concat(body), answer, chunk);
    if (chunk === null || this.#permits > 0) {
      if (chunk !== null) this.#permits -= 1;
      go();
      return;
    }
    this.#held.push(go);
    answer.once("close", () => {
      const at = this.#held.indexOf(go);
      if (at !== -1) this.#held.splice(at, 1);
    });
  }

  #forward(incoming: IncomingMessage, body: Buffer, answer: ServerResponse, chunk: RegExpExecArray | null): void {
    const { method, url, headers, socket } = incoming;
    if (this.target === undefined) return void socket.destroy();
    const outgoing = request(new URL(url ?? "/", this.target), { method, headers, agent: false });
    // Whoever is cut off is cut off on both sides; a browser that gives up, and a server that was killed, are what this is for.
    outgoing.once("error", () => socket.destroy());
    answer.once("close", () => outgoing.destroy());
    outgoing.once("response", (response) => {
      if (chunk !== null && response.statusCode === 200) this.taken.push({ uploadId: chunk[1] as string, index: Number(chunk[2]) });
      if (this.loses?.test(url ?? "") === true) {
        this.loses = undefined;
        socket.destroy();
        return;
      }
      answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
      response.once("error", () => socket.destroy());
      response.pipe(answer);
    });
    outgoing.end(body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
