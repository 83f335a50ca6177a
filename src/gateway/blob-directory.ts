/**
 * Opening the bytes of a blob on one of the nodes that hold it: the grant is asked for and remembered, a refused one renewed once, and
 * a node that cannot serve yields to the next.
 */
import type { LRUCache } from "lru-cache";
import type { LocatedFile } from "../actors/catalog/contract.ts";
import { storage } from "../actors/storage/contract.ts";
import { client, isNoResponders } from "../bus/client.ts";
import { type ErrorCode, TroupeError, toTroupeError } from "../core/errors.ts";
import { READ_GRANT_KEPT_MS } from "../core/limits.ts";
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { DataAccess } from "../core/ports/data-plane.ts";
import { type Counter, SILENT_METRICS } from "../core/ports/metrics.ts";
import type { ByteRange } from "../core/range.ts";
import type { GatewayPorts } from "./ports.ts";
import { remembered } from "./remembered.ts";

/** Another holder may still be able to. */
const NEXT_NODE: ReadonlySet<ErrorCode> = new Set([
  "HOST_UNAVAILABLE",
  "UNAVAILABLE",
  "BLOB_NOT_FOUND",
  "BLOB_DAMAGED",
  "DISK_FAILED",
  "BUSY",
  "OVERLOADED",
  "STOPPING",
  "DEADLINE_EXCEEDED",
  "TOO_MANY",
]);

export class BlobDirectory {
  readonly #ports: GatewayPorts;
  readonly #grants: LRUCache<string, DataAccess>;
  /** The holder that served last is asked first: it has the blob open. */
  readonly #preferred: LRUCache<string, { readonly nodeId: string }>;

  readonly #hits: Counter;
  readonly #misses: Counter;

  constructor(ports: GatewayPorts) {
    this.#ports = ports;
    const { metrics = SILENT_METRICS } = ports;
    this.#hits = metrics.counter("troupe_lookups_total", { memory: "gateway-grants", outcome: "hit" });
    this.#misses = metrics.counter("troupe_lookups_total", { memory: "gateway-grants", outcome: "miss" });
    this.#grants = remembered<DataAccess>(ports.clock, READ_GRANT_KEPT_MS);
    this.#preferred = remembered(ports.clock, READ_GRANT_KEPT_MS);
  }

  /**
   * The bytes of the range, the first of them already read.
   * @throws {TroupeError} the last holder's error; `BLOB_NOT_FOUND` only when every holder says so
   */
  async open(file: LocatedFile, range: ByteRange, signal: AbortSignal): Promise<ByteStream> {
    const { blob } = file;
    const preferred = this.#preferred.get(blob.path)?.nodeId;
    const nodeIds =
      preferred !== undefined && blob.nodeIds.includes(preferred)
        ? [preferred, ...blob.nodeIds.filter((nodeId) => nodeId !== preferred)]
        : blob.nodeIds;
    let failure: TroupeError | undefined;
    for (const nodeId of nodeIds) {
      try {
        const bytes = await this.#openOn(nodeId, file, range, signal);
        if (nodeId !== preferred) this.#preferred.set(blob.path, { nodeId });
        return bytes;
      } catch (error) {
        const troupeError = toTroupeError(error);
        if (!NEXT_NODE.has(troupeError.code) || signal.aborted) throw error;
        this.#ports.log.warn({ nodeId, blobId: blob.blobId, code: troupeError.code }, "A node could not serve a blob; the next is asked.");
        // "Not here" is weaker than a holder that does not answer.
        if (failure === undefined || troupeError.code !== "BLOB_NOT_FOUND") failure = troupeError;
      }
    }
    throw failure ?? new TroupeError("UNAVAILABLE", "No node is known to hold the bytes of this file at the moment.");
  }

  async #openOn(nodeId: string, file: LocatedFile, range: ByteRange, signal: AbortSignal): Promise<ByteStream> {
    const { blobId, path } = file.blob;
    const key = `${nodeId}:${path}`;
    const blobRange = { path, blobId, sizeBytes: file.sizeBytes, offset: range.first, lengthBytes: range.last - range.first + 1 };
    const known = this.#grants.get(key);
    (known === undefined ? this.#misses : this.#hits).add();
    if (known !== undefined) {
      try {
        return await this.#ports.dataPlane.readBlob(known, blobRange, signal);
      } catch (error) {
        // A node that restarted knows its old tokens no more, and may listen elsewhere.
        this.#grants.delete(key);
        if (!(error instanceof TroupeError) || (error.code !== "FORBIDDEN" && error.code !== "HOST_UNAVAILABLE")) throw error;
      }
    }
    const grant = await this.#grant(nodeId, file, signal);
    try {
      const bytes = await this.#ports.dataPlane.readBlob(grant, blobRange, signal);
      this.#grants.set(key, grant);
      return bytes;
    } catch (error) {
      // It is not whoever wants the file that is forbidden something: the node has started anew since it gave the grant.
      if (error instanceof TroupeError && error.code === "FORBIDDEN") throw silent(nodeId, error);
      throw error;
    }
  }

  async #grant(nodeId: string, { blob, sizeBytes }: LocatedFile, signal: AbortSignal): Promise<DataAccess> {
    const { blobId, path } = blob;
    try {
      return await client(this.#ports.bus, storage, { nodeId }).grantRead({ blobId, path, sizeBytes }, { signal });
    } catch (error) {
      throw isNoResponders(error) ? silent(nodeId, error) : error;
    }
  }
}

function silent(nodeId: string, cause: unknown): TroupeError {
  return new TroupeError("HOST_UNAVAILABLE", `The node ${nodeId}, which holds this file, does not answer.`, { cause, facts: { nodeId } });
}
