/**
 * A NATS connection without a library: what the server refuses is seen word for word. Each step ends with a ping, so that everything the
 * server had to say to it has arrived.
 */
import { connect, type Socket } from "node:net";

export interface RawMessage {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly body: string;
  /** As on the wire, with its first line; nothing where there are none. */
  readonly headers: string;
}

export class RawNats implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #pongs: (() => void)[] = [];
  readonly #closed: Promise<void>;
  #received = "";
  #lastSubscription = 0;
  /** What the server objected to, in its words. */
  readonly errors: string[] = [];
  readonly messages: RawMessage[] = [];

  constructor(port: number, user: string, password: string) {
    this.#socket = connect({ host: "127.0.0.1", port });
    this.#socket.on("error", () => undefined);
    this.#closed = new Promise((resolve) => this.#socket.once("close", () => resolve()));
    this.#socket.on("data", (bytes) => {
      this.#received += bytes.toString("latin1");
      while (this.#take());
    });
    this.#send(`CONNECT ${JSON.stringify({ user, pass: password, verbose: false, pedantic: false, headers: true, no_responders: true })}`);
  }

  /** @param headers lines: `Name: value` */
  publish(subject: string, reply = "", body = "", headers: readonly string[] = []): void {
    const to = `${subject} ${reply === "" ? "" : `${reply} `}`;
    if (headers.length === 0) return this.#send(`PUB ${to}${body.length}\r\n${body}`);
    const head = `NATS/1.0\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
    this.#send(`HPUB ${to}${head.length} ${head.length + body.length}\r\n${head}${body}`);
  }

  subscribe(subject: string): void {
    this.#lastSubscription += 1;
    this.#send(`SUB ${subject} ${this.#lastSubscription}`);
  }

  /** Resolves when the server has dealt with everything before, or has hung up. */
  async settled(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pongs.push(resolve);
    this.#send("PING");
    await Promise.race([promise, this.#closed]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }

  #send(line: string): void {
    this.#socket.write(`${line}\r\n`, "latin1");
  }

  /** One line, or a message of two; false when there is no whole one yet. */
  #take(): boolean {
    const end = this.#received.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.#received.slice(0, end);
    // MSG subject id [reply] bytes, or HMSG subject id [reply] bytes-of-headers bytes-of-all.
    const words = line.split(" ");
    let taken = end + 2;
    if (words[0] === "MSG" || words[0] === "HMSG") {
      const counts = words[0] === "MSG" ? words.slice(-1) : words.slice(-2);
      const [headers = 0, bytes = headers] = counts.map(Number);
      if (this.#received.length < taken + bytes + 2) return false;
      const message = this.#received.slice(taken, taken + bytes);
      const [subject = "", , reply] = words.slice(1, words.length - counts.length);
      // The server itself says with a status in the headers that nobody listens.
      const bodyAt = counts.length === 1 ? 0 : headers;
      if (!/^NATS\/1\.0 503/.test(message))
        this.messages.push({
          subject,
          reply,
          body: Buffer.from(message.slice(bodyAt), "latin1").toString(),
          headers: message.slice(0, bodyAt),
        });
      taken += bytes + 2;
    } else if (line.startsWith("-ERR")) this.errors.push(line.slice(5).replaceAll("'", ""));
    else if (line === "PONG") this.#pongs.shift()?.();
    else if (line === "PING") this.#send("PONG");
    this.#received = this.#received.slice(taken);
    return true;
  }
}
