-- 0001: rows, chain, trust, time and counts of one gate.
-- All times are UTC Unix milliseconds unless the comment says otherwise.

-- One row: where the sequence and the chain stand. Written with every commit.
CREATE TABLE head (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  seq        INTEGER NOT NULL CHECK (seq >= 0),             -- newest row, 0 none
  link       BLOB    NOT NULL CHECK (length(link) = 16)     -- its link
) STRICT;

-- One row: what changes seldom.
CREATE TABLE gate (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  born       BLOB    NOT NULL CHECK (length(born) = 8),     -- random; ties the side file to this file
  purged     INTEGER NOT NULL DEFAULT 0,                    -- rows up to here are gone
  counted    INTEGER NOT NULL DEFAULT 0,                    -- rows up to here are in hourly
  flushes    INTEGER NOT NULL DEFAULT 0,                    -- how often hourly was written
  unrecorded INTEGER NOT NULL DEFAULT 0,                    -- of the side file's count, told in count rows
  floor      INTEGER NOT NULL DEFAULT 0,                    -- surely not earlier than this
  anchor     INTEGER NOT NULL DEFAULT 0,                    -- newest offline-signed time
  ran        INTEGER NOT NULL DEFAULT 0                     -- monotonic ms run since the anchor was installed
) STRICT;

-- The rows. body is the short form of docs/formats.md, "Database file".
-- Seqs have no gap; a row here that no receipt covers is waiting to go up.
CREATE TABLE row (
  seq        INTEGER PRIMARY KEY CHECK (seq > 0),
  body       BLOB    NOT NULL
) STRICT;

-- The chain's link at every 100th row, and at the last row purged.
CREATE TABLE link (
  seq        INTEGER PRIMARY KEY,
  link       BLOB    NOT NULL CHECK (length(link) = 16)
) STRICT;

-- Who wrote the rows from "first" to before the next epoch's first.
CREATE TABLE epoch (
  id         INTEGER PRIMARY KEY,
  device     BLOB    NOT NULL CHECK (length(device) = 16),
  epoch      BLOB    NOT NULL UNIQUE CHECK (length(epoch) = 8),
  first      INTEGER NOT NULL UNIQUE,
  hardware   BLOB    NOT NULL                               -- SHA-256 of the hardware id, or empty
) STRICT;

-- Long values that many rows share; rows name them by id. run is the newest
-- seq when the program was started that made the entry: no later run uses it.
CREATE TABLE session (
  id         INTEGER PRIMARY KEY,
  run        INTEGER NOT NULL,
  boot       BLOB    NOT NULL CHECK (length(boot) = 16),
  wall       INTEGER NOT NULL,                              -- rows count from here
  mono       INTEGER NOT NULL                               -- ms since boot, and from here
) STRICT;

CREATE TABLE judge (
  id         INTEGER PRIMARY KEY,
  run        INTEGER NOT NULL,
  format     INTEGER NOT NULL,
  issuer     TEXT    NOT NULL,
  trust      INTEGER NOT NULL                               -- version
) STRICT;

CREATE TABLE context (
  id         INTEGER PRIMARY KEY,
  run        INTEGER NOT NULL,
  name       BLOB    NOT NULL UNIQUE CHECK (length(name) = 16),
  epoch      INTEGER NOT NULL REFERENCES epoch (id),
  day        TEXT    NOT NULL,
  enc        BLOB    NOT NULL,
  began      INTEGER NOT NULL                               -- ms since boot
) STRICT;

CREATE TABLE voided (
  seq        INTEGER PRIMARY KEY                            -- scan rows that a void row names
) STRICT;

-- Verdicts by hour, those with a row and those without.
CREATE TABLE hourly (
  hour       INTEGER NOT NULL,                              -- hours since 1970, UTC
  verdict    INTEGER NOT NULL,
  reason     INTEGER NOT NULL,
  rows       INTEGER NOT NULL,                              -- with a scan row
  counted    INTEGER NOT NULL,                              -- without
  told       INTEGER NOT NULL DEFAULT 0,                    -- of counted, in count rows
  PRIMARY KEY (hour, verdict, reason)
) STRICT, WITHOUT ROWID;

CREATE INDEX hourly_untold ON hourly (hour) WHERE counted > told;

CREATE TABLE trust (
  version    INTEGER PRIMARY KEY,
  key_id     TEXT    NOT NULL,
  bytes      BLOB    NOT NULL,
  installed  INTEGER NOT NULL
) STRICT;

-- Rows that are stored upstream.
CREATE TABLE receipt (
  first      INTEGER PRIMARY KEY,
  last       INTEGER NOT NULL CHECK (last >= first),
  receipt    BLOB    NOT NULL
) STRICT;
