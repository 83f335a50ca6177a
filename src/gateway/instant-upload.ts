/**
 * Uploads that need no bytes: the principal has a file of the content already, and a node holds it.
 *
 * N1: what is not there and what is somebody else's are asked for in the same way, and answered in the same way: not instant.
 * N2: where the bytes cannot be had at the moment, the upload is an ordinary one, and its bytes mend what is damaged.
 */
import { catalog, type KnownContent, type LocatedFile } from "../actors/catalog/contract.ts";
import { storage } from "../actors/storage/contract.ts";
import { type CallOptions, client } from "../bus/client.ts";
import { chooseChunkBytes } from "../core/chunk-plan.ts";
import { TroupeError } from "../core/errors.ts";
import { FileIdMaker } from "../core/file-id.ts";
import { randomIdentity } from "../core/ports/random.ts";
import type { Principal } from "../core/principal.ts";
import { withRetry } from "../core/retry.ts";
import type { GatewayOptions, GatewayPorts } from "./ports.ts";
import { operationOf, type UploadWish } from "./upload-creation.ts";

const COMMIT_RETRY = { attemptsMax: 3, pauseMinMs: 50, pauseMaxMs: 500 };

export class InstantUploads {
  readonly #ports: GatewayPorts;
  readonly #options: GatewayOptions;
  readonly #fileIds: FileIdMaker;

  constructor(ports: GatewayPorts, options: GatewayOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#fileIds = new FileIdMaker(ports.clock, ports.random, options.nodeId);
  }

  /**
   * @returns the file, or `undefined` when the upload has to be an ordinary one
   * @throws {TroupeError} `IDEMPOTENCY_CONFLICT`, `BAD_CHUNK_SIZE`, and what the bus and the catalog throw
   */
  async create(wish: UploadWish, options: CallOptions & { readonly principal: Principal }): Promise<LocatedFile | undefined> {
    const { digest, idempotencyKey: _, chunkBytes, ...named } = wish;
    if (digest === undefined) return undefined;
    const { bus, clock, random, log } = this.#ports;
    const { content } = await client(bus, catalog).ownContent({ digest, sizeBytes: wish.sizeBytes }, options);
    const host = content === undefined ? undefined : await this.#holderOf(content, options);
    if (content === undefined || host === undefined) return undefined;
    const { sizeBytes, blob } = content;
    const plan = {
      ...named,
      uploadId: randomIdentity(random),
      fileId: this.#fileIds.next(wish.user),
      sizeBytes,
      digest,
      chunkBytes: chooseChunkBytes(sizeBytes, chunkBytes, this.#options.fileBytesMax),
      createdMs: clock.wallMs(),
      host,
      group: blob.group,
      operation: operationOf(options.principal, wish),
      blobId: blob.blobId,
    };
    try {
      // The upload's ID makes it the same one, should an answer be lost.
      const commit = () => client(bus, catalog).instantUpload(plan, options);
      const { file } = await withRetry(COMMIT_RETRY, this.#ports, commit, undefined, options.signal);
      if (file !== undefined) {
        const { fileId, name, owner } = file;
        log.info({ fileId, name, owner, sizeBytes }, "An upload became a file at once, without its bytes.");
      }
      return file;
    } catch (error) {
      // Deleted since it was looked for.
      if (error instanceof TroupeError && error.code === "BLOB_NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** N2. @returns a node that has the bytes */
  async #holderOf({ blob, sizeBytes }: KnownContent, options: CallOptions): Promise<string | undefined> {
    const { bus, log } = this.#ports;
    const { blobId, path, nodeIds } = blob;
    for (const nodeId of nodeIds) {
      try {
        await client(bus, storage, { nodeId }).holdBlob({ blobId, path, sizeBytes }, options);
        return nodeId;
      } catch (error) {
        if (!(error instanceof TroupeError) || options.signal?.aborted) throw error;
        log.info({ nodeId, blobId, code: error.code }, "A node does not vouch for known content; the next is asked.");
      }
    }
    return undefined;
  }
}
