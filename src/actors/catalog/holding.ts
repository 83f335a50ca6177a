/** Whether an owner has a file of a blob: a probe in each of the file tables. */
import { bytesOf } from "../../core/byte-text.ts";
import { type CatalogQuery, FILE_TABLES } from "./tables.ts";

export async function holdsFile(query: CatalogQuery, owner: string, blobId: bigint): Promise<boolean> {
  for (const table of FILE_TABLES) {
    const row = await query
      .selectFrom(table)
      .select("file_id")
      .where("blob_id", "=", blobId)
      .where("owner", "=", bytesOf(owner))
      .limit(1)
      .executeTakeFirst();
    if (row !== undefined) return true;
  }
  return false;
}
