/** Exchanges about uploads in chunks: `/api/v1/uploads`. */
import type { FileDigestAlgorithm } from "../../../../src/core/digest.ts";
import type { TroupeError } from "../../../../src/core/errors.ts";
import { isEnded, type UploadState } from "../../../../src/core/shapes.ts";
import type { Content } from "../content.ts";
import { KnownUpload } from "../known-upload.ts";
import { acknowledged, type ToldFile } from "./acknowledged-file.ts";
import { isExplained } from "./excuses.ts";
import {
  type Answer,
  type Asked,
  denied,
  ended,
  forgotten,
  granted,
  NO_LOSS,
  refusalOfUpload,
  type Trial,
  violate,
  wished,
} from "./trial.ts";

interface CreationBody {
  readonly name: string;
  readonly size?: number;
  readonly app?: string;
  readonly user?: string;
  readonly digest?: { readonly algorithm: FileDigestAlgorithm; readonly value: string };
  readonly idempotencyKey?: string;
}

interface ToldUpload {
  readonly uploadId?: string;
  readonly chunkBytes: number;
  readonly state: UploadState;
  readonly missing: readonly (readonly [number, number])[];
  readonly fileId?: string;
}

export function creation(asked: Asked): Trial {
  const { history, content } = asked;
  if (content === undefined) throw new Error("whoever creates an upload knows its content");
  const { name, size, app = "default", user = "default", digest, idempotencyKey: key } = JSON.parse(asked.text) as CreationBody;
  let upload = key === undefined ? undefined : history.uploadOfKey(asked.owner, key);
  if (upload === undefined) {
    const isFalse = digest !== undefined && digest.value !== content.digest(digest.algorithm);
    const { owner, operation, sentMs: askedMs } = asked;
    const claimsDigest = digest !== undefined;
    const wish = {
      owner,
      operation,
      app,
      user,
      name,
      content,
      way: "chunks",
      key,
      isFalse,
      claimsDigest,
      isPartial: false,
      askedMs,
    } as const;
    upload = new KnownUpload(wish);
    history.addUpload(upload);
  }
  const isSame = upload.name === name && upload.user === user && upload.app === app && upload.content.sizeBytes === size;
  const trial = created(asked, upload, () => hadContent(asked, upload));
  return {
    ...trial,
    answered(answer) {
      if (!isSame) violate(asked, "wrong-accepted", "a key that stands for another request was taken");
      trial.answered(answer);
    },
    refused: (error) => (error.code === "IDEMPOTENCY_CONFLICT" && !isSame ? undefined : trial.refused(error)),
  };
}

/** A proof of possession is answered as a creation is. */
export function proof(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  if (upload !== undefined && asked.lies !== true) upload.isProven = true;
  return created(asked, upload, () => asked.lies !== true || hadContent(asked, upload));
}

function created(asked: Asked, upload: KnownUpload | undefined, mayBeInstant: () => boolean): Trial {
  const { history } = asked;
  return {
    answered(answer) {
      if (upload === undefined) return violate(asked, "foreign-upload-shown", "somebody else's upload was answered");
      const told = JSON.parse(answer.text) as ToldUpload & ToldFile;
      if (answer.status === 200) {
        if (!mayBeInstant()) violate(asked, "possession-not-proven", "a file was made of content that the owner has not shown to have");
        return acknowledged(asked, upload, told);
      }
      const { uploadId } = told;
      if (uploadId === undefined) return violate(asked, "answer-not-understood", answer.text);
      if (upload.uploadId !== undefined && upload.uploadId !== uploadId)
        return violate(asked, "two-uploads-for-one-key", `${upload.uploadId} was begun with this key, and now ${uploadId}`);
      history.named(upload, uploadId);
      upload.chunkBytes = told.chunkBytes;
      upload.touched(asked.sentMs);
      stateTold(asked, upload, told);
    },
    refused: (error) => refusal(asked, upload, error),
    lost: NO_LOSS,
  };
}

