/** Uploads step by step, for operations that want to come between the steps. */
import type { CreatedUpload, StoredFile } from "../../../../src/client/answers.ts";
import { ChunkLanes } from "../../../../src/client/chunk-lanes.ts";
import { mergeUpload } from "../../../../src/client/merging.ts";
import { Slots } from "../../../../src/client/slots.ts";
import type { Created, TroupeClient } from "../../../../src/client/troupe-client.ts";
import type { DigestClaim } from "../../../../src/core/digest.ts";
import { isRetryable, TroupeError } from "../../../../src/core/errors.ts";
import type { Content } from "../content.ts";
import type { Doing } from "../doing.ts";
import { pathOf } from "../home-disk.ts";
import { CHUNK_BYTES } from "./wishes.ts";

const LANES = 4;
const ROUNDS_MAX = 4;

interface CreationWish {
  readonly content: Content;
  readonly key: string;
  readonly digest?: DigestClaim;
  readonly name?: string;
}

export async function create(doing: Doing, troupe: TroupeClient, { content, key, digest, name }: CreationWish): Promise<Created> {
  const { labels, signal } = doing;
  return await doing.again(() =>
    troupe.create(
      { ...labels, ...(name === undefined ? {} : { name }), size: content.sizeBytes, chunkBytes: CHUNK_BYTES, digest, idempotencyKey: key },
      signal,
    ),
  );
}

/** Creates an upload that is to be filled. @throws {TroupeError} also when it is a file at once, which without a digest it cannot be */
export async function begin(doing: Doing, troupe: TroupeClient, wish: CreationWish): Promise<CreatedUpload> {
  const created = await create(doing, troupe, wish);
  if (created.kind === "file") throw new TroupeError("NOT_IMPLEMENTED", "An upload without a digest is a file at once.");
  return created.upload;
}

type Ranges = readonly (readonly [number, number])[];

/** Sends chunks in parallel, each until it is acknowledged. */
export async function send(doing: Doing, troupe: TroupeClient, upload: CreatedUpload, content: Content, missing: Ranges): Promise<void> {
  const { ports, signal } = doing;
  const file = await ports.disk.open(pathOf(content), "read");
  const lanes = new ChunkLanes({
    client: troupe,
    ports,
    file,
    uploadId: upload.uploadId,
    sizeBytes: content.sizeBytes,
    chunkBytes: upload.chunkBytes,
    slots: new Slots(LANES),
    signal,
    onBytes: () => undefined,
  });
  await lanes.send(missing);
}

/** Merges, and sends what turns out to be missing. */
export async function merge(doing: Doing, troupe: TroupeClient, upload: CreatedUpload, content: Content): Promise<StoredFile> {
  const { ports, signal } = doing;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const merged = await mergeUpload(troupe, ports, { uploadId: upload.uploadId, isSmall: true, signal, onState: () => undefined });
    if ("file" in merged) return merged.file;
    await send(doing, troupe, upload, content, merged.missing);
  }
  throw new TroupeError("UPLOAD_INCOMPLETE", "Chunks are missing however often they are sent.");
}

export async function sendAndMerge(doing: Doing, troupe: TroupeClient, upload: CreatedUpload, content: Content): Promise<StoredFile> {
  try {
    if (upload.state === "receiving") await send(doing, troupe, upload, content, upload.missing);
  } catch (error) {
    // Somebody who shares the upload was quicker.
    if (!(error instanceof TroupeError) || !["UPLOAD_MERGED", "UPLOAD_BUSY"].includes(error.code)) throw error;
  }
  return await merge(doing, troupe, upload, content);
}

/** One chunk as one body. */
export async function sendChunk(doing: Doing, troupe: TroupeClient, upload: CreatedUpload, index: number, content: Content): Promise<void> {
  const bytes = content.span(index * upload.chunkBytes, (index + 1) * upload.chunkBytes);
  await troupe.chunk(upload.uploadId, index, bytes.length, one(bytes), doing.signal);
}

export async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/** Gives an upload up that is not needed any more; one that cannot be reached expires. */
export async function discard(doing: Doing, troupe: TroupeClient, { uploadId }: CreatedUpload): Promise<void> {
  try {
    await doing.again(() => troupe.cancel(uploadId, doing.signal));
  } catch (error) {
    if (!isRetryable(error) && !isOver(error)) throw error;
  }
}

const isOver = (error: unknown): boolean => error instanceof TroupeError && (error.status === 410 || error.code === "UPLOAD_MERGED");
