/**
 * Starting an upload: a group from the tracker, then its nodes in turn until one takes it; the last is waited for longest. Where no node
 * has room any more, one that was started before with the same key is still answered, by its own.
 */
import { createHash } from "node:crypto";
import { catalog } from "../actors/catalog/contract.ts";
import { storage } from "../actors/storage/contract.ts";
import { tracker } from "../actors/tracker/contract.ts";
import { type CallOptions, client } from "../bus/client.ts";
import type { OutputOf } from "../bus/contract.ts";
import type { DigestClaim } from "../core/digest.ts";
import { type ErrorCode, TroupeError } from "../core/errors.ts";
import { CREATE_WAIT_MS, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import { randomIdentity } from "../core/ports/random.ts";
import type { Principal } from "../core/principal.ts";
import type { TusPlan } from "../core/shapes.ts";
import { currentTrace } from "../core/trace.ts";
import type { GatewayPorts } from "./ports.ts";
import type { UploadDirectory } from "./upload-directory.ts";

export interface UploadWish {
  readonly app: string;
  readonly user: string;
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes?: number | undefined;
  readonly chunkBytes?: number | undefined;
  readonly digest?: DigestClaim | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly tus?: TusPlan | undefined;
}

export type CreatedUpload = OutputOf<typeof storage, "createUpload">;

/**
 * The node did not take the upload, for a reason another one need not have. One that did not answer may have begun it: then its key makes
 * sure that another one does not begin it once more.
 */
const NEXT_NODE: ReadonlySet<ErrorCode> = new Set([
  "UNAVAILABLE",
  "HOST_UNAVAILABLE",
  "DISK_FULL",
  "DISK_FAILED",
  "BUSY",
  "OVERLOADED",
  "STOPPING",
  "TOO_MANY",
  "DEADLINE_EXCEEDED",
]);

/** @throws {TroupeError} what the tracker or the last node asked throws */
export async function createUpload(
  ports: GatewayPorts,
  uploads: UploadDirectory,
  wish: UploadWish,
  options: CallOptions & { readonly principal: Principal },
): Promise<CreatedUpload> {
  const { idempotencyKey: _, ...plan } = wish;
  const lastMs = ports.clock.nowMs() + CREATE_WAIT_MS;
  const nodes = await placeOf(ports, wish, operationOf(options.principal, wish), options);
  // Without a client's key, one of this request's own: however often a message of it arrives, and wherever, it begins one upload.
  const operation = keyedOperation(options.principal, wish, wish.idempotencyKey ?? randomIdentity(ports.random));
  let failure = new TroupeError("NO_NODES");
  for (const [index, { nodeId }] of nodes.entries()) {
    // Nobody is left to ask after the last: one that has much to do is waited for.
    const isLast = index === nodes.length - 1;
    const timeoutMs = isLast ? Math.max(REQUEST_TIMEOUT_DEFAULT_MS, lastMs - ports.clock.nowMs()) : REQUEST_TIMEOUT_DEFAULT_MS;
    try {
      const created = await client(ports.bus, storage, { nodeId }).createUpload({ ...plan, operation }, { ...options, timeoutMs });
      const { uploadId, access, epoch, chunkBytes } = created;
      currentTrace()?.belongsTo?.(uploadId);
      if (access !== undefined)
        uploads.remember({ uploadId, access, epoch, chunkBytes, owner: options.principal.owner, sizeBytes: wish.sizeBytes });
      return created;
    } catch (error) {
      if (!(error instanceof TroupeError) || !NEXT_NODE.has(error.code)) throw error;
      ports.log.info({ nodeId, code: error.code }, "A node did not take a new upload; the next is asked.");
      failure = error;
    }
  }
  throw failure;
}

/** The nodes to ask. @throws what the tracker throws, unless an upload was created with the key: then its own node is asked for it */
async function placeOf(
  ports: GatewayPorts,
  wish: UploadWish,
  operation: ReturnType<typeof operationOf>,
  options: CallOptions & { readonly principal: Principal },
): Promise<readonly { readonly nodeId: string }[]> {
  try {
    return (await client(ports.bus, tracker).place({ app: wish.app, user: wish.user, bytes: wish.sizeBytes ?? 0 }, options)).nodes;
  } catch (error) {
    if (operation === undefined || !(error instanceof TroupeError)) throw error;
    const { upload } = await client(ports.bus, catalog).createdUpload({ operation }, options);
    if (upload === undefined) throw error;
    return [{ nodeId: upload.host }];
  }
}

/** The key of a creation, if it has one, with what it stands for. */
export function operationOf(principal: Principal, wish: UploadWish): { key: string; requestDigest: string } | undefined {
  const { idempotencyKey: key } = wish;
  return key === undefined ? undefined : keyedOperation(principal, wish, key);
}

function keyedOperation(principal: Principal, wish: UploadWish, key: string): { key: string; requestDigest: string } {
  return { key, requestDigest: requestDigest(principal, wish) };
}

/** What an idempotency key stands for: every word of the request in a fixed order. */
function requestDigest(principal: Principal, wish: UploadWish): string {
  const { app, user, name, contentType, sizeBytes, chunkBytes, digest, tus } = wish;
  const words = [
    principal.owner,
    app,
    user,
    name,
    contentType,
    sizeBytes ?? null,
    chunkBytes ?? null,
    digest?.algorithm ?? null,
    digest?.value ?? null,
    // Keys of before stay what they were.
    ...(tus === undefined ? [] : [tus.metadata ?? null, tus.isPartial ?? false, tus.parts ?? null]),
  ];
  return createHash("sha256").update(JSON.stringify(words)).digest("hex");
}
