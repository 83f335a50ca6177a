-- One row a counter: every ID below next_value has been handed to some allocator.

CREATE TABLE t_id_gen (
  id_key VARBINARY(64) NOT NULL,
  next_value BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  PRIMARY KEY (id_key)
) ENGINE = InnoDB;
