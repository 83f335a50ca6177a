/** A real Redis for one test or one file of tests: on a free port, gone with its folder when disposed of. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RedisServer, type RedisServerOptions, startRedisServer } from "../../src/bin/engines/redis-server.ts";

export interface TestRedis extends RedisServer, AsyncDisposable {
  /** Stands still as a server does whose machine is overloaded: connections live, and nothing is answered. */
  pause(): void;
  resume(): void;
}

export async function startTestRedis(options: Omit<RedisServerOptions, "directory"> = {}): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), "troupe-redis-"));
  const server = await startRedisServer({ ...options, directory });
  return Object.assign(server, {
    pause: () => void process.kill(server.pid, "SIGSTOP"),
    resume: () => void process.kill(server.pid, "SIGCONT"),
    [Symbol.asyncDispose]: async () => {
      // Nobody needs what it holds; and one that stands still would not hear that it should end.
      await server.kill();
      await rm(directory, { recursive: true, force: true });
    },
  });
}
