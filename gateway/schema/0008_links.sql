-- Links that the office told this gateway: of each device of its site one, or two while its secret is replaced (the new one beside the
-- old one, under another kid). An empty kid and secret: the device is of this site, and links.toml has its secret.
CREATE TABLE links (
  device BLOB NOT NULL,
  kid BLOB NOT NULL,
  secret BLOB NOT NULL,
  PRIMARY KEY (device, kid)
) WITHOUT ROWID;
-- One row once a set was told: its mark, which is also the sum of all rows above.
CREATE TABLE link_set (id INTEGER PRIMARY KEY, mark BLOB NOT NULL);
