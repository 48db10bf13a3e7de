-- Certificates of gateways that a newer one took the place of, and authorities that are trusted no more, beside what authority.db says: an
-- older copy of that file may be put back. fingerprint: SHA-256 of the certificate; gateway: '' for an authority.
CREATE TABLE ended_certificates (
    fingerprint BLOB PRIMARY KEY,
    gateway TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
