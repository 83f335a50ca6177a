/**
 * Stands between a client and a database server, and cuts connections at moments that matter: at a command, at a COMMIT, or now. It
 * relies on clients that wait for an answer before they say more, as database drivers do; so what arrives at once is one command.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * What becomes of a COMMIT. `lost`: it never reaches the server, which rolls back. `done`: it does, and the answer is lost. `pending`: the
 * client is cut off, and the server gets it only upon {@link CuttingProxy.deliver}: until then the transaction holds its locks.
 */
export type CommitFate = "lost" | "done" | "pending";

export class CuttingProxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #target: URL;
  readonly #pairs = new Set<Pair>();
  #fates: CommitFate[] = [];
  #held: (() => void)[] = [];
  /** A command is swallowed, and its connection cut, when this many more have gone by. */
  cutAfterCommands = Number.POSITIVE_INFINITY;
  /** The command passes first, and its answer is what is lost. */
  cutsAnswer = false;
  /** Nothing passes any more, and nobody is told. */
  isSilent = false;
  /** New connections are closed at once. */
  isAway = false;

  private constructor(server: Server, target: URL) {
    this.#server = server;
    this.#target = target;
    const url = new URL(target);
    url.port = String((server.address() as AddressInfo).port);
    this.url = url.href.replace(/\/$/, "");
  }

  static async before(target: string): Promise<CuttingProxy> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new CuttingProxy(server, new URL(target));
    server.on("connection", (client) => proxy.#accept(client));
    return proxy;
  }

  /** The fate of the commits to come, in order; those after them pass. */
  fateOfCommits(...fates: CommitFate[]): void {
    this.#fates = fates;
  }

  /** The server gets every commit that is pending. */
  deliver(): void {
    for (const send of this.#held.splice(0)) send();
  }

  /** Every connection is gone. */
  cut(): void {
    for (const pair of [...this.#pairs]) pair.destroy();
  }

  #accept(client: Socket): void {
    if (this.isAway) {
      client.destroy();
      return;
    }
    const pair = new Pair(client, connect(Number(this.#target.port), this.#target.hostname), () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
    client.on("data", (command: Buffer) => this.#fromClient(pair, command));
    pair.server.on("data", (answer: Buffer) => {
      if (pair.losesAnswer) pair.destroy();
      else if (!this.isSilent) client.write(answer);
    });
  }

  #fromClient(pair: Pair, command: Buffer): void {
    if (this.isSilent) return;
    if (command.toString("latin1").endsWith("COMMIT")) {
      const fate = this.#fates.shift();
      if (fate === "lost") return pair.destroy();
      if (fate === "done") pair.losesAnswer = true;
      if (fate === "pending") {
        pair.client.destroy();
        this.#held.push(() => void pair.server.write(command));
        return;
      }
    }
    this.cutAfterCommands -= 1;
    if (this.cutAfterCommands === -1) {
      if (!this.cutsAnswer) return pair.destroy();
      pair.losesAnswer = true;
    }
    pair.server.write(command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }
}

class Pair {
  readonly client: Socket;
  readonly server: Socket;
  losesAnswer = false;

  constructor(client: Socket, server: Socket, gone: () => void) {
    this.client = client;
    this.server = server;
    // Being cut off is what these sockets are for.
    client.on("error", () => {});
    server.on("error", () => client.destroy());
    server.once("close", () => {
      client.destroy();
      gone();
    });
    client.once("end", () => server.end());
  }

  destroy(): void {
    this.client.destroy();
    this.server.destroy();
  }
}
