-- Is there a file of this owner on this blob? One probe in each table.
CREATE INDEX i_file_01_blob ON t_file_01 (blob_id, owner);
CREATE INDEX i_file_02_blob ON t_file_02 (blob_id, owner);
CREATE INDEX i_file_03_blob ON t_file_03 (blob_id, owner);

-- Uploads that a host has and that have not ended, in order of their IDs.
CREATE INDEX i_upload_host ON t_upload (host, ended_time, upload_id);

-- What only the tus protocol knows of an upload: JSON in UTF-8.
ALTER TABLE t_upload ADD COLUMN tus BLOB NULL;
