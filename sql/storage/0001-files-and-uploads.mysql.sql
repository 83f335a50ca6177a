-- Files, blobs, uploads, operations and the outbox. Names, users and identities are bytes: they compare exactly, with case and
-- trailing spaces. Our own words (states, kinds, paths) are text. Times are milliseconds since 1970.

-- What was decided when this database was made: how many t_file_NN tables there are, and the version of what its JSON columns hold.
CREATE TABLE t_meta (
  name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT INTO t_meta (name, value) VALUES ('shard_count', 3), ('format', 1);

-- A file is a name for a blob; which table it is in follows from its user.
CREATE TABLE t_file_01 (
  file_id VARBINARY(36) NOT NULL,
  owner VARBINARY(256) NOT NULL,
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  name VARBINARY(255) NOT NULL,
  content_type VARBINARY(256) NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id),
  KEY i_file_01_newest (owner, create_time, file_id),
  KEY i_file_01_name (owner, user, name),
  KEY i_file_01_time (create_time, file_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE t_file_02 (
  file_id VARBINARY(36) NOT NULL,
  owner VARBINARY(256) NOT NULL,
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  name VARBINARY(255) NOT NULL,
  content_type VARBINARY(256) NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id),
  KEY i_file_02_newest (owner, create_time, file_id),
  KEY i_file_02_name (owner, user, name),
  KEY i_file_02_time (create_time, file_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE t_file_03 (
  file_id VARBINARY(36) NOT NULL,
  owner VARBINARY(256) NOT NULL,
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  name VARBINARY(255) NOT NULL,
  content_type VARBINARY(256) NOT NULL,
  blob_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (file_id),
  KEY i_file_03_newest (owner, create_time, file_id),
  KEY i_file_03_name (owner, user, name),
  KEY i_file_03_time (create_time, file_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- A URL has only the file ID: this says in which table the file is.
CREATE TABLE t_file_id (
  file_id VARBINARY(36) NOT NULL,
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  shard BIGINT NOT NULL,
  PRIMARY KEY (file_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Stored content. Of all rows with one digest and size at most one is live (1); retired ones have NULL there and stay as tombstones.
CREATE TABLE t_blob (
  blob_id BIGINT NOT NULL,
  digest VARBINARY(32) NOT NULL,
  size_bytes BIGINT NOT NULL,
  live BIGINT NULL,
  group_name VARBINARY(64) NOT NULL,
  path VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  reference_count BIGINT NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  generation BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (blob_id),
  UNIQUE KEY u_blob_content (digest, size_bytes, live)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Other digests of a blob than the BLAKE3 it is known by.
CREATE TABLE t_digest (
  algorithm VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  value VARBINARY(64) NOT NULL,
  blob_id BIGINT NOT NULL,
  PRIMARY KEY (blob_id, algorithm),
  KEY i_digest_value (algorithm, value)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Which nodes hold a blob.
CREATE TABLE t_replica (
  blob_id BIGINT NOT NULL,
  node_id VARBINARY(64) NOT NULL,
  verified_time BIGINT NOT NULL,
  PRIMARY KEY (blob_id, node_id),
  KEY i_replica_node (node_id, blob_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Uploads: the plan, who hosts it (and since which epoch), and how it ended. last_error and result are JSON in UTF-8.
CREATE TABLE t_upload (
  upload_id VARBINARY(64) NOT NULL,
  file_id VARBINARY(36) NOT NULL,
  owner VARBINARY(256) NOT NULL,
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  name VARBINARY(255) NOT NULL,
  content_type VARBINARY(256) NOT NULL,
  size_bytes BIGINT NULL,
  chunk_bytes BIGINT NOT NULL,
  digest_algorithm VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
  digest_value VARBINARY(64) NULL,
  host VARBINARY(64) NOT NULL,
  group_name VARBINARY(64) NOT NULL,
  epoch BIGINT NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  since_time BIGINT NOT NULL,
  ended_time BIGINT NULL,
  last_error BLOB NULL,
  result BLOB NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (upload_id),
  KEY i_upload_newest (owner, create_time, upload_id),
  KEY i_upload_time (create_time, upload_id),
  KEY i_upload_ended (ended_time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Idempotent operations: what was asked under a key, and what came of it.
CREATE TABLE t_operation (
  scope_name VARBINARY(288) NOT NULL,
  operation_key VARBINARY(128) NOT NULL,
  request_digest VARBINARY(32) NOT NULL,
  result BLOB NOT NULL,
  expire_time BIGINT NOT NULL,
  PRIMARY KEY (scope_name, operation_key),
  KEY i_operation_expiry (expire_time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- What is to be told or done after a commit. A row stays until it is done; it is due at due_time.
CREATE TABLE t_outbox (
  outbox_id BIGINT NOT NULL AUTO_INCREMENT,
  kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  payload BLOB NOT NULL,
  attempt_count BIGINT NOT NULL,
  due_time BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  PRIMARY KEY (outbox_id),
  KEY i_outbox_due (kind, due_time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
