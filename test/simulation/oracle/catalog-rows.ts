/**
 * What holds of the catalog's rows in every committed state, faults or not: each rule is a question for the rows that break it.
 *
 * R1: references are rows: a blob counts as many as there are files of it; with none it is retired, for good.
 * R2: a file has its blob, its ID and its upload, which ended with it; and an upload became at most one file.
 * R3: what a node has still to be told stands in the outbox: nothing is forgotten by a process that dies.
 * R4: a key stands for an upload that is there.
 */
import { type Breach, type Rows, textIn } from "./breach.ts";

const FILES =
  "(SELECT 1 AS shard, * FROM t_file_01 UNION ALL SELECT 2 AS shard, * FROM t_file_02 UNION ALL SELECT 3 AS shard, * FROM t_file_03)";
/** SQLite reads JSON from text. */
const json = (column: string, path: string): string => `json_extract(CAST(${column} AS TEXT), '${path}')`;

interface RowRule {
  readonly rule: string;
  /** Selects what breaks it: `id`, and what else is worth telling. */
  readonly broken: string;
  readonly sentence: string;
}

const ROW_RULES: readonly RowRule[] = [
  {
    rule: "references-are-rows",
    broken: `SELECT b.blob_id AS id, b.reference_count AS counted, count(f.file_id) AS files
      FROM t_blob b LEFT JOIN ${FILES} f ON f.blob_id = b.blob_id GROUP BY b.blob_id HAVING b.reference_count <> count(f.file_id)`,
    sentence: "a blob counts other references than it has files",
  },
  {
    rule: "blob-state",
    broken: `SELECT blob_id AS id, state, live, reference_count AS counted FROM t_blob WHERE NOT (
      (state = 'live' AND live IS 1 AND reference_count > 0) OR (state = 'retired' AND live IS NULL AND reference_count = 0))`,
    sentence: "a blob is neither live with references nor retired without",
  },
  {
    rule: "file-without-blob",
    broken: `SELECT f.file_id AS id, f.blob_id AS blob FROM ${FILES} f LEFT JOIN t_blob b ON b.blob_id = f.blob_id WHERE b.live IS NOT 1`,
    sentence: "a file refers to a blob that is not live",
  },
  {
    rule: "file-without-id",
    broken: `SELECT f.file_id AS id, f.shard AS lies, i.shard AS said FROM ${FILES} f LEFT JOIN t_file_id i ON i.file_id = f.file_id
      WHERE i.shard IS NOT f.shard OR i.app <> f.app OR i.user <> f.user`,
    sentence: "a file is not where its ID says",
  },
  {
    rule: "id-without-file",
    broken: `SELECT i.file_id AS id, i.shard AS said FROM t_file_id i LEFT JOIN ${FILES} f ON f.file_id = i.file_id WHERE f.file_id IS NULL`,
    sentence: "there is an ID of a file, and no file",
  },
  {
    rule: "file-without-upload",
    broken: `SELECT f.file_id AS id, u.state AS state FROM ${FILES} f LEFT JOIN t_upload u ON u.file_id = f.file_id
      WHERE u.state IS NOT 'merged' OR u.owner <> f.owner`,
    sentence: "a file has no upload that became it",
  },
  {
    rule: "file-of-two-uploads",
    broken: "SELECT file_id AS id, count(*) AS uploads FROM t_upload GROUP BY file_id HAVING count(*) > 1",
    sentence: "two uploads would become one file",
  },
  {
    rule: "upload-end",
    broken: `SELECT upload_id AS id, state, ended_time AS ended FROM t_upload
      WHERE (state = 'receiving') <> (ended_time IS NULL) OR (state = 'merged') <> (result IS NOT NULL)`,
    sentence: "an upload has half an end",
  },
  {
    rule: "upload-of-other-file",
    broken: `SELECT upload_id AS id, ${json("result", "$.file.fileId")} AS answered FROM t_upload
      WHERE result IS NOT NULL AND ${json("result", "$.file.fileId")} <> CAST(file_id AS TEXT)`,
    sentence: "an upload answers with a file that is not its own",
  },
  {
    rule: "digest-of-retired",
    broken: "SELECT d.blob_id AS id FROM t_digest d LEFT JOIN t_blob b ON b.blob_id = d.blob_id WHERE b.live IS NOT 1",
    sentence: "a digest leads to a blob that is not live",
  },
  {
    rule: "blob-without-holder",
    broken: "SELECT b.blob_id AS id FROM t_blob b LEFT JOIN t_replica r ON r.blob_id = b.blob_id WHERE b.live IS 1 AND r.node_id IS NULL",
    sentence: "no node is known to hold a live blob",
  },
  {
    rule: "retirement-forgotten",
    broken: `SELECT r.blob_id AS id, CAST(r.node_id AS TEXT) AS node FROM t_replica r JOIN t_blob b ON b.blob_id = r.blob_id
      WHERE b.live IS NOT 1 AND NOT EXISTS (SELECT 1 FROM t_outbox o WHERE o.kind = 'blob.retired' AND ${json("o.payload", "$.blobId")} = r.blob_id)`,
    sentence: "a node still holds a retired blob, and nothing will tell it",
  },
  {
    rule: "key-without-upload",
    broken: `SELECT o.operation_key AS id, CAST(o.result AS TEXT) AS upload FROM t_operation o LEFT JOIN t_upload u ON u.upload_id = o.result
      WHERE u.upload_id IS NULL OR CAST(o.scope_name AS TEXT) <> 'upload:' || CAST(u.owner AS TEXT)`,
    sentence: "a key stands for an upload that is not there",
  },
];

/** @param rows of the database `storage` */
export function catalogBreaches(rows: Rows): Breach[] {
  return ROW_RULES.flatMap(({ rule, broken, sentence }) => {
    const [first, ...others] = rows(broken);
    if (first === undefined) return [];
    const facts = Object.entries(first).map(([name, value]) => `${name} ${value === null ? "none" : textIn(value)}`);
    return [{ rule, sentence: `${sentence}: ${facts.join(", ")}${others.length === 0 ? "" : `, and ${others.length} more`}` }];
  });
}
