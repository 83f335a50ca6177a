/** Stands between a client and a server and counts the bytes that pass: what a player really makes the server send, or an upload again. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CountingProxy extends AsyncDisposable {
  readonly url: string;
  readonly connectionCount: number;
  /** Bytes from the server that were passed on to clients, heads of answers included. */
  readonly passedBytes: number;
  /** Bytes from clients that were passed on to the server, heads of requests included. */
  readonly sentBytes: number;
}

export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  let passedBytes = 0;
  let sentBytes = 0;
  const keep = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    // A player goes away in the middle of an answer; then the other side has to be let go as well.
    socket.on("error", () => other.destroy());
    socket.once("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const listener = createServer((client) => {
    connectionCount += 1;
    const server = connect(Number(port), hostname);
    keep(client, server);
    keep(server, client);
    client.on("data", (data) => {
      sentBytes += data.length;
    });
    client.pipe(server);
    server.on("data", (data) => {
      passedBytes += data.length;
    });
    server.pipe(client);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get connectionCount() {
      return connectionCount;
    },
    get passedBytes() {
      return passedBytes;
    },
    get sentBytes() {
      return sentBytes;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(listener, "close");
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
