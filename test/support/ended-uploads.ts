/** Thousands of uploads that have ended, for lists: rows in the database, as nobody has the time to upload them. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Rows as uploads that have ended leave them, in the database of a server that is not running. Of each hundred one is called a needle, and
 * some of these have failed.
 */
export function addEndedUploads(dataDirectory: string, count: number): void {
  const database = new DatabaseSync(join(dataDirectory, "database", "troupe_storage.sqlite"));
  const bytes = (text: string): Buffer => Buffer.from(text);
  const insert = database.prepare(`INSERT INTO t_upload (upload_id, file_id, owner, app, user, name, content_type, size_bytes, chunk_bytes,
    host, group_name, epoch, state, since_time, ended_time, create_time, update_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`);
  const states = ["merged", "merged", "merged", "failed", "cancelled", "expired"];
  const nowMs = Date.now();
  database.exec("BEGIN");
  for (let index = 0; index < count; index += 1) {
    const timeMs = nowMs - index * 1000;
    const name = `${index % 100 === 43 ? "needle" : "camera"} ${index}.mov`;
    const row = [
      `ended-${String(index).padStart(6, "0")}`,
      String(index).padStart(36, "0"),
      "local",
      "default",
      "default",
      name,
      "video/quicktime",
    ];
    insert.run(
      ...row.map(bytes),
      1_000_000 + index,
      1024 * 1024,
      bytes("n1"),
      bytes("group001"),
      states[index % states.length] as string,
      timeMs,
      timeMs,
      timeMs,
      timeMs,
    );
  }
  database.exec("COMMIT");
  database.close();
}
