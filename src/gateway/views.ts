/** How uploads and files look at the HTTP edge: `size` and ISO times, whatever the actors call them. */
import type { FileRecord, LocatedFile, UploadRecord } from "../actors/catalog/contract.ts";
import type { MergedFile, UploadStatus } from "../actors/upload/contract.ts";
import { toldError } from "../core/problem.ts";
import { fileUrl } from "./file-url.ts";
import type { Folder, FolderPage } from "./folder-pages.ts";

const isoTime = (wallMs: number): string => new Date(wallMs).toISOString();

export function statusView(status: UploadStatus, baseUrl: string): Record<string, unknown> {
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
    expiresMs,
    lastActivityMs,
    lastError,
    file,
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
    ...(expiresMs === undefined ? {} : { expires: isoTime(expiresMs) }),
    ...(lastActivityMs === undefined ? {} : { lastActivity: isoTime(lastActivityMs) }),
    ...(lastError === undefined ? {} : { lastError: toldError(lastError) }),
    ...(state === "merged" ? { fileId: status.fileId } : {}),
    ...(file === undefined ? {} : { file: mergedView(file, baseUrl) }),
  };
}

/** The status of an upload that has ended, from what the catalog keeps of it: its chunks are gone or have become a file. */
export function outcomeView(record: UploadRecord, baseUrl: string): Record<string, unknown> {
  const { fileId, name, sizeBytes, digests, state } = record;
  const isMerged = state === "merged";
  const { chunkCount } = recordView(record);
  return {
    ...recordView(record),
    receivedCount: isMerged ? (chunkCount ?? 0) : 0,
    receivedBytes: isMerged ? (sizeBytes ?? 0) : 0,
    inFlightCount: 0,
    missing: [],
    // Where it is now, and whether it is there still, the file's own address tells.
    ...(isMerged ? { file: { fileId, name, size: sizeBytes, digest: digests, url: fileUrl(baseUrl, fileId, name) } } : {}),
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
    ...(lastError === undefined ? {} : { lastError: toldError(lastError) }),
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

/** One page of a folder, or of the users there are; names are those in the folder. */
export function folderView({ user, path }: Folder, { entries, cursor }: FolderPage, baseUrl: string): Record<string, unknown> {
  return {
    user,
    path,
    folders: entries.flatMap((entry) => (entry.kind === "folder" ? [{ name: entry.name }] : [])),
    files: entries.flatMap((entry) => {
      if (entry.kind === "folder") return [];
      const { name, fileId, sizeBytes, contentType, createdMs, modifiedMs } = entry;
      const url = fileUrl(baseUrl, fileId, `${path}${name}`);
      return [{ name, size: sizeBytes, contentType, created: isoTime(createdMs), modified: isoTime(modifiedMs), fileId, url }];
    }),
    cursor,
  };
}
