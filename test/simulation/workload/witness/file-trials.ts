/** Exchanges about files: what is known of them, their names and their end (`/api/v1/files`), and their bytes (`/files`). */
import type { TroupeError } from "../../../../src/core/errors.ts";
import type { KnownFile, Rename } from "../known-file.ts";
import type { KnownUpload } from "../known-upload.ts";
import { compare, type ToldFile } from "./acknowledged-file.ts";
import { type Asked, denied, forgotten, granted, NO_LOSS, type Trial, toldGone, violate, wished } from "./trial.ts";
import { unexplained } from "./upload-trials.ts";

export function metadata(asked: Asked, fileId: string): Trial {
  const file = asked.history.files.get(fileId);
  return {
    answered: ({ text }) => shown(asked, file, JSON.parse(text) as ToldFile),
    refused: (error) => refusal(asked, file, error),
    lost: NO_LOSS,
  };
}

export function rename(asked: Asked, fileId: string): Trial {
  const { name } = JSON.parse(asked.text) as { readonly name: string };
  const file = asked.history.files.get(fileId);
  const wish: Rename = { ...wished(asked, []), name };
  file?.renames.push(wish);
  return {
    answered({ text }) {
      granted(asked, wish);
      shown(asked, file, JSON.parse(text) as ToldFile);
    },
    refused(error) {
      denied(asked, wish);
      if (error.code === "NAME_TAKEN")
        return file === undefined || mayBeTaken(asked, file, name) ? undefined : `no other file is called ${name}`;
      return refusal(asked, file, error);
    },
    lost: () => forgotten(asked, wish),
  };
}

/** Another file of the same user may have the name. */
function mayBeTaken({ history, owner, sentMs }: Asked, { user, fileId }: KnownFile, name: string): boolean {
  const isOther = (upload: KnownUpload): boolean => upload.owner === owner && upload.user === user;
  return (
    history.uploadsInDoubt.some((upload) => isOther(upload) && upload.name === name) ||
    [...history.files.values()].some(
      (other) => other.fileId !== fileId && isOther(other.upload) && !other.mustBeGone(sentMs, "") && other.possibleNames(sentMs).has(name),
    )
  );
}

export function remove(asked: Asked, fileId: string): Trial {
  const file = asked.history.files.get(fileId);
  const wish = wished(asked, file?.owner === asked.owner ? file.deletes : []);
  return {
    answered() {
      if (file !== undefined && file.owner !== asked.owner) violate(asked, "foreign-file-deleted", `${fileId} is ${file.owner}'s`);
      if (file !== undefined && file.deletedMs !== undefined && file.deletedMs < asked.sentMs)
        violate(asked, "deleted-twice", `${fileId} had been deleted before this was asked`);
      granted(asked, wish);
    },
    refused(error) {
      if (error.code === "FILE_NOT_FOUND") toldGone(asked, wish);
      else denied(asked, wish);
      return refusal(asked, file, error);
    },
    lost: () => forgotten(asked, wish),
  };
}

export function link(asked: Asked, fileId: string): Trial {
  const file = asked.history.files.get(fileId);
  return { answered: () => shown(asked, file, { fileId }), refused: (error) => refusal(asked, file, error), lost: NO_LOSS };
}

/** A page of a listing: what it shows is there, and right. Whether all of it is shown is for whoever has all pages to say. */
export function fileListing(asked: Asked): Trial {
  return {
    answered({ text }) {
      const { history, owner } = asked;
      const { files } = JSON.parse(text) as { readonly files: readonly ToldFile[] };
      for (const told of files) {
        const file = history.files.get(told.fileId);
        if (file !== undefined) shown(asked, file, told);
        // The file of an upload whose end nobody was told of.
        else if (!history.uploadsInDoubt.some((upload) => upload.owner === owner && upload.content.sizeBytes === told.size))
          violate(asked, "file-from-nowhere", `${told.fileId} ${JSON.stringify(told.name)} is no file that was asked for`);
      }
    },
    refused: unexplained,
    lost: NO_LOSS,
  };
}

const RANGE = /^bytes=(\d+)-(\d+)$/;

