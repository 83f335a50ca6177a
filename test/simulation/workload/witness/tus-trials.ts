/** Exchanges by the tus protocol: `/tus/`. */
import { TroupeError } from "../../../../src/core/errors.ts";
import { parseMetadata } from "../../../../src/gateway/tus/upload-metadata.ts";
import { KnownUpload } from "../known-upload.ts";
import { acknowledged, fileIdIn } from "./acknowledged-file.ts";
import { isExplained } from "./excuses.ts";
import {
  type Answer,
  type Asked,
  ended,
  forgotten,
  granted,
  NO_LOSS,
  refusalOfUpload,
  type Trial,
  toldGone,
  violate,
  wished,
} from "./trial.ts";
import { unexplained } from "./upload-trials.ts";

export function tusCreation(asked: Asked): Trial {
  const { content, history, owner, operation, headers, sentMs: askedMs } = asked;
  if (content === undefined) throw new Error("whoever creates an upload knows its content");
  const key = headers["idempotency-key"];
  let upload = key === undefined ? undefined : history.uploadOfKey(owner, key);
  if (upload === undefined) {
    const metadata = parseMetadata(headers["upload-metadata"] ?? "");
    const text = (word: string): string | undefined => {
      const base64 = metadata.get(word);
      return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");
    };
    const [name = "unnamed", user = "default", app = "default"] = [text("filename"), text("user"), text("app")];
    const isPartial = headers["upload-concat"] === "partial";
    const labels = { owner, operation, app, user, name, content, key, askedMs };
    upload = new KnownUpload({ ...labels, way: "tus", isFalse: false, claimsDigest: false, isPartial });
    history.addUpload(upload);
  }
  // What is put together from parts sends none of its own.
  const isFinal = headers["upload-concat"]?.startsWith("final;") === true;
  upload.isPutTogether = isFinal;
  if (isFinal) upload.parts = partsIn(headers["upload-concat"] ?? "").flatMap((uploadId) => history.upload(uploadId) ?? []);
  upload.sentBytes = Math.max(upload.sentBytes, isFinal ? content.sizeBytes : Number(headers["content-length"] ?? 0));
  return {
    answered(answer) {
      const uploadId = answer.headers["location"]?.split("/").at(-1);
      if (uploadId === undefined) return violate(asked, "answer-not-understood", "a creation without a Location");
      if (upload.uploadId !== undefined && upload.uploadId !== uploadId)
        return violate(asked, "two-uploads-for-one-key", `${upload.uploadId} was begun with this key, and now ${uploadId}`);
      history.named(upload, uploadId);
      upload.touched(asked.sentMs);
      progressTold(asked, upload, answer);
    },
    refused: (error) => refusal(asked, upload, error),
    lost: NO_LOSS,
  };
}

/** IDs in `final;/tus/one /tus/two`. */
const partsIn = (concat: string): string[] =>
  concat
    .slice("final;".length)
    .split(" ")
    .map((address) => address.split("/").at(-1) ?? "");

export function tusPatch(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  const offset = Number(asked.headers["upload-offset"]);
  const lengthBytes = Number(asked.headers["content-length"]);
  const known = upload?.offsetBytes ?? 0;
  // A body with a wrong checksum counts nothing, whoever sends it.
  if (upload !== undefined && asked.lies !== true) upload.sentBytes = Math.max(upload.sentBytes, offset + lengthBytes);
  return {
    answered(answer) {
      if (upload === undefined) return violate(asked, "foreign-upload-shown", "bytes were taken for somebody else's upload");
      if (asked.lies === true && lengthBytes > 0) return violate(asked, "wrong-accepted", "a body with another checksum was taken");
      if (answer.headers["upload-offset"] !== String(offset + lengthBytes))
        return violate(asked, "wrong-offset", `a body of ${lengthBytes} bytes from ${offset} led to ${answer.headers["upload-offset"]}`);
      upload.touched(asked.sentMs);
      progressTold(asked, upload, answer);
    },
    refused(error) {
      if (error.code !== "OFFSET_MISMATCH") return refusal(asked, upload, error);
      const at = error.facts["offset"];
      if (upload === undefined || typeof at !== "number") return undefined;
      return at === offset ? "the offset is the one it has to be" : whyNotOffset(asked, upload, at, known);
    },
    lost: NO_LOSS,
  };
}