/** Whether its owner may have a file of this content already. */
function hadContent({ history, owner }: Asked, upload: KnownUpload | undefined): boolean {
  return history.uploads.some(
    (other) => other !== upload && other.owner === owner && other.mayBeFile && other.content.blake3 === upload?.content.blake3,
  );
}

export function status(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  return {
    answered(answer) {
      if (upload === undefined) return;
      if (upload.owner !== asked.owner) return violate(asked, "foreign-upload-shown", `upload ${uploadId} is ${upload.owner}'s`);
      stateTold(asked, upload, JSON.parse(answer.text) as ToldUpload);
    },
    refused: (error) => refusal(asked, upload, error),
    lost: NO_LOSS,
  };
}

function stateTold(asked: Asked, upload: KnownUpload, told: ToldUpload): void {
  const { state, missing, fileId } = told;
  if (isEnded(state)) ended(asked, upload, state);
  else if (upload.end !== undefined && upload.end.toldMs < asked.sentMs)
    violate(asked, "upload-left-its-end", `upload ${upload.uploadId} is ${state}, and was ${upload.end.state} before`);
  upload.lastState = state;
  upload.lastStateMs = asked.sentMs;
  if (state === "merged" && fileId !== undefined && upload.fileId !== undefined && fileId !== upload.fileId)
    violate(asked, "two-files-for-one-upload", `the upload became ${upload.fileId} before and ${fileId} now`);
  for (const [first, last] of missing)
    for (let index = first; index <= last; index += 1)
      if (upload.hasChunk(index, asked.sentMs) && !isExplained(asked, "chunk-lost", upload))
        violate(asked, "chunk-lost", `chunk ${index} of ${upload.uploadId} was acknowledged and is missing`);
}

export function chunk(asked: Asked, uploadId: string, index: number): Trial {
  const { content, world } = asked;
  const upload = asked.history.upload(uploadId);
  if (content === undefined) throw new Error("whoever sends a chunk knows its content");
  const known = upload?.chunk(index);
  if (known !== undefined && !known.sent.some(({ label }) => label === content.label)) known.sent.push(content);
  const differs = (other: Content): boolean => {
    if (other.label === content.label || upload === undefined) return false;
    const [offset, end] = [index * (upload.chunkBytes ?? 0), (index + 1) * (upload.chunkBytes ?? 0)];
    return !other.span(offset, end).equals(content.span(offset, end));
  };
  return {
    answered() {
      if (upload === undefined || known === undefined)
        return violate(asked, "foreign-upload-shown", "a chunk was taken for somebody else's upload");
      if (known.acknowledged !== undefined && differs(known.acknowledged))
        return violate(asked, "chunk-overwritten", `other bytes were acknowledged for chunk ${index} before`);
      if (upload.end !== undefined && upload.end.toldMs < asked.sentMs)
        violate(asked, "upload-left-its-end", `a chunk was taken, and the upload was ${upload.end.state} before`);
      if (index >= upload.chunkCount) violate(asked, "wrong-accepted", `the upload has ${upload.chunkCount} chunks`);
      if (known.acknowledged === undefined) {
        known.acknowledged = content;
        known.acknowledgedMs = world.nowMs;
      }
      upload.touched(asked.sentMs);
    },
    refused(error) {
      if (upload === undefined || known === undefined) return refusal(asked, upload, error);
      switch (error.code) {
        case "CHUNK_CONFLICT":
          if (known.acknowledged === undefined ? known.sent.some(differs) : differs(known.acknowledged)) return undefined;
          return `nobody sent other bytes for chunk ${index}`;
        case "CHUNK_LENGTH":
          return asked.headers["content-length"] === String(upload.chunkLength(index))
            ? `chunk ${index} has the length it has to have`
            : undefined;
        case "CHUNK_OUT_OF_RANGE":
          return index < upload.chunkCount ? `the upload has ${upload.chunkCount} chunks` : undefined;
        case "DIGEST_MISMATCH":
          return asked.lies === true ? undefined : "the body has the digest that was said";
        default:
          return refusal(asked, upload, error);
      }
    },
    lost: NO_LOSS,
  };
}

