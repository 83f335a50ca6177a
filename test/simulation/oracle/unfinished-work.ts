/** What is still to be done, of which everything must have been done some time after healing. */
import { type Breach, type Rows, textIn } from "./breach.ts";

/** @param rows of the database `storage` */
export function unfinishedWork(rows: Rows): Breach[] {
  return [
    ...rows("SELECT kind, attempt_count, due_time, CAST(payload AS TEXT) AS payload FROM t_outbox ORDER BY outbox_id").map((row) => ({
      rule: "outbox-not-empty",
      sentence: `${textIn(row["kind"])} was not delivered in ${row["attempt_count"]} attempts: ${textIn(row["payload"]).slice(0, 200)}`,
    })),
    ...rows("SELECT upload_id, host, epoch FROM t_upload WHERE ended_time IS NULL ORDER BY upload_id").map((row) => ({
      rule: "upload-never-ends",
      sentence: `upload ${textIn(row["upload_id"])} on ${textIn(row["host"])} is still open, in epoch ${row["epoch"]}`,
    })),
  ];
}
