/**
 * One MariaDB for a whole run of tests, started when the first test asks for it: a run that needs none pays for none. vitest calls this
 * once, in its own process; a test finds the answer's address with `inject`.
 */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type MariadbServer, startMariadb } from "../../src/bin/engines/mariadb-server.ts";
import { MARIADB_ACCOUNTS } from "./mariadb-accounts.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Answers with the URL of the run's MariaDB. */
    mariadbOnDemand: string;
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  let directory: string | undefined;
  let server: Promise<MariadbServer> | undefined;
  const start = async (): Promise<MariadbServer> => {
    directory = await mkdtemp(join(tmpdir(), "troupe-test-mariadb-"));
    return startMariadb({ directory, ...MARIADB_ACCOUNTS, durable: false });
  };
  const listener = createServer((_, response) => {
    server ??= start();
    server.then(
      ({ url }) => response.end(url),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  listener.unref();
  project.provide("mariadbOnDemand", `http://127.0.0.1:${(listener.address() as AddressInfo).port}`);
  return async () => {
    listener.close();
    // Nothing of it is kept, so it may go at once.
    await (await server?.catch(() => undefined))?.process.kill();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
}
