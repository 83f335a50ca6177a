/** A file as an answer tells it, compared with what was uploaded. */
import { DELETE_VISIBLE_MS_MAX } from "../../../../src/core/limits.ts";
import { KnownFile } from "../known-file.ts";
import type { KnownUpload } from "../known-upload.ts";
import { isExplained } from "./excuses.ts";
import { type Asked, ended, violate } from "./trial.ts";

/** A lookup that is remembered somewhere is as old as one of a file that was deleted. */
const NAME_KEPT_MS = DELETE_VISIBLE_MS_MAX;

/** Fields of an answer that may be there. */
export interface ToldFile {
  readonly fileId: string;
  readonly name?: unknown;
  readonly size?: unknown;
  readonly digest?: unknown;
  readonly copies?: unknown;
}

/** `/files/<ID>/name`, perhaps with a gateway before it. */
export function fileIdIn(address: string | undefined): string | undefined {
  return /\/files\/([0-9a-f]{30}[0-9]{6})(?:\/|$)/.exec(address ?? "")?.[1];
}

/** A client is told that its upload is this file. */
export function acknowledged(asked: Asked, upload: KnownUpload, told: ToldFile): void {
  const { history, world } = asked;
  const { fileId } = told;
  if (upload.fileId !== undefined && upload.fileId !== fileId)
    return violate(asked, "two-files-for-one-upload", `the upload became ${upload.fileId} before and ${fileId} now`);
  if (upload.isFalse) return violate(asked, "false-digest-accepted", `${fileId} does not have the digest that was claimed for it`);
  if (upload.isPartial) return violate(asked, "part-became-file", `${fileId} came of an upload that is part of others`);
  const known = history.files.get(fileId);
  if (known !== undefined && known.upload !== upload)
    return violate(asked, "one-file-of-two-uploads", `${fileId} was acknowledged as ${known.upload.name} before`);
  if (known === undefined) {
    if (told.copies === 0 && !upload.isCancelAsked) return violate(asked, "file-lost", `${fileId} is told to have been deleted`);
    ended(asked, upload, "merged");
    upload.fileId = fileId;
    history.addFile(new KnownFile(fileId, upload, world.nowMs));
    world.note(`${upload.uploadId === undefined ? `operation ${upload.operation}` : `upload ${upload.uploadId}`} became file ${fileId}`);
    world.counts.add("file.acknowledged");
  } else if (told.copies === 0 && !known.isDeleteAsked) {
    return violate(asked, "file-lost", `${fileId} is told to have been deleted, and nobody asked for that`);
  }
  compare(asked, history.files.get(fileId) as KnownFile, told, true);
}

/** @param orFirstName a merge that is repeated may tell the name of then */
export function compare(asked: Asked, file: KnownFile, told: ToldFile, orFirstName: boolean): void {
  const { fileId, content } = file;
  if (told.size !== undefined && told.size !== content.sizeBytes)
    violate(asked, "wrong-size", `${fileId} has ${content.sizeBytes} bytes, not ${String(told.size)}`);
  const blake3 = (told.digest as { readonly blake3?: unknown } | undefined)?.blake3;
  // Bytes that went wrong on the disk before the file was put together have the digest of what is there, and no read gives them out.
  if (blake3 !== undefined && blake3 !== content.blake3 && !isExplained(asked, "wrong-digest", file.upload))
    violate(asked, "wrong-digest", `${fileId} does not have the BLAKE3 ${String(blake3)}`);
  if (typeof told.name !== "string") return;
  const isFirst = orFirstName && told.name === file.upload.name;
  if (!isFirst && !file.possibleNames(asked.sentMs - NAME_KEPT_MS).has(told.name))
    violate(asked, "wrong-name", `${fileId} is not called ${JSON.stringify(told.name)}`);
}
