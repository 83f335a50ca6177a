-- The versions of a name stand together, the newest last: folders are listed, and files found by name, from the index alone.
CREATE INDEX i_file_01_version ON t_file_01 (owner, user, name, create_time, file_id);
DROP INDEX i_file_01_name;
CREATE INDEX i_file_02_version ON t_file_02 (owner, user, name, create_time, file_id);
DROP INDEX i_file_02_name;
CREATE INDEX i_file_03_version ON t_file_03 (owner, user, name, create_time, file_id);
DROP INDEX i_file_03_name;
