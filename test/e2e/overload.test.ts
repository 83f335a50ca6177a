/** A server that has more to do than it can: it refuses what is new, goes on with what was begun, and comes back. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { until } from "../support/until.ts";

const START = fileURLToPath(new URL("../../src/bin/start.js", import.meta.url));
const DESCRIPTORS = 512;
/** Connections that leave enough, and then so many at a time: far fewer than lie between refusing what is new and answering nobody. */
const HELD_AT_FIRST = 300;
const STEP = 4;
const READY = /^troupe ready (\S+) /m;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** On a connection of its own: one that is kept may be closed at the moment of its next request, when descriptors become few. */
function ask(method: string, url: string, body: string | Uint8Array = "", headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, agent: false, headers: { ...headers, "content-length": String(Buffer.byteLength(body)) } });
    request.once("error", reject);
    request.once("response", (response) => {
      const blocks: Buffer[] = [];
      response.on("data", (block: Buffer) => blocks.push(block));
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(blocks) }));
    });
    request.end(body);
  });
}

const jsonOf = <Value>({ body }: Answer): Value => JSON.parse(body.toString()) as Value;

/** A server that may have no more descriptors than so many. */
class NarrowServer implements AsyncDisposable {
  out = "";
  log = "";
  readonly #child;
  readonly #exited: Promise<number | null>;
  readonly #held: Socket[] = [];

  constructor(data: string) {
    const argv = [process.execPath, START, "--port", "0", "--data", data].map((word) => `'${word}'`).join(" ");
    this.#child = spawn("sh", ["-c", `ulimit -n ${DESCRIPTORS}; exec ${argv}`], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout.on("data", (data: Buffer) => void (this.out += data.toString()));
    this.#child.stderr.on("data", (data: Buffer) => void (this.log += data.toString()));
    this.#exited = new Promise((resolve) => this.#child.once("exit", (code) => resolve(code)));
  }

  url(): Promise<string> {
    return until(
      async () => READY.exec(this.out)?.[1] ?? "",
      (found) => found !== "",
    );
  }

  /** Holds a connection on which it has said so much. */
  async hold(said: string): Promise<void> {
    const { hostname, port } = new URL(await this.url());
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    socket.resume();
    this.#held.push(socket);
    await once(socket, "connect");
    socket.write(said);
  }

  letGo(): void {
    for (const socket of this.#held.splice(0)) socket.destroy();
  }

  async put(name: string): Promise<Answer> {
    return await ask("PUT", `${await this.url()}/put/${name}`, "bytes");
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.letGo();
    this.#child.kill(signal);
    return await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

const onLinux = it.runIf(process.platform === "linux");

onLinux("F28: with few descriptors left new work is refused with 503, an upload under way ends well, and then all comes back", async () => {
  await using folder = await temporaryDirectory();
  await using server = new NarrowServer(join(folder.path, "data"));
  const url = await server.url();
  const before = (await server.put("before.bin")).body.toString().trim();
  const bytes = someBytes(200_000);
  const wish = JSON.stringify({ name: "under-way.bin", size: bytes.length });
  const created = await ask("POST", `${url}/api/v1/uploads`, wish, { "content-type": "application/json" });
  const { uploadId } = jsonOf<{ uploadId: string }>(created);

  const isShort = (): boolean => /"reason":"\d+ file descriptors/.test(server.log);
  for (let held = 0; held < HELD_AT_FIRST; held += 1) await server.hold("GET /heal");
  let answer = await server.put("first.bin");
  for (let count = 0; !isShort() && count < DESCRIPTORS / STEP; count += 1) {
    for (let held = 0; held < STEP; held += 1) await server.hold("GET /heal");
    answer = await until(
      () => server.put(`${count}.bin`),
      ({ status }) => status === (isShort() ? 503 : 201),
    );
  }
  expect([answer.status, answer.headers.connection]).toEqual([503, "close"]);
  // The calmer it has become, the shorter.
  expect(answer.headers["retry-after"]).toMatch(/^[123]$/);
  expect(jsonOf(answer)).toMatchObject({ code: "OVERLOADED" });
  expect((await ask("GET", `${url}/healthz`)).status).toBe(200);
  expect((await ask("GET", `${url}/readyz`)).status).toBe(503);
  expect((await ask("PUT", `${url}/api/v1/uploads/${uploadId}/chunks/0`, bytes)).status).toBe(200);
  const merged = await ask("POST", `${url}/api/v1/uploads/${uploadId}/merge`);
  expect(merged.status).toBe(200);

  server.letGo();
  await until(
    async () => (await server.put("after.bin")).status,
    (status) => status === 201,
  );
  expect((await ask("GET", before)).body.toString()).toBe("bytes");
  const { url: fileUrl } = jsonOf<{ url: string }>(merged);
  expect((await ask("GET", fileUrl)).body.equals(bytes)).toBe(true);
  expect(server.log.match(/"reason":"\d+ file descriptors.*begins nothing new for now/g)).toHaveLength(1);
  expect(server.log.match(/"reason":"\d+ file descriptors.*begins new work again/g)).toHaveLength(1);
  expect(await server.end("SIGTERM")).toBe(0);
});

onLinux(
  "F28: connections that nobody uses are closed when descriptors become few, and more than there is room for end nothing",
  async () => {
    await using folder = await temporaryDirectory();
    await using server = new NarrowServer(join(folder.path, "data"));
    await server.put("before.bin");
    for (let count = 0; count < 2 * DESCRIPTORS; count += 1) await server.hold("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await until(
      () =>
        server.put("after.bin").then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status === 201,
    );
    expect(server.log).not.toMatch(/suspect|EMFILE|nobody caught/);
    expect(await server.end("SIGTERM")).toBe(0);
  },
);

/** A real process stands still, and goes on. */
async function standStill(pid: number, forMs: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  const sinceMs = performance.now();
  await until(
    async () => performance.now() - sinceMs,
    (ms) => ms > forMs,
  );
  process.kill(pid, "SIGCONT");
}

const STOOD_STILL = /"reason":"the event loop stood still for \d+ ms"/;

onLinux("F28: a process that stood still for longer than --overload-stall begins nothing new", async () => {
  await using folder = await temporaryDirectory();
  await using server = await startServer(folder.path, ["--overload-stall", "500ms"]);
  await standStill(server.pid, 1_000);
  await until(
    async () => STOOD_STILL.test(server.stderr),
    (isTold) => isTold,
  );
});

onLinux("F28: where it is 0, what is new is taken, however long the process stood still", async () => {
  await using folder = await temporaryDirectory();
  await using server = await startServer(folder.path, ["--overload-stall", "0"]);
  await standStill(server.pid, 3_000);
  expect((await ask("PUT", `${server.url}/put/some.bin`, "bytes")).status).toBe(201);
  expect(server.stderr).not.toMatch(STOOD_STILL);
});
