-- A table for the conformance suite of the Database port.
CREATE TABLE t_row (
  name BLOB NOT NULL PRIMARY KEY,
  content BLOB NULL,
  amount BIGINT NOT NULL,
  live BIGINT NULL,
  UNIQUE (content, live)
);
