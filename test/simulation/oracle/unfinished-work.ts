/** What is still to be done, of which everything must have been done some time after healing. */
import { type Breach, type Rows, textIn } from "./breach.ts";

/** @param rows of the database `storage` */
export const unfinishedWork = (rows: Rows): Breach[] => [...undelivered(rows), ...openUploads(rows).map(neverEnds)];

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
