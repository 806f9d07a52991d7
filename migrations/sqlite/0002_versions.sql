-- What the list of versions is made of, so that it needs no row of the log.

-- A run of edits without a long pause between them: rows `key & 0xffffffff` to `to_seq`. Sessions follow each other without
-- gaps; they are written when their rows are folded into history, and the last one grows.
CREATE TABLE sessions (
    key     INTEGER PRIMARY KEY,
    to_seq  INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL,
    -- JSON array of who wrote in it.
    authors TEXT    NOT NULL,
    crc     INTEGER NOT NULL
) STRICT;

-- Moments that somebody named, and what was done to a document as a whole. `id` is never used again.
CREATE TABLE marks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    doc        INTEGER NOT NULL REFERENCES documents (id),
    -- The state after this row; for a restore, the row that restored.
    seq        INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    author     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    -- What was restored: the state after this row.
    source_seq INTEGER,
    -- Whose text a restore brought back, see `document::history::authorship`.
    origins    BLOB,
    crc        INTEGER NOT NULL
) STRICT;

CREATE INDEX marks_of_document ON marks (doc, seq);

-- What authors call themselves, as they last said while they wrote.
CREATE TABLE people (
    author TEXT PRIMARY KEY,
    name   TEXT NOT NULL,
    color  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
