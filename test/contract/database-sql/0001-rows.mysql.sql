-- A table for the conformance suite of the Database port.
CREATE TABLE IF NOT EXISTS t_row (
  name VARBINARY(64) NOT NULL,
  content VARBINARY(64) NULL,
  amount BIGINT NOT NULL,
  live BIGINT NULL,
  PRIMARY KEY (name),
  UNIQUE KEY u_row_content (content, live)
) ENGINE = InnoDB;
