-- 0002: segments and what became of them, the hub that the gate belongs to, its
-- trust repository, and days that were destroyed.

-- Nothing ever filled it: no version before this one spoke to a hub. What was
-- settled stands in cut.
DROP TABLE receipt;

ALTER TABLE epoch ADD COLUMN cuts INTEGER NOT NULL DEFAULT 0;    -- number of its newest segment
ALTER TABLE gate ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;  -- segments that a hub refused for good, ever

-- Segments: where each was cut. Its bytes are made of the rows again, always the
-- same. Rows before the first that is not cut are in exactly one, erased, or
-- before the first place.
CREATE TABLE cut (
  first      INTEGER PRIMARY KEY CHECK (first > 0),         -- seqs
  last       INTEGER NOT NULL CHECK (last >= first),
  epoch      INTEGER NOT NULL REFERENCES epoch (id),
  number     INTEGER NOT NULL CHECK (number > 0),
  form       INTEGER NOT NULL,                              -- which byte form of a segment
  hour       INTEGER NOT NULL,                              -- since 1970, UTC
  day        TEXT    NOT NULL,
  venue      TEXT    NOT NULL,
  context    BLOB    NOT NULL CHECK (length(context) IN (0, 16)), -- its name; empty: no row is sealed
  carries    INTEGER NOT NULL CHECK (carries IN (0, 1)),    -- the context itself, too
  before     BLOB    NOT NULL CHECK (length(before) = 16),  -- link before the first row
  sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),  -- of its bytes
  signature  BLOB    NOT NULL CHECK (length(signature) = 64),
  state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4), -- 0 waiting, 1 stored, 2 refused, 3 set aside, 4 erased
  answer     BLOB    NOT NULL DEFAULT x'',                  -- the receipt or signed refusal
  why        TEXT    NOT NULL DEFAULT '',                   -- it was set aside
  UNIQUE (epoch, number)
) STRICT;

CREATE INDEX cut_open ON cut (first) WHERE state IN (0, 3);
CREATE INDEX cut_carries ON cut (context, hour) WHERE carries = 1;

-- At which venue the rows from "first" on were written; '' at none that anybody
-- waits for. Rows before the first line are nobody's but the gate's.
CREATE TABLE place (
  first      INTEGER PRIMARY KEY,
  venue      TEXT    NOT NULL
) STRICT;

-- One row at most: the hub. It holds private keys.
CREATE TABLE enrolment (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  url        TEXT    NOT NULL,
  pin        BLOB    NOT NULL CHECK (length(pin) = 32),
  chain      BLOB    NOT NULL,                              -- certificates, each DER after its length in 4 bytes
  tls_key    BLOB    NOT NULL,                              -- PKCS #8
  seed       BLOB    NOT NULL CHECK (length(seed) = 32),    -- of the key that signs segments
  word       TEXT    NOT NULL,                              -- six digits, while pending
  gate       TEXT    NOT NULL,
  venue      TEXT    NOT NULL,
  venue_type TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  interval   INTEGER NOT NULL,                              -- seconds between uploads
  root       BLOB    NOT NULL                               -- the first root of trust
) STRICT;

-- The trust repository: two generations of files, whose contents they share. A
-- content stands in parts of 512 KiB; one that no file names is being written,
-- or left over.
CREATE TABLE generation (
  version    INTEGER PRIMARY KEY,
  issued     INTEGER NOT NULL,
  anchor     INTEGER NOT NULL,                              -- newest offline-signed time in it
  installed  INTEGER NOT NULL
) STRICT;

CREATE TABLE file (
  version    INTEGER NOT NULL REFERENCES generation (version) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
  size       INTEGER NOT NULL,
  PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
  sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
  part       INTEGER NOT NULL,                              -- from 0
  bytes      BLOB    NOT NULL,
  PRIMARY KEY (sha256, part)
) STRICT;

-- Rows that were erased with their day, with the links between which they stood.
CREATE TABLE erased (
  first      INTEGER PRIMARY KEY,
  last       INTEGER NOT NULL CHECK (last >= first),
  before     BLOB    NOT NULL CHECK (length(before) = 16),  -- link before the first
  after      BLOB    NOT NULL CHECK (length(after) = 16)    -- link of the last
) STRICT;

CREATE TABLE erased_day (
  day        TEXT    PRIMARY KEY,
  rows       INTEGER NOT NULL,                              -- erased
  told       INTEGER NOT NULL DEFAULT 0                     -- of them, in event rows
) STRICT, WITHOUT ROWID;

-- One row at most: the keys of an enrolment whose answer has not come yet, which
-- are private. Whoever asks again with the same token must prove the same ones.
CREATE TABLE attempt (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  token      BLOB    NOT NULL CHECK (length(token) = 32),   -- SHA-256 of its secret
  tls_key    BLOB    NOT NULL,                              -- PKCS #8
  seed       BLOB    NOT NULL CHECK (length(seed) = 32)     -- of the key that signs segments
) STRICT;
