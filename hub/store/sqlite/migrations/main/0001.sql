-- Where the sequences of (device, epoch) stand. numbers and seqs count from 1.
CREATE TABLE stream (
    device BLOB NOT NULL CHECK (length(device) = 16),
    epoch  BLOB NOT NULL CHECK (length(epoch) = 8),
    venue  TEXT NOT NULL,
    number INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    head   BLOB NOT NULL CHECK (length(head) = 16),
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;

-- Numbers that never came, the seqs in them, and the links that their rows join.
CREATE TABLE gap (
    device BLOB NOT NULL,
    epoch  BLOB NOT NULL,
    "from" INTEGER NOT NULL,
    "to"   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    before BLOB NOT NULL,
    after  BLOB NOT NULL,
    open   INTEGER NOT NULL, -- 1: the stream begins with it, there is no before
    PRIMARY KEY (device, epoch, "from")
) STRICT, WITHOUT ROWID;

-- Numbers that were refused for good: they are no gap.
CREATE TABLE refused (
    device BLOB NOT NULL,
    epoch  BLOB NOT NULL,
    number INTEGER NOT NULL,
    day    TEXT NOT NULL,
    venue  TEXT NOT NULL,
    hour   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    why    INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, number)
) STRICT, WITHOUT ROWID;

-- Segments that must not reach the log.
CREATE TABLE aside (
    id     INTEGER PRIMARY KEY,
    device BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    why    TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    UNIQUE (device, sha256)
) STRICT;

-- How many of a device are kept aside, and how many more there were.
CREATE TABLE aside_count (
    device BLOB PRIMARY KEY,
    kept   INTEGER NOT NULL DEFAULT 0,
    bytes  INTEGER NOT NULL DEFAULT 0,
    more   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE gate (
    name        TEXT PRIMARY KEY,
    venue       TEXT NOT NULL,
    venue_type  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('invited', 'pending', 'active', 'revoked')),
    device      BLOB UNIQUE, -- NULL: none is enrolled
    segment_key BLOB NOT NULL DEFAULT x'',
    word        TEXT NOT NULL DEFAULT '',
    created_ms  INTEGER NOT NULL,
    enrolled_ms INTEGER NOT NULL DEFAULT 0,
    revoked_ms  INTEGER NOT NULL DEFAULT 0,
    cert_until  INTEGER NOT NULL DEFAULT 0, -- Unix ms
    cert_spki   BLOB NOT NULL DEFAULT x'',
    seen_ms     INTEGER NOT NULL DEFAULT 0,
    offset_ms   INTEGER NOT NULL DEFAULT 0,
    report      BLOB NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;

CREATE TABLE gate_venue (
    gate  TEXT NOT NULL,
    turn  INTEGER NOT NULL, -- in the order in which it came there first
    venue TEXT NOT NULL,
    PRIMARY KEY (gate, turn),
    UNIQUE (gate, venue)
) STRICT, WITHOUT ROWID;

-- All devices that were ever enrolled.
CREATE TABLE device (
    device      BLOB PRIMARY KEY CHECK (length(device) = 16),
    gate        TEXT NOT NULL,
    segment_key BLOB NOT NULL,
    enrolled_ms INTEGER NOT NULL,
    revoked_ms  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX device_gate ON device (gate);

CREATE TABLE token (
    hash        BLOB PRIMARY KEY CHECK (length(hash) = 32),
    gate        TEXT NOT NULL,
    expires_ms  INTEGER NOT NULL,
    sheet       INTEGER NOT NULL,
    ended       INTEGER NOT NULL DEFAULT 0,
    device      BLOB, -- NULL: not used yet
    segment_key BLOB,
    tls_key     BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX token_gate ON token (gate);

CREATE TABLE person (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    venues     TEXT, -- JSON; NULL: all
    serial     TEXT NOT NULL,
    until_ms   INTEGER NOT NULL,
    revoked_ms INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trust (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE trust_generation (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO trust_generation VALUES (1, 0);

CREATE TABLE alarm (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    gate      TEXT NOT NULL,
    venue     TEXT NOT NULL,
    text      TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    last_ms   INTEGER NOT NULL,
    closed_ms INTEGER, -- NULL: open
    by        TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX alarm_open ON alarm (kind, gate) WHERE closed_ms IS NULL;

CREATE TABLE act (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    who   TEXT NOT NULL,
    role  TEXT NOT NULL,
    what  TEXT NOT NULL,
    "on"  TEXT NOT NULL,
    venue TEXT NOT NULL,
    text  TEXT NOT NULL
) STRICT;
CREATE INDEX act_venue ON act (venue, id);

-- Days, and which file holds each. What is counted here is the day file's own
-- count as of its last commit.
CREATE TABLE day (
    id          TEXT PRIMARY KEY,
    own         INTEGER NOT NULL, -- 1: a file of its own, 0: the one that days without one share
    segments    INTEGER NOT NULL DEFAULT 0,
    bytes       INTEGER NOT NULL DEFAULT 0,
    first_hour  INTEGER NOT NULL DEFAULT 0, -- of its segments
    last_hour   INTEGER NOT NULL DEFAULT 0,
    first_count INTEGER NOT NULL DEFAULT 0, -- hours that its counts tell of
    last_count  INTEGER NOT NULL DEFAULT 0,
    destroyed   INTEGER NOT NULL DEFAULT 0,
    retired     INTEGER NOT NULL DEFAULT 0,
    dropped_ms  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- A row stands here while a dump is loaded.
CREATE TABLE loading (
    id INTEGER PRIMARY KEY CHECK (id = 1)
) STRICT;
