-- The way down: for whom releases are, which of them are rolled out, what devices say of them, and commands.

-- From provisioning. schema: first 8 bytes of its digest; bundle: digest of the one provisioned; both empty where not known.
CREATE TABLE device_traits (
    device BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    cohort TEXT NOT NULL,
    hardware TEXT NOT NULL,
    schema BLOB NOT NULL,
    bundle BLOB NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;

-- A release is wanted by its targets while its rollout is running. state: 'running' or 'halted'.
CREATE TABLE rollouts (
    number INT PRIMARY KEY,
    state TEXT NOT NULL,
    author TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;

-- What each device's newest sealed heartbeat names as the bundle that decides.
CREATE TABLE reports (
    device BLOB PRIMARY KEY,
    boot INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
CREATE INDEX reports_digest ON reports (digest);

-- Adoption events, as verified bodies say them. digest: of the manifest, NULL where the device could read none.
CREATE TABLE adoptions (
    device BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    event_order INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    tick_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    step INTEGER NOT NULL,
    digest BLOB,
    detail INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, epoch, event_order)
) STRICT;
CREATE INDEX adoptions_number ON adoptions (number, device);

-- raw: as sealed; NULL for a number that a device answered and this database does not know. body: the demand, answer: the outcome,
-- both JSON; verdict, answer, event_order and answered_ms are NULL until the device's event has come.
CREATE TABLE commands (
    device BLOB NOT NULL,
    number INTEGER NOT NULL,
    raw BLOB,
    body TEXT NOT NULL,
    author TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    verdict INTEGER,
    answer TEXT,
    event_order INTEGER,
    answered_ms INTEGER,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, number)
) STRICT;
CREATE INDEX commands_waiting ON commands (device, number) WHERE verdict IS NULL;
