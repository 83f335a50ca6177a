/**
 * The disks of storage nodes compared with the catalog, when nothing is under way: every live blob has its files on each node that holds it,
 * and there is no other file.
 *
 * D1: beside a blob's data lie its leaf digests, all of them, and its record, which names every file of it.
 * D2: nothing is left of uploads that have ended, of blobs that were retired, or of files that were being written.
 */
import { RECORD_FORMAT_VERSION } from "../../../src/actors/storage/blob-record.ts";
import { layoutOf, leavesPath, recordPath } from "../../../src/actors/storage/layout.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../../src/core/limits.ts";
import { type Breach, type Rows, textIn } from "./breach.ts";

/** What is on the disk of one storage node. */
export interface NodeFiles {
  readonly nodeId: string;
  /** Of its data directory. */
  readonly root: string;
  /** Sizes in bytes by path. */
  readonly files: ReadonlyMap<string, number>;
  read(path: string): Uint8Array;
}

interface HeldBlob {
  readonly blobId: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly nodeId: string;
  readonly fileIds: readonly string[];
}

/** @param rows of the database `storage` */
export function storedBlobBreaches(rows: Rows, nodes: readonly NodeFiles[]): Breach[] {
  const held = heldBlobs(rows);
  const open = new Set(
    rows("SELECT upload_id, host FROM t_upload WHERE ended_time IS NULL").map(
      (row) => `${textIn(row["host"])} ${textIn(row["upload_id"])}`,
    ),
  );
  return nodes.flatMap((node) => nodeBreaches(node, held.get(node.nodeId) ?? [], open));
}

function heldBlobs(rows: Rows): Map<string, HeldBlob[]> {
  const files = Map.groupBy(
    rows(
      "SELECT blob_id, file_id FROM t_file_01 UNION ALL SELECT blob_id, file_id FROM t_file_02 UNION ALL SELECT blob_id, file_id FROM t_file_03",
    ),
    (row) => String(row["blob_id"]),
  );
  const held = rows(
    "SELECT b.blob_id, b.path, b.size_bytes, r.node_id FROM t_blob b JOIN t_replica r ON r.blob_id = b.blob_id WHERE b.live IS 1",
  ).map((row) => {
    const blobId = String(row["blob_id"]);
    return {
      blobId,
      path: textIn(row["path"]),
      sizeBytes: Number(row["size_bytes"]),
      nodeId: textIn(row["node_id"]),
      fileIds: (files.get(blobId) ?? []).map((file) => textIn(file["file_id"])),
    };
  });
  return Map.groupBy(held, (blob) => blob.nodeId);
}

function nodeBreaches(node: NodeFiles, held: readonly HeldBlob[], open: ReadonlySet<string>): Breach[] {
  const { nodeId, files } = node;
  const layout = layoutOf(node.root);
  const breaches: Breach[] = [];
  const breached = (rule: string, sentence: string): void => void breaches.push({ rule, sentence: `${nodeId}: ${sentence}` });
  const expected = new Set([layout.marker]);
  for (const { blobId, path, sizeBytes, fileIds } of held) {
    const data = `${layout.blobs}/${path}`;
    const leavesBytes = Math.ceil(sizeBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES;
    for (const name of [data, leavesPath(data), recordPath(data)]) expected.add(name);
    if (files.get(data) !== sizeBytes)
      breached("blob-missing", `blob ${blobId} has ${files.get(data) ?? "no"} bytes of ${sizeBytes} in ${data}`);
    if (files.get(leavesPath(data)) !== leavesBytes)
      breached("leaves-missing", `blob ${blobId} has ${files.get(leavesPath(data)) ?? "no"} bytes of leaf digests, not ${leavesBytes}`);
    const named = files.has(recordPath(data)) ? recordedFiles(node.read(recordPath(data))) : undefined;
    if (named === undefined) breached("record-missing", `blob ${blobId} has no record that can be read`);
    const unnamed = fileIds.find((fileId) => named?.has(fileId) === false);
    if (unnamed !== undefined) breached("record-incomplete", `the record of blob ${blobId} does not name its file ${unnamed}`);
  }
  for (const path of files.keys()) {
    if (expected.has(path)) continue;
    const [uploadId] = path.startsWith(`${layout.uploads}/`) ? path.slice(layout.uploads.length + 1).split("/") : [];
    if (uploadId !== undefined) {
      if (!open.has(`${nodeId} ${uploadId}`)) breached("upload-left", `${path} is there, and its upload has ended or is another node's`);
    } else if (path.startsWith(`${layout.retired}/`)) breached("retired-left", `${path} still waits for its blob to be removed`);
    else if (/\.(new|mending)$/.test(path)) breached("temporary-file", `${path} was being written by somebody who is not there any more`);
    else breached("orphan", `${path} belongs to nothing the catalog knows`);
  }
  return breaches;
}

/** IDs of files, or nothing when it is no record. */
function recordedFiles(bytes: Uint8Array): ReadonlySet<string> | undefined {
  const [head, ...rest] = Buffer.from(bytes).toString().split("\n").map(parsed);
  if (head?.["formatVersion"] !== RECORD_FORMAT_VERSION) return undefined;
  return new Set(
    rest.flatMap((line) => (line?.["file"] === undefined ? [] : [String((line["file"] as Record<string, unknown>)["fileId"])])),
  );
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    // Torn by a crash, and passed over.
    return undefined;
  }
}
