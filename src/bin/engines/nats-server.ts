/**
 * A nats-server of our own as a child process, on loopback: for `npm run cluster`, for `--nats local`, and for tests. Users and their
 * passwords stand in a configuration file that only we may read: a command line is everybody's to see.
 */
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type EngineProcess, type EngineWatch, freePort, RestartableEngine, startEngine } from "./engine-process.ts";

export interface NatsServerOptions {
  /** An existing folder of its own: its configuration and, when it keeps any, its files. */
  readonly directory: string;
  /** A free one is taken unless given. */
  readonly port?: number;
  /** Where its monitoring pages are (`/connz`, `/varz`); none unless given. */
  readonly monitorPort?: number;
  /** The text of its configuration: users, permissions, `max_payload`, … Where it listens is ours to say. */
  readonly configuration?: string;
  readonly watch?: EngineWatch;
}

export interface NatsServer extends EngineProcess {
  readonly port: number;
  /** `nats://127.0.0.1:4222`, without user and password. */
  readonly url: string;
  /** `http://127.0.0.1:8222`, when it was asked for. */
  readonly monitorUrl: string | undefined;
  /** Starts it again on the same ports, with another configuration if one is given; stops it first when it runs. */
  restart(configuration?: string): Promise<void>;
}

/** What an installed server is called. */
export const NATS_PROGRAMS = ["nats-server"];
/** What a configuration says of its own address. */
const LISTENS = /^(?:listen|http):.*$/gm;
const ANSWER_WITHIN_MS = 500;
/** In its folder. */
export const NATS_CONFIGURATION_FILE = "nats.conf";

/** @throws {TroupeError} `SETTING_INVALID` when nats-server is not installed, or does not get ready */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const port = options.port ?? (await freePort());
  const { directory, monitorPort, configuration = "" } = options;
  const file = join(directory, NATS_CONFIGURATION_FILE);
  // In the file and not on the command line: whoever starts it by hand with the file alone gets the same server, on loopback.
  const listen = `listen: "127.0.0.1:${port}"\n${monitorPort === undefined ? "" : `http: "127.0.0.1:${monitorPort}"\n`}`;
  let text = configuration;
  const start = async (): Promise<EngineProcess> => {
    await writeFile(file, listen + text.replaceAll(LISTENS, ""), { mode: 0o600 });
    return startEngine({
      name: "nats-server",
      programs: NATS_PROGRAMS,
      argv: ["--config", file],
      isReady: () => introducesItself(port),
      watch: options.watch,
    });
  };
  const configure = (next: string): void => {
    text = next;
  };
  return new PrivateNats(await start(), start, configure, port, monitorPort);
}

class PrivateNats extends RestartableEngine implements NatsServer {
  readonly port: number;
  readonly url: string;
  readonly monitorUrl: string | undefined;
  readonly #configure: (text: string) => void;

  constructor(
    engine: EngineProcess,
    start: () => Promise<EngineProcess>,
    configure: (text: string) => void,
    port: number,
    monitorPort: number | undefined,
  ) {
    super(engine, start);
    this.#configure = configure;
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
    this.monitorUrl = monitorPort === undefined ? undefined : `http://127.0.0.1:${monitorPort}`;
  }

  override async restart(configuration?: string): Promise<void> {
    if (configuration !== undefined) this.#configure(configuration);
    await super.restart();
  }
}

/** Whether one is there: a server that takes clients says who it is before it is asked. */
export function introducesItself(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (isReady: boolean): void => {
      socket.destroy();
      resolve(isReady);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () => end(false));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    socket.once("data", (bytes) => end(bytes.toString("latin1").startsWith("INFO ")));
  });
}