/** Bytes are compared as they come, so that a wrong one is told in the event that brought it. */
export function bytes(asked: Asked, fileId: string): Trial {
  const file = asked.history.files.get(fileId);
  const [, first, last] = RANGE.exec(asked.headers["range"] ?? "") ?? [];
  let span: { readonly first: number; readonly end: number } | undefined;
  let offset = 0;
  return {
    opened({ status, headers }) {
      if (file === undefined || (status !== 200 && status !== 206)) return;
      shown(asked, file, { fileId });
      judgeTag(asked, file, status, headers["etag"]);
      const { sizeBytes } = file.content;
      span = status === 200 ? { first: 0, end: sizeBytes } : { first: Number(first), end: Math.min(sizeBytes, Number(last) + 1) };
      offset = span.first;
      if (status === 206 && headers["content-range"] !== `bytes ${span.first}-${span.end - 1}/${sizeBytes}`)
        violate(asked, "wrong-range", `bytes ${first}-${last} of ${sizeBytes} were asked for, ${headers["content-range"]} answered`);
      if (headers["content-length"] !== undefined && headers["content-length"] !== String(span.end - span.first))
        violate(asked, "wrong-length", `the answer has ${headers["content-length"]} bytes and was to have ${span.end - span.first}`);
    },
    block(block) {
      if (file === undefined || span === undefined) return;
      const wanted = file.content.span(offset, Math.min(span.end, offset + block.length));
      if (wanted.length !== block.length) violate(asked, "wrong-length", `more than the ${span.end - span.first} bytes came`);
      else if (!wanted.equals(block)) violate(asked, "wrong-bytes", `${fileId} differs in the ${block.length} bytes from ${offset}`);
      offset += block.length;
    },
    answered({ status }) {
      if (span === undefined) return;
      if (offset !== span.end)
        violate(asked, "wrong-length", `${offset - span.first} of ${span.end - span.first} bytes came, and no error (${status})`);
      else asked.world.counts.add("read.bytes", span.end - span.first);
    },
    refused(error) {
      if (error.code === "RANGE_NOT_SATISFIABLE")
        return first !== undefined && Number(first) < (file?.content.sizeBytes ?? 0) ? unexplained(error) : undefined;
      return refusal(asked, file, error);
    },
    lost: NO_LOSS,
  };
}

/** The same bytes have one tag for ever; and a range is answered only to those who have something of the same bytes. */
function judgeTag(asked: Asked, file: KnownFile, status: number, tag: string | undefined): void {
  const { fileId } = file;
  if (tag === undefined) return violate(asked, "wrong-tag", `${fileId} is shown without an entity tag`);
  if (file.tag !== undefined && file.tag !== tag) violate(asked, "wrong-tag", `${fileId} has the tag ${tag}, and had ${file.tag} before`);
  file.tag ??= tag;
  const { range, "if-range": ifRange } = asked.headers;
  if (range === undefined || ifRange === undefined) return;
  const wanted = ifRange === tag ? 206 : 200;
  if (status !== wanted) violate(asked, "wrong-range", `If-Range says ${ifRange}, the tag is ${tag}, and the answer is ${status}`);
}

/** A file is told to be there. */
function shown(asked: Asked, file: KnownFile | undefined, told: ToldFile): void {
  if (file === undefined) return;
  const { fileId } = file;
  if (file.owner !== asked.owner) return violate(asked, "foreign-file-shown", `${fileId} is ${file.owner}'s`);
  if (file.mustBeGone(asked.sentMs, asked.gateway)) violate(asked, "deleted-file-shown", `${fileId} was deleted and is shown`);
  compare(asked, file, told, false);
}

function refusal(asked: Asked, file: KnownFile | undefined, error: TroupeError): string | undefined {
  if (error.code !== "FILE_NOT_FOUND") return unexplained(error);
  if (file === undefined || file.owner !== asked.owner || file.isDeleteAsked) return undefined;
  violate(asked, "file-lost", `${file.fileId} was acknowledged, nobody asked to delete it, and it is not found`);
  return undefined;
}
