-- One row a counter: every ID below next_value has been handed to some allocator.

CREATE TABLE t_id_gen (
  id_key BLOB NOT NULL PRIMARY KEY,
  next_value BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL
) WITHOUT ROWID;
