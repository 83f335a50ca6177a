/**
 * Looking for content by a digest, before any of its bytes have come.
 *
 * K1: content that is not there and content that is somebody else's take the same statements with the same number of probes, and give
 *     the same answer.
 * K2: a digest that stands for several blobs of the principal's (MD5 and SHA-1 can be made to) stands for none.
 */
import { textOf } from "../../core/byte-text.ts";
import type { DigestClaim, FileDigestAlgorithm } from "../../core/digest.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { KnownContent } from "./contract.ts";
import { bytesOfHex, loadDigests, loadNodeIds } from "./file-row.ts";
import { holdsFile } from "./holding.ts";
import type { CatalogPorts } from "./ports.ts";
import type { CatalogQuery } from "./tables.ts";

export interface ContentWanted {
  readonly digest: DigestClaim;
  readonly sizeBytes?: number | undefined;
}

export interface ContentFound {
  readonly content?: KnownContent;
}

/** Blobs of one digest that are looked at: of an algorithm for which nobody finds two contents, one. */
const CANDIDATES = { blake3: 1, sha256: 1, sha1: 4, md5: 4 } as const satisfies Record<FileDigestAlgorithm, number>;
/** No blob has it: a probe that finds nothing stands in for a candidate that is not there (K1). */
const NO_BLOB = -1n;

/** Content of which the principal has a file. */
export function findOwnContent(ports: CatalogPorts, principal: Principal, wanted: ContentWanted): Promise<ContentFound> {
  return ports.database.read(async (query) => {
    const candidates = await candidatesOf(query, wanted.digest);
    const probes = Array.from({ length: CANDIDATES[wanted.digest.algorithm] }, (_, index) => candidates[index] ?? NO_BLOB);
    const own: bigint[] = [];
    for (const blobId of probes) if (await holdsFile(query, principal.owner, blobId)) own.push(blobId);
    // K2
    return own.length === 1 ? await loadContent(query, own[0] as bigint, wanted.sizeBytes) : {};
  });
}

/** Content of anybody's: what a proof of possession is measured by. */
export function findProvableContent(ports: CatalogPorts, wanted: ContentWanted): Promise<ContentFound> {
  return ports.database.read(async (query) => {
    const [blobId] = await candidatesOf(query, wanted.digest);
    return blobId === undefined ? {} : await loadContent(query, blobId, wanted.sizeBytes);
  });
}

/** Live blobs with the digest: from the index alone, so that one that is there costs no more than one that is not (K1). */
async function candidatesOf(query: CatalogQuery, { algorithm, value: hex }: DigestClaim): Promise<bigint[]> {
  const value = bytesOfHex(hex);
  const limit = CANDIDATES[algorithm];
  const rows =
    algorithm === "blake3"
      ? await query.selectFrom("t_blob").select("blob_id").where("digest", "=", value).where("live", "=", 1n).limit(limit).execute()
      : // A blob that is retired loses its rows here.
        await query
          .selectFrom("t_digest")
          .select("blob_id")
          .where("algorithm", "=", algorithm)
          .where("value", "=", value)
          .limit(limit)
          .execute();
  return rows.map((row) => row.blob_id);
}

/** Nothing for another size than is wanted, and for a blob that has been retired meanwhile. */
async function loadContent(query: CatalogQuery, blobId: bigint, sizeBytes: number | undefined): Promise<ContentFound> {
  const row = await query
    .selectFrom("t_blob")
    .select(["blob_id", "digest", "size_bytes", "path", "group_name"])
    .where("blob_id", "=", blobId)
    .where("live", "=", 1n)
    .executeTakeFirst();
  const digests = row === undefined ? undefined : (await loadDigests(query, [row])).get(blobId);
  if (row === undefined || digests === undefined) return {};
  const heldBytes = safeInteger(row.size_bytes);
  if (sizeBytes !== undefined && sizeBytes !== heldBytes) return {};
  const blob = {
    blobId: safeInteger(blobId),
    path: row.path,
    group: textOf(row.group_name),
    nodeIds: await loadNodeIds(query, blobId),
  };
  return { content: { sizeBytes: heldBytes, digests, blob } };
}
