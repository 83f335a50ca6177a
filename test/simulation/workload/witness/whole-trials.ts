/** Exchanges that send a whole file as one body: `PUT /put/` and forms. */
import { KnownUpload, type UploadWish } from "../known-upload.ts";
import { acknowledged, fileIdIn } from "./acknowledged-file.ts";
import { type Asked, NO_LOSS, refusalOfUpload, type Trial, violate } from "./trial.ts";
import { unexplained } from "./upload-trials.ts";

/** @param name of the file, as the request has it */
export function wholeFile(asked: Asked, name: string): Trial {
  const { content, history, owner, operation, query, headers, sentMs: askedMs } = asked;
  if (content === undefined) throw new Error("whoever sends a file knows its content");
  const key = headers["idempotency-key"];
  let upload = key === undefined ? undefined : history.uploadOfKey(owner, key);
  if (upload === undefined) {
    const [app, user] = [query.get("app") ?? "default", query.get("user") ?? "default"];
    const isFalse = asked.lies === true;
    const labels = { owner, operation, app, user, name, content, key, askedMs };
    const wish: UploadWish = { ...labels, way: "whole", isFalse, claimsDigest: false, isPartial: false };
    upload = new KnownUpload(wish);
    history.addUpload(upload);
  }
  return {
    answered({ headers: fields, text }) {
      const fileId = fileIdIn(fields["location"]);
      if (fileId === undefined) return violate(asked, "answer-not-understood", text);
      acknowledged(asked, upload, text.startsWith("{") ? { ...JSON.parse(text), fileId } : { fileId });
    },
    refused(error) {
      if (error.code === "DIGEST_MISMATCH") return upload.isFalse ? undefined : "the body has the digest that was said";
      if (error.code === "FILE_NOT_FOUND") {
        const file = history.files.get(upload.fileId ?? "");
        return file?.isDeleteAsked === true ? undefined : "the file that came of this key is gone, and nobody asked for that";
      }
      const why = refusalOfUpload(asked, upload, error);
      return why === "unexplained" ? unexplained(error) : why;
    },
    lost: NO_LOSS,
  };
}
