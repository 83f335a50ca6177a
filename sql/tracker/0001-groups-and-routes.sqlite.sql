-- Groups that storage nodes have announced, and the group each user's new uploads go to.
-- Names are bytes: they compare exactly, with case and trailing spaces. Times are milliseconds since 1970.

CREATE TABLE t_group_info (
  group_name BLOB NOT NULL PRIMARY KEY,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE t_router (
  app BLOB NOT NULL,
  user BLOB NOT NULL,
  group_name BLOB NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (app, user)
) WITHOUT ROWID;
