-- What covers a row of sessions: a reserved sequence that went back by itself would be used twice.
ALTER TABLE sessions ADD COLUMN sum BLOB;
UPDATE sessions SET sum = session_sum(device, context, state, reserved);
