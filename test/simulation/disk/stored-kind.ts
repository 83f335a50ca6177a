/**
 * What a path in a node's data directory holds, for faults that destroy bytes. While there is one copy, they spare what nothing could
 * replace and no digest guards: journals, blobs' records, the marker, the marks of retired blobs.
 */

/** `data`: of an upload, or of a blob. `leaves`: their digests, without which a blob is refused. */
type StoredKind = "data" | "leaves" | "other";

const UPLOAD = /\/uploads\/[\w-]+\/(data|leaves)$/;
const BLOB = /\/blobs\/\w{3}\/\w{3}\/\w{3}\/\w+_\w{3}(\.leaves)?$/;

export function storedKindOf(path: string): StoredKind {
  const upload = UPLOAD.exec(path);
  if (upload !== null) return upload[1] as "data" | "leaves";
  const blob = BLOB.exec(path);
  if (blob === null) return "other";
  return blob[1] === undefined ? "data" : "leaves";
}
