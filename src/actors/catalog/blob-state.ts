/**
 * Whether the catalog knows a blob: what a node asks before it removes one that nobody seems to have committed. It is read under a lock,
 * which waits for a commit that is still on its way: its node may have lost the answer already.
 */
import type { InputOf } from "../../bus/contract.ts";
import type { catalog } from "./contract.ts";
import type { CatalogPorts } from "./ports.ts";
import type { BlobState } from "./tables.ts";

export async function showBlobState(
  ports: CatalogPorts,
  { blobId, path }: InputOf<typeof catalog, "blobState">,
): Promise<{ state: BlobState | "unknown" }> {
  const row = await ports.database.transact((transaction) =>
    transaction
      .lock(transaction.query.selectFrom("t_blob").select(["state", "path"]).where("blob_id", "=", BigInt(blobId)))
      .executeTakeFirst(),
  );
  return { state: row === undefined || (path !== undefined && row.path !== path) ? "unknown" : row.state };
}
