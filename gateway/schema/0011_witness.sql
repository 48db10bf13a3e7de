-- The envelope with the highest leaf of each release root that this gateway was told of or carried. mark: of the envelope; a row without
-- its mark is as good as none.
CREATE TABLE witness (root BLOB PRIMARY KEY, leaf INTEGER NOT NULL, mark BLOB NOT NULL, envelope BLOB NOT NULL);
