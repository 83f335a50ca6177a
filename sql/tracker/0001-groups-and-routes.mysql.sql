-- Groups that storage nodes have announced, and the group each user's new uploads go to.
-- Names are bytes: they compare exactly, with case and trailing spaces. Times are milliseconds since 1970.

CREATE TABLE t_group_info (
  group_name VARBINARY(64) NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (group_name)
) ENGINE = InnoDB;

CREATE TABLE t_router (
  app VARBINARY(16) NOT NULL,
  user VARBINARY(256) NOT NULL,
  group_name VARBINARY(64) NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (app, user)
) ENGINE = InnoDB;
