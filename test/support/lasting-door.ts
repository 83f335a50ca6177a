/** An address that stays while the server behind it is killed and started again on another port: what clients that come back by themselves need. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class LastingDoor implements AsyncDisposable {
  readonly url: string;
  /** Where new connections lead. */
  target: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.target = target;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async before(target: string): Promise<LastingDoor> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const door = new LastingDoor(server, target);
    server.on("connection", (client) => door.#lead(client));
    return door;
  }

  #lead(client: Socket): void {
    const { hostname, port } = new URL(this.target);
    const server = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      // Whoever is killed on one side is gone on the other.
      socket.on("error", () => other.destroy());
      socket.once("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
