-- Which release root stands in the place of which, as devices are ordered to take it; and roots that sign nothing any more.
-- What a replacement says is proved by its own bytes: body is a COSE_Sign1 by signer, digest its SHA-256. Rows are added, never changed.
CREATE TABLE root_replacements (
    digest BLOB PRIMARY KEY,
    replaced BLOB NOT NULL,
    public BLOB NOT NULL,
    signer BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    body BLOB NOT NULL,
    author TEXT NOT NULL,
    published_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE roots_retired (id BLOB PRIMARY KEY, author TEXT NOT NULL, retired_ms INTEGER NOT NULL) STRICT;
