-- Devices that the office called revoked; none of them is served any more. It names them with every answer, so a lost row comes back.
CREATE TABLE revoked (device BLOB PRIMARY KEY) WITHOUT ROWID;
