/** What a process asks itself to find out whether it can serve: its own bus, database and disk, and how it is. */
import { storage } from "../actors/storage/contract.ts";
import { client } from "../bus/client.ts";
import { READINESS_TIMEOUT_MS } from "../core/limits.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Bus } from "../core/ports/bus.ts";
import { askDatabase, type Database } from "../core/ports/database.ts";
import { type Fault, isThere, loadFault, type Questions } from "../gateway/readiness.ts";

/** Of any process, from the moment on at which it can be asked. */
export function processQuestions(load: LoadWatch, isStarted: () => boolean): Questions {
  return () => ({ start: startFault(isStarted()), load: loadFault(load) });
}

/** Of a role that keeps what it knows in a database. */
export function databaseQuestions<Tables>(bus: Bus, database: Database<Tables>): Questions {
  return () => ({ bus: isThere(bus.flush()), database: isThere(askDatabase(database)) });
}

/** Of a storage node. */
export function diskQuestions(bus: Bus, nodeId: string): Questions {
  return () => ({ bus: isThere(bus.flush()), disk: diskFault(bus, nodeId) });
}

async function diskFault(bus: Bus, nodeId: string): Promise<Fault | undefined> {
  const { suspect, freeBytes } = await client(bus, storage, { nodeId }).status({}, { timeoutMs: READINESS_TIMEOUT_MS });
  if (suspect !== undefined) return { code: "DISK_FAILED", reason: "The disk is suspect and takes no uploads; the log says why." };
  return freeBytes === 0 ? { code: "DISK_FULL", reason: "The disk has no room for new uploads." } : undefined;
}

async function startFault(isStarted: boolean): Promise<Fault | undefined> {
  return isStarted ? undefined : { code: "UNAVAILABLE", reason: "This process is starting; its log says what it waits for." };
}
