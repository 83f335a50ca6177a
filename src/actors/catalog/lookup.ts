/**
 * One file by its ID, through the cache.
 *
 * L1: a tombstone in the cache is FILE_NOT_FOUND, without asking the database: who looked a file up before it was deleted cannot put
 *     it back.
 * L2: that a file is not there is never cached.
 * L3: the cache is asked by ID alone; who may see the file is decided afterwards.
 */
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { CACHE_LIFETIME_MS } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { type LocatedFile, locatedFile } from "./contract.ts";
import { loadFile } from "./file-row.ts";
import { type CatalogPorts, maySee } from "./ports.ts";

export function fileKey(fileId: string): string {
  return `file:${fileId}`;
}

/** @throws {TroupeError} `FILE_NOT_FOUND`, also for a file of somebody else */
export async function lookUpFile(ports: CatalogPorts, principal: Principal, fileId: string): Promise<LocatedFile> {
  const file = (await cachedFile(ports, fileId)) ?? (await refreshFile(ports, fileId));
  if (file === undefined || !maySee(principal, file.owner)) throw new TroupeError("FILE_NOT_FOUND");
  return file;
}

/** Reads the file from the database into the cache. */
export async function refreshFile(ports: Pick<CatalogPorts, "database" | "cache">, fileId: string): Promise<LocatedFile | undefined> {
  const file = await ports.database.read((query) => loadFile(query, fileId));
  // L2
  if (file !== undefined) await ports.cache.set(fileKey(fileId), bytesOf(JSON.stringify(file)), CACHE_LIFETIME_MS);
  return file;
}

/** @throws {TroupeError} `FILE_NOT_FOUND` upon a tombstone (L1) */
async function cachedFile(ports: CatalogPorts, fileId: string): Promise<LocatedFile | undefined> {
  const cached = await ports.cache.get(fileKey(fileId));
  if (cached.kind === "tombstone") throw new TroupeError("FILE_NOT_FOUND");
  if (cached.kind === "absent") return undefined;
  const file = readCached(cached.value);
  if (file === undefined) ports.log.warn({ fileId }, "The cache holds something that is not a file's record; the database is asked.");
  return file;
}

/** The cache may be shared with another version, or be changed by anybody who reaches it. */
function readCached(value: Uint8Array): LocatedFile | undefined {
  let json: unknown;
  try {
    json = JSON.parse(textOf(value));
  } catch {
    return undefined;
  }
  const checked = locatedFile.safeParse(json);
  return checked.success ? checked.data : undefined;
}
