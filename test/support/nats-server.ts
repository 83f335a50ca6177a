/** A real nats-server for one test or one file of tests: on a free port, gone with its folder when disposed of. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { freePort } from "../../src/bin/engines/engine-process.ts";
import { introducesItself, type NatsServer, startNatsServer } from "../../src/bin/engines/nats-server.ts";
import { isNoResponders } from "../../src/bus/client.ts";
import type { Bus } from "../../src/core/ports/bus.ts";

export interface TestNats extends NatsServer, AsyncDisposable {
  /** Stands still, from when this resolves, as a server does whose machine is overloaded: connections live, and nothing is answered. */
  pause(): Promise<void>;
  resume(): void;
}

export interface TestNatsOptions {
  /** The text of its configuration: users, permissions, `max_payload`, … */
  readonly configuration?: string;
  /** With monitoring pages at `monitorUrl`. */
  readonly monitored?: boolean;
}

/** Resolves when the server knows that nobody hears this subject any more: it notices a connection that has closed when it comes to it. */
export async function untilUnheard(bus: Bus, subject: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    try {
      await bus.request(subject, new Uint8Array(), { timeoutMs: 50 });
    } catch (error) {
      if (isNoResponders(error)) return;
    }
  }
  throw new Error(`somebody still hears ${subject}`);
}

export async function startTestNats({ configuration = "", monitored = false }: TestNatsOptions = {}): Promise<TestNats> {
  const directory = await mkdtemp(join(tmpdir(), "troupe-nats-"));
  const server = await startNatsServer({ directory, configuration, ...(monitored ? { monitorPort: await freePort() } : {}) });
  return Object.assign(server, {
    pause: async () => {
      process.kill(server.pid, "SIGSTOP");
      while (await introducesItself(server.port)) await setImmediate();
    },
    resume: () => void process.kill(server.pid, "SIGCONT"),
    [Symbol.asyncDispose]: async () => {
      // Nobody needs what it holds; and one that stands still would not hear that it should end.
      await server.kill();
      await rm(directory, { recursive: true, force: true });
    },
  });
}
