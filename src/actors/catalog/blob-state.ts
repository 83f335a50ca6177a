/** Whether the catalog knows a blob: what a node asks before it removes one that nobody seems to have committed. */
import type { CatalogPorts } from "./ports.ts";
import type { BlobState } from "./tables.ts";

export async function showBlobState(ports: CatalogPorts, blobId: number): Promise<{ state: BlobState | "unknown" }> {
  const row = await ports.database.read((query) =>
    query.selectFrom("t_blob").select("state").where("blob_id", "=", BigInt(blobId)).executeTakeFirst(),
  );
  return { state: row?.state ?? "unknown" };
}
