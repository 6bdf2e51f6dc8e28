-- Whose segments are here: the key's texts and ids stand once, not in each row.
CREATE TABLE source (
    id     INTEGER PRIMARY KEY,
    day    TEXT NOT NULL,
    venue  TEXT NOT NULL,
    device BLOB NOT NULL CHECK (length(device) = 16),
    epoch  BLOB NOT NULL CHECK (length(epoch) = 8),
    UNIQUE (day, venue, device, epoch)
) STRICT;

-- A rowid table: rows of kilobytes in a b-tree that is ordered by the key would
-- be moved at each insert. hour comes first in the index, so that it grows at
-- its end.
CREATE TABLE segment (
    id          INTEGER PRIMARY KEY,
    source      INTEGER NOT NULL,
    hour        INTEGER NOT NULL, -- since 1970, UTC
    number      INTEGER NOT NULL,
    first       INTEGER NOT NULL, -- seqs
    last        INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    offset_ms   INTEGER NOT NULL,
    flags       INTEGER NOT NULL,
    way         INTEGER NOT NULL,
    carries     INTEGER NOT NULL, -- 1: it brought its context
    context     BLOB NOT NULL,    -- 16 bytes, or none
    before      BLOB NOT NULL,
    head        BLOB NOT NULL,
    sha256      BLOB NOT NULL,
    plain       BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX segment_key ON segment (hour, source, number);
CREATE INDEX segment_orphan ON segment (source, context) WHERE flags & 32 != 0;

CREATE TABLE context (
    source   INTEGER NOT NULL,
    id       BLOB NOT NULL CHECK (length(id) = 16),
    began_ms INTEGER NOT NULL,
    enc      BLOB NOT NULL,
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE hourly (
    hour    INTEGER NOT NULL, -- that is told of
    source  INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    reason  INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (hour, source, verdict, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE notable (
    wall_ms INTEGER NOT NULL,
    device  BLOB NOT NULL,
    epoch   BLOB NOT NULL,
    seq     INTEGER NOT NULL,
    source  INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    quality INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    reason  INTEGER NOT NULL,
    format  INTEGER NOT NULL,
    code    INTEGER NOT NULL,
    allowed INTEGER NOT NULL,
    trust   INTEGER NOT NULL,
    "to"    INTEGER NOT NULL,
    value   INTEGER NOT NULL,
    issuer  TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (wall_ms, device, epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX notable_source ON notable (source, wall_ms);

-- How much of each day is here.
CREATE TABLE tally (
    day         TEXT PRIMARY KEY,
    segments    INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    first_hour  INTEGER NOT NULL,
    last_hour   INTEGER NOT NULL,
    first_count INTEGER NOT NULL,
    last_count  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
