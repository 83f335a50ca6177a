/**
 * The client side of the benchmarks, as a process of its own: `node bench/load.ts '<task as JSON>'` does the task and prints one line of
 * JSON. It speaks HTTP/1.1 over plain sockets, with as little work a byte as Node allows, so that servers are measured and not it.
 */
import { connect, type Socket } from "node:net";

export interface RangeTask {
  readonly kind: "ranges";
  readonly url: string;
  readonly sizeBytes: number;
  readonly rangeBytes: number;
  readonly connections: number;
  readonly seconds: number;
}

export interface UploadTask {
  readonly kind: "uploads";
  /** Requests to be sent by each stream, one after the other. */
  readonly streams: readonly (readonly BodyRequest[])[];
}

export interface BodyRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyBytes: number;
}

export interface LoadResult {
  readonly count: number;
  readonly bytes: number;
  readonly seconds: number;
}

const BLOCK = Buffer.alloc(1024 * 1024);
for (let index = 0; index < BLOCK.length; index += 4) BLOCK.writeUInt32LE((Math.imul(index, 2_654_435_761) ^ (index >>> 3)) >>> 0, index);

/** One connection: sends a request, reads its answer, throws the body away. */
class Connection {
  readonly #socket: Socket;
  #head = "";
  #remaining = -1;
  #status = 0;
  #done: PromiseWithResolvers<number> | undefined;

  constructor(host: string, port: number) {
    const buffer = Buffer.allocUnsafe(256 * 1024);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (count, bytes) => {
          this.#take(bytes as Buffer, count);
          return true;
        },
      },
    });
    this.#socket.on("error", (error) => this.#done?.reject(error));
    this.#socket.on("close", () => this.#done?.reject(new Error("the server closed the connection")));
  }

  close(): void {
    this.#done = undefined;
    this.#socket.destroy();
  }

  /** @returns the bytes of the answer's body */
  async exchange(head: string, bodyBytes = 0): Promise<number> {
    this.#done = Promise.withResolvers();
    const { promise } = this.#done;
    promise.catch(() => undefined);
    this.#socket.write(head);
    for (let left = bodyBytes; left > 0; left -= BLOCK.length) {
      const block = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      if (!this.#socket.write(block)) await Promise.race([new Promise((resolve) => this.#socket.once("drain", resolve)), promise]);
    }
    return await promise;
  }

  #take(buffer: Buffer, count: number): void {
    let offset = 0;
    if (this.#remaining < 0) {
      const before = this.#head.length;
      this.#head += buffer.toString("latin1", 0, count);
      const end = this.#head.indexOf("\r\n\r\n");
      if (end === -1) return;
      offset = end + 4 - before;
      this.#status = Number(this.#head.slice(9, 12));
      const length = /^content-length: *(\d+)/im.exec(this.#head.slice(0, end));
      if (this.#status >= 400) return this.#done?.reject(new Error(this.#head + buffer.toString("latin1", offset, count)));
      this.#remaining = length === null ? 0 : Number(length[1]);
      this.#total = this.#remaining;
    }
    this.#remaining -= count - offset;
    if (this.#remaining > 0) return;
    this.#head = "";
    this.#remaining = -1;
    this.#done?.resolve(this.#total);
  }

  #total = 0;
}

function requestHead(method: string, url: URL, headers: Readonly<Record<string, string>>): string {
  const fields = Object.entries({ host: url.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url.pathname} HTTP/1.1\r\n${fields.join("")}\r\n`;
}

async function getRanges(task: RangeTask): Promise<LoadResult> {
  const url = new URL(task.url);
  const places = Math.floor(task.sizeBytes / task.rangeBytes);
  let count = 0;
  let bytes = 0;
  const untilMs = performance.now() + task.seconds * 1000;
  const beganMs = performance.now();
  const lane = async (seed: number): Promise<void> => {
    const connection = new Connection(url.hostname, Number(url.port));
    let state = seed * 7919 + 1;
    while (performance.now() < untilMs) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const first = (state % places) * task.rangeBytes;
      const received = await connection.exchange(requestHead("GET", url, { range: `bytes=${first}-${first + task.rangeBytes - 1}` }));
      bytes += received;
      count += 1;
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: task.connections }, (_, index) => lane(index + 1)));
  return { count, bytes, seconds: (performance.now() - beganMs) / 1000 };
}

async function sendBodies(task: UploadTask): Promise<LoadResult> {
  let bytes = 0;
  let count = 0;
  const beganMs = performance.now();
  const lane = async (requests: readonly BodyRequest[]): Promise<void> => {
    const first = requests[0];
    if (first === undefined) return;
    const { hostname, port } = new URL(first.url);
    const connection = new Connection(hostname, Number(port));
    for (const { method, url, headers, bodyBytes } of requests) {
      await connection.exchange(requestHead(method, new URL(url), { ...headers, "content-length": String(bodyBytes) }), bodyBytes);
      bytes += bodyBytes;
      count += 1;
    }
    connection.close();
  };
  await Promise.all(task.streams.map(lane));
  return { count, bytes, seconds: (performance.now() - beganMs) / 1000 };
}

const task = process.argv[2];
if (task !== undefined) {
  const parsed = JSON.parse(task) as RangeTask | UploadTask;
  const result = parsed.kind === "ranges" ? await getRanges(parsed) : await sendBodies(parsed);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
