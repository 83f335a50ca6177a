/**
 * Where an upload lives: its session on some storage node, or its record in the catalog once it has ended.
 *
 * D1: another owner's upload is one that does not exist.
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
    if (known !== undefined) return { kind: "live", upload: owned(known, options.principal) };
    try {
      const answer = await client(this.#ports.bus, upload, { uploadId }).access({}, options);
      const live = { uploadId, ...answer };
      this.remember(live);
      return { kind: "live", upload: owned(live, options.principal) };
    } catch (error) {
      if (!isNoResponders(error)) throw error;
      return { kind: "ended", record: await this.outcome(uploadId, options) };
    }
  }

  /**
   * How an upload ended whose session does not answer.
   * @throws {TroupeError} `UPLOAD_NOT_FOUND`; `HOST_UNAVAILABLE` when it has not ended
   */
  async outcome(uploadId: string, options: CallOptions & { readonly principal: Principal }): Promise<EndedUpload> {
    this.forget(uploadId);
    const record = owned(await client(this.#ports.bus, catalog).upload({ uploadId }, options), options.principal);
    const { state } = record;
    if (!isEnded(state))
      throw new TroupeError(
        "HOST_UNAVAILABLE",
        `The node ${record.host}, which holds this upload, does not answer; it continues when the node is back.`,
      );
    return { ...record, state };
  }
}

/** D1 */
export function owned<Owned extends { readonly owner: string }>(found: Owned, principal: Principal): Owned {
  if (found.owner !== principal.owner) throw new TroupeError("UPLOAD_NOT_FOUND");
  return found;
}
