-- The update log, the snapshots and the history that it is folded into, and the list of documents.
--
-- `updates.key` and `history.key` are `doc << 32 | seq`: one integer key keeps the rows of a document together and in
-- order, and SQLite finds and appends integer keys with the least work.

-- "Cosc": says whose file this is. `user_version` is the format version that `open.rs` compares.
PRAGMA application_id = 1131377507;
PRAGMA user_version = 1;

-- Facts about the database itself: `database_id`, and `probe` that readiness checks write to.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per name that was ever used. A deleted document keeps its row as a tombstone, so that its epoch is known.
CREATE TABLE documents (
    id                INTEGER PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE,
    epoch             INTEGER NOT NULL,
    -- A projection of the title inside the document, for lists.
    title             TEXT    NOT NULL,
    -- The title, or the name where there is no title, in lower case.
    search_key        TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    trashed_at        INTEGER,
    deleted_at        INTEGER,
    quarantine_reason TEXT,
    state             TEXT    NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN deleted_at IS NOT NULL THEN 'deleted'
            WHEN quarantine_reason IS NOT NULL THEN 'quarantined'
            WHEN trashed_at IS NOT NULL THEN 'trashed'
            ELSE 'live'
        END
    ) VIRTUAL
) STRICT;

-- What every commit changes, apart from `documents` and narrow: a batch over many documents then dirties few pages.
CREATE TABLE heads (
    doc       INTEGER PRIMARY KEY REFERENCES documents (id),
    head_seq  INTEGER NOT NULL,
    -- Bytes of the snapshot and of the updates after it.
    size      INTEGER NOT NULL,
    edited_at INTEGER NOT NULL
) STRICT;

-- The log: what one author did in one batch. `crc` covers the other columns, the document and its epoch.
CREATE TABLE updates (
    key       INTEGER PRIMARY KEY,
    author    TEXT    NOT NULL,
    client_id INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    crc       INTEGER NOT NULL,
    bytes     BLOB    NOT NULL
) STRICT;

-- The state after row `seq`, compressed. Rows up to `seq` are in `history`.
CREATE TABLE snapshots (
    doc   INTEGER PRIMARY KEY REFERENCES documents (id),
    seq   INTEGER NOT NULL,
    size  INTEGER NOT NULL,
    crc   INTEGER NOT NULL,
    bytes BLOB    NOT NULL
) STRICT;

-- Rows `key & 0xffffffff` to `to_seq` of the log, compressed together. Segments of a document follow each other without gaps.
CREATE TABLE history (
    key     INTEGER PRIMARY KEY,
    to_seq  INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL,
    -- JSON array of who wrote in it.
    authors TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    crc     INTEGER NOT NULL,
    bytes   BLOB    NOT NULL
) STRICT;

-- Where rows go in: a view without rows of its own, so that one statement writes to both tables. `size` is null where the
-- same batch has a later row of the document; a null key fills a place of a statement that has more than the batch.
CREATE VIEW appends (key, author, client_id, at, crc, bytes, size, edited_at) AS
    SELECT null, null, null, null, null, null, null, null WHERE false;

CREATE TRIGGER append INSTEAD OF INSERT ON appends WHEN NEW.key IS NOT NULL BEGIN
    INSERT INTO updates (key, author, client_id, at, crc, bytes)
    VALUES (NEW.key, NEW.author, NEW.client_id, NEW.at, NEW.crc, NEW.bytes);
    -- A head only moves forward.
    SELECT raise(ABORT, 'another process wrote to the database')
    FROM heads
    WHERE NEW.size IS NOT NULL AND doc = NEW.key >> 32 AND head_seq >= NEW.key & 0xffffffff;
    INSERT INTO heads (doc, head_seq, size, edited_at)
    SELECT NEW.key >> 32, NEW.key & 0xffffffff, NEW.size, NEW.edited_at
    WHERE NEW.size IS NOT NULL
    ON CONFLICT (doc) DO UPDATE
    SET head_seq = excluded.head_seq, size = excluded.size, edited_at = excluded.edited_at;
END;
