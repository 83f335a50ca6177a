/** How uploads and files look at the HTTP edge: `size` and ISO times, whatever the actors call them. */
import type { FileRecord, LocatedFile, UploadRecord } from "../actors/catalog/contract.ts";
import type { MergedFile, UploadStatus } from "../actors/upload/contract.ts";
import { fileUrl } from "./file-url.ts";

const isoTime = (wallMs: number): string => new Date(wallMs).toISOString();

export function statusView(status: UploadStatus): Record<string, unknown> {
  const {
    uploadId,
    name,
    state,
    sinceMs,
    sizeBytes,
    chunkBytes,
    chunkCount,
    receivedCount,
    receivedBytes,
    inFlightCount,
    missing,
    followedBytes,
    lastError,
  } = status;
  return {
    uploadId,
    name,
    state,
    since: isoTime(sinceMs),
    size: sizeBytes,
    chunkBytes,
    chunkCount,
    receivedCount,
    receivedBytes,
    inFlightCount,
    followedBytes,
    missing,
    ...(status.missingTruncated ? { missingTruncated: true } : {}),
    lastError,
    ...(state === "merged" ? { fileId: status.fileId } : {}),
  };
}

/** The status of an upload that has ended, from what the catalog keeps of it: its chunks are gone or have become a file. */
export function outcomeView(record: UploadRecord): Record<string, unknown> {
  const isMerged = record.state === "merged";
  const { chunkCount } = recordView(record);
  return {
    ...recordView(record),
    receivedCount: isMerged ? (chunkCount ?? 0) : 0,
    receivedBytes: isMerged ? (record.sizeBytes ?? 0) : 0,
    inFlightCount: 0,
    missing: [],
  };
}

/** One line of a listing. */
export function recordView(record: UploadRecord) {
  const { uploadId, name, state, sinceMs, createdMs, sizeBytes, chunkBytes, lastError, fileId, app, user } = record;
  return {
    uploadId,
    name,
    app,
    user,
    state,
    since: isoTime(sinceMs),
    created: isoTime(createdMs),
    size: sizeBytes,
    chunkBytes,
    chunkCount: sizeBytes === undefined ? undefined : Math.ceil(sizeBytes / chunkBytes),
    lastError,
    ...(state === "merged" ? { fileId } : {}),
  };
}

export function mergedView(file: MergedFile, baseUrl: string): Record<string, unknown> {
  const { fileId, name, sizeBytes, digests, copies, durability } = file;
  return { fileId, name, size: sizeBytes, digest: digests, copies, durability, url: fileUrl(baseUrl, fileId, name) };
}

export function fileView(file: FileRecord | LocatedFile, baseUrl: string): Record<string, unknown> {
  const { fileId, app, user, name, sizeBytes, contentType, digests, createdMs, modifiedMs } = file;
  return {
    fileId,
    name,
    size: sizeBytes,
    contentType,
    digest: digests,
    app,
    user,
    created: isoTime(createdMs),
    modified: isoTime(modifiedMs),
    ...("blob" in file ? { copies: file.blob.nodeIds.length } : {}),
    url: fileUrl(baseUrl, fileId, name),
  };
}
