-- In which life of this gateway's counts a total began: a row that is lost begins anew from nothing, and the office adds both up. Rows of
-- before are of the life without a name.
ALTER TABLE usage ADD COLUMN life BLOB NOT NULL DEFAULT X'0000000000000000';
