/** What is still to be done, of which everything must have been done some time after healing. */
import { layoutOf } from "../../../src/actors/storage/layout.ts";
import { type Breach, type Rows, textIn } from "./breach.ts";
import type { NodeFiles } from "./stored-blobs.ts";

/** @param rows of the database `storage` */
export const unfinishedWork = (rows: Rows): Breach[] => [...undelivered(rows), ...openUploads(rows).map(neverEnds)];

/**
 * The same, while nodes go on as they are. Then one thing may stay: an upload whose creation failed when the catalog had heard of it and did
 * not hear that it failed. It has no folder, so no session ends it, and its node looks for such rows only when it starts. Nobody was ever
 * told of one.
 *
 * @param isTold a client knows the upload
 */
export function hostedUnfinishedWork(rows: Rows, nodes: readonly NodeFiles[], isTold: (uploadId: string) => boolean): Breach[] {
  const folders = new Map(nodes.map(({ nodeId, root, files }) => [nodeId, { files, uploads: layoutOf(root).uploads }]));
  const mustEnd = ({ uploadId, host }: OpenUpload): boolean => {
    const folder = folders.get(host);
    return isTold(uploadId) || folder?.files.has(`${folder.uploads}/${uploadId}/journal`) === true;
  };
  return [...undelivered(rows), ...openUploads(rows).filter(mustEnd).map(neverEnds)];
}

const undelivered = (rows: Rows): Breach[] =>
  rows("SELECT kind, attempt_count, CAST(payload AS TEXT) AS payload FROM t_outbox ORDER BY outbox_id").map((row) => ({
    rule: "outbox-not-empty",
    sentence: `${textIn(row["kind"])} was not delivered in ${row["attempt_count"]} attempts: ${textIn(row["payload"]).slice(0, 200)}`,
  }));

interface OpenUpload {
  readonly uploadId: string;
  readonly host: string;
  readonly epoch: string;
}

const openUploads = (rows: Rows): OpenUpload[] =>
  rows("SELECT upload_id, host, epoch FROM t_upload WHERE ended_time IS NULL ORDER BY upload_id").map((row) => ({
    uploadId: textIn(row["upload_id"]),
    host: textIn(row["host"]),
    epoch: String(row["epoch"]),
  }));

const neverEnds = ({ uploadId, host, epoch }: OpenUpload): Breach => ({
  rule: "upload-never-ends",
  sentence: `upload ${uploadId} on ${host} is still open, in epoch ${epoch}`,
});
