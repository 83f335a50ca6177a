/** An error that comes when the driver has let go of its socket, on a real one. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, it } from "vitest";
import { hearLateErrors } from "../../src/bus/nats-socket.ts";

it("a write after the end, told when nobody listens any more, ends nothing", async () => {
  const server = createServer((socket) => socket.resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  hearLateErrors({ socket });
  const uncaught: unknown[] = [];
  const hear = (error: unknown): void => void uncaught.push(error);
  process.on("uncaughtException", hear);
  socket.end();
  const written = new Promise((resolve) => socket.write("PUB a 0\r\n\r\n", resolve));
  socket.removeAllListeners();
  const error = await written;
  await new Promise((resolve) => setImmediate(resolve));
  process.off("uncaughtException", hear);
  expect(error).toMatchObject({ code: "ERR_STREAM_WRITE_AFTER_END" });
  expect(uncaught).toEqual([]);
  socket.destroy();
  server.close();
});

it("a transport without a socket is left as it is", () => {
  expect(() => hearLateErrors({})).not.toThrow();
});