export function merge(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  const wish = upload === undefined ? undefined : wished(asked, upload.merges);
  return {
    answered(answer: Answer) {
      if (upload === undefined || wish === undefined) return violate(asked, "foreign-upload-shown", "somebody else's upload was merged");
      granted(asked, wish);
      if (answer.status === 202) return;
      if (!upload.isProven && upload.fileId === undefined && !wasSent(upload))
        violate(asked, "file-of-missing-chunks", `not every chunk of ${uploadId} was ever sent`);
      acknowledged(asked, upload, JSON.parse(answer.text) as ToldFile);
    },
    refused(error) {
      if (upload === undefined || wish === undefined) return refusal(asked, upload, error);
      const isIncomplete = error.code === "UPLOAD_INCOMPLETE";
      // What lacks chunks now may have them when another request for the merge comes; this one is over.
      if (isIncomplete || isEndedOtherwise(error)) denied(asked, wish);
      else forgotten(asked, wish);
      if (isIncomplete)
        return upload.hasAllChunks(asked.sentMs) && !isExplained(asked, "chunk-lost", upload)
          ? `every chunk of ${uploadId} was acknowledged`
          : undefined;
      if (error.code === "DIGEST_MISMATCH") return upload.isFalse ? undefined : "the content has the digest that was claimed";
      if (error.code === "FILE_NOT_FOUND") {
        const file = asked.history.files.get(upload.fileId ?? "");
        return upload.isCancelAsked || file?.isDeleteAsked === true
          ? undefined
          : `the file of ${uploadId} is gone, and nobody asked for that`;
      }
      return refusal(asked, upload, error);
    },
    lost() {
      if (wish !== undefined) forgotten(asked, wish);
    },
  };
}

const isEndedOtherwise = ({ code }: TroupeError): boolean =>
  code === "DIGEST_MISMATCH" || code === "UPLOAD_CANCELLED" || code === "UPLOAD_EXPIRED" || code === "UPLOAD_FAILED";

function wasSent(upload: KnownUpload): boolean {
  for (let index = 0; index < upload.chunkCount; index += 1) if (!upload.chunks.has(index)) return false;
  return true;
}

export function cancel(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  const wish = upload === undefined ? undefined : wished(asked, upload.cancels);
  return {
    answered() {
      if (upload === undefined || wish === undefined) return violate(asked, "foreign-upload-shown", "somebody else's upload was cancelled");
      granted(asked, wish);
      ended(asked, upload, "cancelled");
    },
    refused(error) {
      if (wish !== undefined) denied(asked, wish);
      return refusal(asked, upload, error);
    },
    lost() {
      if (wish !== undefined) forgotten(asked, wish);
    },
  };
}

/** A page of an owner's uploads. */
export function uploadListing(asked: Asked): Trial {
  return {
    answered({ text }) {
      const { uploads } = JSON.parse(text) as { readonly uploads: readonly (ToldUpload & { readonly uploadId: string })[] };
      for (const { uploadId, state } of uploads) {
        const upload = asked.history.upload(uploadId);
        if (upload === undefined) continue;
        if (upload.owner !== asked.owner) violate(asked, "foreign-upload-shown", `upload ${uploadId} is ${upload.owner}'s`);
        else stateTold(asked, upload, { state, missing: [], chunkBytes: 0 });
      }
    },
    refused: unexplained,
    lost: NO_LOSS,
  };
}

export const unexplained = ({ code, detail }: TroupeError): string => `${code}: ${detail}`;

function refusal(asked: Asked, upload: KnownUpload | undefined, error: TroupeError): string | undefined {
  const why = refusalOfUpload(asked, upload, error);
  return why === "unexplained" ? unexplained(error) : why;
}