export function tusHead(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  const known = upload === undefined ? 0 : upload.offsetBytes;
  return {
    answered(answer) {
      if (upload === undefined) return;
      if (upload.owner !== asked.owner) return violate(asked, "foreign-upload-shown", `upload ${uploadId} is ${upload.owner}'s`);
      const field = answer.headers["upload-offset"];
      const why = field === undefined ? undefined : whyNotOffset(asked, upload, Number(field), known);
      if (why !== undefined) violate(asked, "bytes-lost", why);
      progressTold(asked, upload, answer);
    },
    // Without a body it does not say which of the refusals of its status it is.
    refused(error) {
      const httpStatus = error.facts["httpStatus"];
      if (upload === undefined || upload.owner !== asked.owner) return undefined;
      const file = asked.history.files.get(upload.fileId ?? "");
      if (httpStatus === 404)
        return upload.isCancelAsked || file?.isDeleteAsked === true ? undefined : `upload ${uploadId} is there and was not found`;
      if (httpStatus !== 410) return unexplained(error);
      const isExplained = ["UPLOAD_EXPIRED", "UPLOAD_FAILED", "UPLOAD_CANCELLED"] as const;
      return isExplained.some((code) => refusal(asked, upload, new TroupeError(code)) === undefined)
        ? undefined
        : `upload ${uploadId} has ended, and nothing explains it`;
    },
    lost: NO_LOSS,
  };
}

export function tusTermination(asked: Asked, uploadId: string): Trial {
  const upload = asked.history.upload(uploadId);
  const wish = upload === undefined ? undefined : wished(asked, upload.terminations);
  return {
    answered() {
      if (upload === undefined || wish === undefined)
        return violate(asked, "foreign-upload-shown", "somebody else's upload was terminated");
      granted(asked, wish);
      // It may have become a file first, and that was deleted.
      if (upload.fileId === undefined && !upload.mayBeFile) ended(asked, upload, "cancelled");
    },
    refused(error) {
      if (wish !== undefined) (error.code === "FILE_NOT_FOUND" ? toldGone : forgotten)(asked, wish);
      return refusal(asked, upload, error);
    },
    lost() {
      if (wish !== undefined) forgotten(asked, wish);
    },
  };
}

function progressTold(asked: Asked, upload: KnownUpload, { headers }: Answer): void {
  const offset = headers["upload-offset"];
  if (offset !== undefined) upload.offsetBytes = Math.max(upload.offsetBytes, Number(offset));
  const length = headers["upload-length"];
  if (length !== undefined && length !== String(upload.content.sizeBytes))
    violate(asked, "wrong-size", `the upload has ${upload.content.sizeBytes} bytes, not ${length}`);
  const fileId = fileIdIn(headers["troupe-file"]);
  if (fileId !== undefined) acknowledged(asked, upload, { fileId });
}

/** @param knownBytes acknowledged before this was asked */
function whyNotOffset(asked: Asked, upload: KnownUpload, offset: number, knownBytes: number): string | undefined {
  if (offset > upload.sentBytes) return `${offset} bytes are told, and ${upload.sentBytes} were sent`;
  if (offset < knownBytes && !isExplained(asked, "chunk-lost", upload))
    return `${knownBytes} bytes were acknowledged, and ${offset} are told`;
  return undefined;
}

function refusal(asked: Asked, upload: KnownUpload | undefined, error: TroupeError): string | undefined {
  if (error.code === "FILE_NOT_FOUND" && upload !== undefined) {
    const file = asked.history.files.get(upload.fileId ?? "");
    return upload.isCancelAsked || file?.isDeleteAsked === true ? undefined : "the file is gone, and nobody asked for that";
  }
  const why = refusalOfUpload(asked, upload, error);
  return why === "unexplained" ? unexplained(error) : why;
}
