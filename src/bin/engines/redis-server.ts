/**
 * A Redis of our own as a child process: on loopback, with nothing kept on disk unless asked, for `npm run cluster` and for tests.
 * Its password stands in a file that only we may read: a command line is everybody's to see.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type EngineProcess, type EngineWatch, freePort, RestartableEngine, startEngine } from "./engine-process.ts";

export interface RedisServerOptions {
  /** An existing folder of its own: its settings, its output and, when it saves, its content. */
  readonly directory: string;
  /** A free one is taken unless given. */
  readonly port?: number;
  /** Letters, digits, `-` and `_`. Without it anyone on this machine may ask. */
  readonly password?: string;
  /** More lines of redis.conf: `{ maxmemory: "2mb", "maxmemory-policy": "allkeys-lru" }`. They win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly watch?: EngineWatch;
}

export interface RedisServer extends EngineProcess {
  readonly port: number;
  /** With the password: it is a secret. */
  readonly url: string;
  /** Starts it again on the same port and folder; stops it first when it runs. */
  restart(): Promise<void>;
}

/** What an installed server is called. */
export const REDIS_PROGRAMS = ["redis-server", "valkey-server"];
const ANSWER_WITHIN_MS = 500;
const SETTINGS_FILE = "redis.conf";

/** @throws {TroupeError} `SETTING_INVALID` when Redis is not installed, or does not get ready */
export async function startRedisServer(options: RedisServerOptions): Promise<RedisServer> {
  const { directory, password = "" } = options;
  assert(/^[A-Za-z0-9_-]*$/.test(password), "a password needs no quotes in redis.conf and no escapes in a URL");
  const port = options.port ?? (await freePort());
  const settings: Record<string, string> = {
    bind: "127.0.0.1",
    port: String(port),
    dir: JSON.stringify(directory),
    daemonize: "no",
    save: '""',
    appendonly: "no",
    ...(password === "" ? {} : { requirepass: password }),
    ...options.settings,
  };
  const file = join(directory, SETTINGS_FILE);
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  await writeFile(file, lines.join(""), { mode: 0o600 });
  const start = (): Promise<EngineProcess> =>
    startEngine({
      name: "Redis",
      programs: REDIS_PROGRAMS,
      argv: [file],
      isReady: () => answersPing(port, password),
      watch: options.watch,
    });
  return new PrivateRedis(await start(), start, port, password);
}

class PrivateRedis extends RestartableEngine implements RedisServer {
  readonly port: number;
  readonly url: string;

  constructor(engine: EngineProcess, start: () => Promise<EngineProcess>, port: number, password: string) {
    super(engine, start);
    this.port = port;
    this.url = `redis://${password === "" ? "" : `:${password}@`}127.0.0.1:${port}`;
  }
}

/** Asked by hand: the driver is the cache's alone. Not ready while it still reads its content back. */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    let answer = "";
    const end = (isReady: boolean): void => {
      socket.destroy();
      resolve(isReady);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () => end(false));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    socket.once("connect", () => socket.write(`${password === "" ? "" : `AUTH ${password}\r\n`}PING\r\n`));
    socket.on("data", (bytes) => {
      answer += bytes.toString();
      if (answer.includes("+PONG\r\n")) end(true);
      else if (answer.includes("-")) end(false);
    });
  });
}
