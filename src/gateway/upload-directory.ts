/**
 * Where an upload lives: its session on some storage node, or its record in the catalog once it has ended.
 *
 * D1: another owner's upload is one that does not exist. The catalog says whose an upload is before its session is asked anything, so
 *     that both cost the same question and get the same answer. What is remembered counts for its owner only.
 * D2: what is remembered is a hint. When the node refuses it, whoever used it forgets it ({@link UploadDirectory.forget}) and asks again.
 */
import type { LRUCache } from "lru-cache";
import { catalog, type UploadRecord } from "../actors/catalog/contract.ts";
import { upload } from "../actors/upload/contract.ts";
import { type CallOptions, client, isNoResponders } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { isIdentity } from "../core/identity.ts";
import type { DataAccess } from "../core/ports/data-plane.ts";
import type { Principal } from "../core/principal.ts";
import { ENDED_CODES, type EndedState, isEnded } from "../core/shapes.ts";
import type { GatewayPorts } from "./ports.ts";
import { remembered } from "./remembered.ts";

/** A session that answers. */
export interface LiveUpload {
  readonly uploadId: string;
  readonly access: DataAccess;
  readonly owner: string;
  readonly epoch: number;
  readonly chunkBytes: number;
  readonly sizeBytes?: number | undefined;
}

export type EndedUpload = UploadRecord & { readonly state: EndedState };

export type FoundUpload = { readonly kind: "live"; readonly upload: LiveUpload } | { readonly kind: "ended"; readonly record: EndedUpload };

export function endedError(record: EndedUpload): TroupeError {
  return new TroupeError(ENDED_CODES[record.state], undefined, {
    facts: record.lastError === undefined ? {} : { lastError: record.lastError },
  });
}

export class UploadDirectory {
  readonly #ports: GatewayPorts;
  readonly #known: LRUCache<string, LiveUpload>;

  constructor(ports: GatewayPorts) {
    this.#ports = ports;
    this.#known = remembered<LiveUpload>(ports.clock);
  }

  remember(live: LiveUpload): void {
    this.#known.set(live.uploadId, live);
  }

  forget(uploadId: string): void {
    this.#known.delete(uploadId);
  }

  /** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `HOST_UNAVAILABLE`, and what the bus throws */
  async find(uploadId: string, options: CallOptions & { readonly principal: Principal }): Promise<FoundUpload> {
    if (!isIdentity(uploadId)) throw new TroupeError("UPLOAD_NOT_FOUND");
    const known = this.#known.get(uploadId);
    if (known?.owner === options.principal.owner) return { kind: "live", upload: known };
    const record = await this.#record(uploadId, options);
    if (hasEnded(record)) return { kind: "ended", record };
    try {
      const answer = await client(this.#ports.bus, upload, { uploadId }).access({}, options);
      const live = { uploadId, ...answer };
      this.remember(live);
      return { kind: "live", upload: live };
    } catch (error) {
      if (!isNoResponders(error)) throw error;
      return { kind: "ended", record: await this.outcome(uploadId, options) };
    }
  }

  /**
   * Before the session itself is asked (D1).
   * @throws {TroupeError} `UPLOAD_NOT_FOUND`, and what the bus throws
   */
  async checkOwner(uploadId: string, options: CallOptions & { readonly principal: Principal }): Promise<void> {
    if (this.#known.get(uploadId)?.owner !== options.principal.owner) await this.#record(uploadId, options);
  }

  /**
   * How an upload ended whose session does not answer.
   * @throws {TroupeError} `UPLOAD_NOT_FOUND`; `HOST_UNAVAILABLE` when it has not ended
   */
  async outcome(uploadId: string, options: CallOptions & { readonly principal: Principal }): Promise<EndedUpload> {
    this.forget(uploadId);
    const record = await this.#record(uploadId, options);
    if (!hasEnded(record))
      throw new TroupeError(
        "HOST_UNAVAILABLE",
        `The node ${record.host}, which holds this upload, does not answer; it continues when the node is back.`,
      );
    return record;
  }

  /**
   * Why a node took no bytes for an upload: as it says, unless it only says that it does not host it. Then the upload has ended since it was
   * found, as the catalog knows, or is about to be hosted again.
   * @throws {TroupeError} as {@link find}
   */
  async whyRefused(
    error: unknown,
    { uploadId, access }: LiveUpload,
    options: CallOptions & { readonly principal: Principal },
  ): Promise<unknown> {
    if (!(error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND")) return error;
    this.forget(uploadId);
    const found = await this.find(uploadId, options);
    if (found.kind === "ended") return endedError(found.record);
    const { nodeId } = access;
    return new TroupeError("HOST_UNAVAILABLE", `The node ${nodeId}, which holds this upload, was not ready for it; send the bytes again.`, {
      cause: error,
      facts: { nodeId },
    });
  }

  async #record(uploadId: string, options: CallOptions & { readonly principal: Principal }): Promise<UploadRecord> {
    return await client(this.#ports.bus, catalog).upload({ uploadId }, options);
  }
}

function hasEnded(record: UploadRecord): record is EndedUpload {
  return isEnded(record.state);
}
