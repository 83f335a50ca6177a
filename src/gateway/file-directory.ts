/**
 * Files by ID: the catalog, behind a memory so short that a delete anywhere is seen everywhere in time.
 *
 * F1: what an owner deleted here is not found here from that moment on, however a lookup that began before ends.
 * F2: one owner's entries and tombstones say nothing about another's, so somebody else's file is asked for like one that does not exist.
 */
import type { LRUCache } from "lru-cache";
import { catalog, type FileRecord, type LocatedFile } from "../actors/catalog/contract.ts";
import { type CallOptions, client } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { isFileId } from "../core/file-id.ts";
import { DELETED_KEPT_MS, LOOKUP_KEPT_MS } from "../core/limits.ts";
import { type Counter, SILENT_METRICS } from "../core/ports/metrics.ts";
import { ANYONE, mayReadFilesOf, type Principal } from "../core/principal.ts";
import type { GatewayPorts } from "./ports.ts";
import { remembered } from "./remembered.ts";

type OnBehalf = CallOptions & { readonly principal: Principal };

export class FileDirectory {
  readonly #ports: GatewayPorts;
  readonly #known: LRUCache<string, LocatedFile>;
  readonly #tombstones: LRUCache<string, { readonly deleted: true }>;
  readonly #hits: Counter;
  readonly #misses: Counter;

  constructor(ports: GatewayPorts) {
    this.#ports = ports;
    this.#known = remembered<LocatedFile>(ports.clock, LOOKUP_KEPT_MS);
    this.#tombstones = remembered(ports.clock, DELETED_KEPT_MS);
    const { metrics = SILENT_METRICS } = ports;
    this.#hits = metrics.counter("troupe_lookups_total", { memory: "gateway-files", outcome: "hit" });
    this.#misses = metrics.counter("troupe_lookups_total", { memory: "gateway-files", outcome: "miss" });
  }

  /** @throws {TroupeError} `FILE_NOT_FOUND`, and what the bus throws */
  async find(fileId: string, options: OnBehalf): Promise<LocatedFile> {
    const key = checkedKey(fileId, options.principal);
    this.#refuseDeleted(key);
    const known = this.#known.get(key);
    (known === undefined ? this.#misses : this.#hits).add();
    if (known !== undefined) return known;
    const askedMs = this.#ports.clock.nowMs();
    const file = await client(this.#ports.bus, catalog).file({ fileId }, options);
    // F1: the delete may have come while the catalog was being asked.
    this.#refuseDeleted(key);
    if (!mayReadFilesOf(options.principal, file.owner)) throw new TroupeError("FILE_NOT_FOUND");
    // Counted from the question on: an answer that was long on its way is old when it arrives.
    this.#known.set(key, file, { start: askedMs });
    return file;
  }

  /**
   * The newest file of a name. It is asked for each time, for which one that is may have changed.
   * @throws {TroupeError} `FILE_NOT_FOUND`, and what the bus throws
   */
  async findByName(user: string, name: string, options: OnBehalf): Promise<LocatedFile> {
    const askedMs = this.#ports.clock.nowMs();
    const file = await client(this.#ports.bus, catalog).fileByName({ user, name }, options);
    const key = keyOf(file.fileId, options.principal);
    this.#refuseDeleted(key);
    if (!mayReadFilesOf(options.principal, file.owner)) throw new TroupeError("FILE_NOT_FOUND");
    this.#known.set(key, file, { start: askedMs });
    return file;
  }

  forget(fileId: string, principal: Principal): void {
    this.#known.delete(keyOf(fileId, principal));
  }

  async rename(fileId: string, name: string, options: OnBehalf): Promise<FileRecord> {
    const key = checkedKey(fileId, options.principal);
    this.#refuseDeleted(key);
    const file = await client(this.#ports.bus, catalog).renameFile({ fileId, name }, options);
    this.#known.delete(key);
    this.forget(fileId, ANYONE);
    return file;
  }

  /** @throws {TroupeError} `FILE_NOT_FOUND`, also the second time */
  async delete(fileId: string, options: OnBehalf): Promise<void> {
    const key = checkedKey(fileId, options.principal);
    this.#refuseDeleted(key);
    await client(this.#ports.bus, catalog).deleteFile({ fileId }, options);
    // It was the asker's to delete: for whoever reads without a name it is gone, too.
    for (const gone of [key, keyOf(fileId, ANYONE)]) {
      this.#tombstones.set(gone, { deleted: true });
      this.#known.delete(gone);
    }
  }

  #refuseDeleted(key: string): void {
    if (this.#tombstones.get(key) !== undefined) throw new TroupeError("FILE_NOT_FOUND");
  }
}

/** An ID that is none is a file that does not exist: an address of bytes tells nothing else. */
function checkedKey(fileId: string, principal: Principal): string {
  if (!isFileId(fileId)) throw new TroupeError("FILE_NOT_FOUND");
  return keyOf(fileId, principal);
}

// A file ID has a fixed length, so no two pairs make one key.
const keyOf = (fileId: string, principal: Principal): string => `${fileId}:${principal.owner}`;
