/** The catalog's tables, in the database `…storage`. Byte columns hold UTF-8 unless they say otherwise; times are milliseconds since 1970. */
import assert from "node:assert/strict";
import type { Generated, Kysely } from "kysely";
import type { FileDigestAlgorithm } from "../../core/digest.ts";
import type {
  Database,
  IntegerColumn,
  OptionalBytesColumn,
  OptionalIntegerColumn,
  OptionalWordColumn,
  Transaction,
} from "../../core/ports/database.ts";
import { fileTable, userShard } from "../../core/user-shard.ts";

/** A name for a blob. Key: file_id. */
export interface FileTable {
  file_id: Uint8Array;
  owner: Uint8Array;
  app: Uint8Array;
  user: Uint8Array;
  name: Uint8Array;
  content_type: Uint8Array;
  blob_id: IntegerColumn;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

/** In which table a file is. Key: file_id. */
export interface FileIdTable {
  file_id: Uint8Array;
  app: Uint8Array;
  user: Uint8Array;
  shard: IntegerColumn;
}

export type BlobState = "live" | "retired";

/** Stored content. Keys: blob_id; digest, size_bytes, live. */
export interface BlobTable {
  blob_id: IntegerColumn;
  /** BLAKE3, 32 bytes. */
  digest: Uint8Array;
  size_bytes: IntegerColumn;
  /** 1, or NULL for a tombstone, of which there may be many. */
  live: OptionalIntegerColumn;
  group_name: Uint8Array;
  path: string;
  reference_count: IntegerColumn;
  state: BlobState;
  /** Grows with each change of state. */
  generation: IntegerColumn;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

/** Other digests of a blob than its BLAKE3. Key: blob_id, algorithm. */
export interface DigestTable {
  algorithm: FileDigestAlgorithm;
  /** The digest's bytes. */
  value: Uint8Array;
  blob_id: IntegerColumn;
}

/** Which nodes hold a blob. Key: blob_id, node_id. */
export interface ReplicaTable {
  blob_id: IntegerColumn;
  node_id: Uint8Array;
  verified_time: IntegerColumn;
}

/** Uploads of which the catalog knows that they have not ended are all `receiving` here: how far they are is their journal's. */
export const KEPT_UPLOAD_STATES = ["receiving", "merged", "cancelled", "expired", "failed"] as const;
export type KeptUploadState = (typeof KEPT_UPLOAD_STATES)[number];

/** Key: upload_id. */
export interface UploadTable {
  upload_id: Uint8Array;
  file_id: Uint8Array;
  owner: Uint8Array;
  app: Uint8Array;
  user: Uint8Array;
  name: Uint8Array;
  content_type: Uint8Array;
  size_bytes: OptionalIntegerColumn;
  chunk_bytes: IntegerColumn;
  digest_algorithm: OptionalWordColumn<FileDigestAlgorithm>;
  digest_value: OptionalBytesColumn;
  host: Uint8Array;
  group_name: Uint8Array;
  epoch: IntegerColumn;
  state: KeptUploadState;
  since_time: IntegerColumn;
  /** NULL while it has not ended. */
  ended_time: OptionalIntegerColumn;
  /** JSON. */
  last_error: OptionalBytesColumn;
  /** JSON of the commit's first answer. */
  result: OptionalBytesColumn;
  /** JSON; NULL for an upload that tus has no part in. */
  tus: OptionalBytesColumn;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

/** Key: scope_name, operation_key. */
export interface OperationTable {
  scope_name: Uint8Array;
  operation_key: Uint8Array;
  /** 32 bytes. */
  request_digest: Uint8Array;
  result: Uint8Array;
  expire_time: IntegerColumn;
}

export type OutboxKind = "event" | "blob.referred" | "blob.retired";

/** What is to be told or done after a commit. Key: outbox_id. */
export interface OutboxTable {
  outbox_id: Generated<bigint>;
  kind: OutboxKind;
  /** JSON. */
  payload: Uint8Array;
  attempt_count: IntegerColumn;
  due_time: IntegerColumn;
  create_time: IntegerColumn;
}

/** What was decided when the database was made. Key: name. */
export interface MetaTable {
  name: string;
  value: IntegerColumn;
}

export interface CatalogTables {
  t_meta: MetaTable;
  t_file_01: FileTable;
  t_file_02: FileTable;
  t_file_03: FileTable;
  t_file_id: FileIdTable;
  t_blob: BlobTable;
  t_digest: DigestTable;
  t_replica: ReplicaTable;
  t_upload: UploadTable;
  t_operation: OperationTable;
  t_outbox: OutboxTable;
}

export type CatalogDatabase = Database<CatalogTables>;
export type CatalogTransaction = Transaction<CatalogTables>;
export type CatalogQuery = Kysely<CatalogTables>;

export const FILE_TABLES = ["t_file_01", "t_file_02", "t_file_03"] as const satisfies readonly (keyof CatalogTables)[];
export type FileTableName = (typeof FILE_TABLES)[number];

/** The table of a shard as `t_file_id` names it, from 1. */
export function fileTableOfShard(shard: number): FileTableName {
  const table = FILE_TABLES.find((name) => name === fileTable(shard));
  assert(table !== undefined, `a file is in one of ${FILE_TABLES.length} tables, not in ${shard}`);
  return table;
}

export function fileTableOfUser(user: string): FileTableName {
  return fileTableOfShard(userShard(user, FILE_TABLES.length));
}
