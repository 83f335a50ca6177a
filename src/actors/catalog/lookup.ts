/**
 * One file by its ID, through the cache.
 *
 * L1: what comes from the cache was read from the database at most `CACHE_LIFETIME_MS` ago: the lease it is kept under is taken first.
 *     So a change is seen in time also where the cache did not hear of it.
 * L2: that a file is not there is never cached, and the cache never says so: a tombstone sends the lookup to the database.
 * L3: the cache is asked by ID alone, and answers only who may see the file. Somebody else's file costs the questions that one costs which is
 *     not there, to the cache and to the database: neither the answer nor its time tells them apart.
 */
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { CACHE_LIFETIME_MS } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { type LocatedFile, locatedFile } from "./contract.ts";
import { loadFile } from "./file-row.ts";
import { type CatalogPorts, readOwner } from "./ports.ts";

export function fileKey(fileId: string): string {
  return `file:${fileId}`;
}

/** @throws {TroupeError} `FILE_NOT_FOUND`, also for a file of somebody else */
export async function lookUpFile(ports: CatalogPorts, principal: Principal, fileId: string): Promise<LocatedFile> {
  const file = await findFile(ports, fileId, readOwner(principal));
  if (file === undefined) throw new TroupeError("FILE_NOT_FOUND");
  return file;
}

async function findFile(ports: CatalogPorts, fileId: string, owner: string | undefined): Promise<LocatedFile | undefined> {
  const key = fileKey(fileId);
  const cached = await ports.cache.get(key);
  if (cached.kind === "value") {
    const known = readCached(cached.value);
    if (known?.fileId !== fileId)
      ports.log.warn({ fileId }, "The cache holds something that is not this file's record; the database is asked.");
    else if (owner === undefined || known.owner === owner) return known;
  }
  const file = await ports.database.read((query) => loadFile(query, fileId, owner));
  const lease = cached.kind === "absent" ? cached.lease : undefined;
  // L1, L2
  if (file !== undefined && lease !== undefined) await ports.cache.set(key, bytesOf(JSON.stringify(file)), lease, CACHE_LIFETIME_MS);
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
