-- Files, blobs, uploads, operations and the outbox. Names, users and identities are bytes: they compare exactly, with case and
-- trailing spaces. Our own words (states, kinds, paths) are text. Times are milliseconds since 1970.

-- What was decided when this database was made: how many t_file_NN tables there are, and the version of what its JSON columns hold.
CREATE TABLE t_meta (
  name TEXT NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
) WITHOUT ROWID;

INSERT INTO t_meta (name, value) VALUES ('shard_count', 3), ('format', 1);

-- A file is a name for a blob; which table it is in follows from its user.
CREATE TABLE t_file_01 (
  file_id BLOB NOT NULL,
  owner BLOB NOT NULL,
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  name BLOB NOT NULL,
  content_type BLOB NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id)
) WITHOUT ROWID;
CREATE INDEX i_file_01_newest ON t_file_01 (owner, create_time, file_id);
CREATE INDEX i_file_01_name ON t_file_01 (owner, user, name);
CREATE INDEX i_file_01_time ON t_file_01 (create_time, file_id);

CREATE TABLE t_file_02 (
  file_id BLOB NOT NULL,
  owner BLOB NOT NULL,
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  name BLOB NOT NULL,
  content_type BLOB NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id)
) WITHOUT ROWID;
CREATE INDEX i_file_02_newest ON t_file_02 (owner, create_time, file_id);
CREATE INDEX i_file_02_name ON t_file_02 (owner, user, name);
CREATE INDEX i_file_02_time ON t_file_02 (create_time, file_id);

CREATE TABLE t_file_03 (
  file_id BLOB NOT NULL,
  owner BLOB NOT NULL,
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  name BLOB NOT NULL,
  content_type BLOB NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id)
) WITHOUT ROWID;
CREATE INDEX i_file_03_newest ON t_file_03 (owner, create_time, file_id);
CREATE INDEX i_file_03_name ON t_file_03 (owner, user, name);
CREATE INDEX i_file_03_time ON t_file_03 (create_time, file_id);

-- A URL has only the file ID: this says in which table the file is.
CREATE TABLE t_file_id (
  file_id BLOB NOT NULL,
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  shard BIGINT NOT NULL,
  PRIMARY KEY (file_id)
) WITHOUT ROWID;

-- Stored content. Of all rows with one digest and size at most one is live (1); retired ones have NULL there and stay as tombstones.
CREATE TABLE t_blob (
  blob_id BIGINT NOT NULL,
  digest BLOB NOT NULL,
  size_bytes BIGINT NOT NULL,
  live BIGINT NULL,
  group_name BLOB NOT NULL,
  path TEXT NOT NULL,
  reference_count BIGINT NOT NULL,
  state TEXT NOT NULL,
  generation BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (blob_id),
  UNIQUE (digest, size_bytes, live)
);

-- Other digests of a blob than the BLAKE3 it is known by.
CREATE TABLE t_digest (
  algorithm TEXT NOT NULL,
  value BLOB NOT NULL,
  blob_id BIGINT NOT NULL,
  PRIMARY KEY (blob_id, algorithm)
) WITHOUT ROWID;
CREATE INDEX i_digest_value ON t_digest (algorithm, value);

-- Which nodes hold a blob.
CREATE TABLE t_replica (
  blob_id BIGINT NOT NULL,
  node_id BLOB NOT NULL,
  verified_time BIGINT NOT NULL,
  PRIMARY KEY (blob_id, node_id)
) WITHOUT ROWID;
CREATE INDEX i_replica_node ON t_replica (node_id, blob_id);

-- Uploads: the plan, who hosts it (and since which epoch), and how it ended. last_error and result are JSON in UTF-8.
CREATE TABLE t_upload (
  upload_id BLOB NOT NULL,
  file_id BLOB NOT NULL,
  owner BLOB NOT NULL,
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  name BLOB NOT NULL,
  content_type BLOB NOT NULL,
  size_bytes BIGINT NULL,
  chunk_bytes BIGINT NOT NULL,
  digest_algorithm TEXT NULL,
  digest_value BLOB NULL,
  host BLOB NOT NULL,
  group_name BLOB NOT NULL,
  epoch BIGINT NOT NULL,
  state TEXT NOT NULL,
  since_time BIGINT NOT NULL,
  ended_time BIGINT NULL,
  last_error BLOB NULL,
  result BLOB NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (upload_id)
);
CREATE INDEX i_upload_newest ON t_upload (owner, create_time, upload_id);
CREATE INDEX i_upload_time ON t_upload (create_time, upload_id);
CREATE INDEX i_upload_ended ON t_upload (ended_time);

-- Idempotent operations: what was asked under a key, and what came of it.
CREATE TABLE t_operation (
  scope_name BLOB NOT NULL,
  operation_key BLOB NOT NULL,
  request_digest BLOB NOT NULL,
  result BLOB NOT NULL,
  expire_time BIGINT NOT NULL,
  PRIMARY KEY (scope_name, operation_key)
) WITHOUT ROWID;
CREATE INDEX i_operation_expiry ON t_operation (expire_time);

-- What is to be told or done after a commit. A row stays until it is done; it is due at due_time.
CREATE TABLE t_outbox (
  outbox_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  attempt_count BIGINT NOT NULL,
  due_time BIGINT NOT NULL,
  create_time BIGINT NOT NULL
);
CREATE INDEX i_outbox_due ON t_outbox (kind, due_time);
