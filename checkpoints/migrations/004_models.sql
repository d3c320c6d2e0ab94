-- What calls of a model cost.  A row is reserved before the call and settled after it, so that a budget cannot be passed;
-- one that stays reserved is of a call in flight, or of one whose process died: it may have been paid, so it counts.
CREATE TABLE spend(
    task INTEGER NOT NULL,
    subtask TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,               -- from 1, over crashes too
    at REAL NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,                     -- dollars
    state TEXT NOT NULL,                    -- reserved, counted (by the server), estimated
    PRIMARY KEY(task, subtask, step, attempt)
) WITHOUT ROWID;

-- Calls of the last minute, which all tasks of this file share a limit on.
CREATE TABLE pace(at REAL NOT NULL, model TEXT NOT NULL, tokens INTEGER NOT NULL);
CREATE INDEX pace_by_time ON pace(model, at);

-- Answers that may be used again.  A rowid table, since an answer has about a kilobyte; `key` is a SHA-256.
CREATE TABLE cache(
    number INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,                     -- of the subtask that asked
    model TEXT NOT NULL,
    value BLOB NOT NULL,                    -- JSON
    cost REAL NOT NULL,                     -- dollars that its making cost: what each hit saves
    tokens INTEGER NOT NULL,
    made_at REAL NOT NULL,
    stale_at REAL,                          -- NULL: never
    hits INTEGER NOT NULL DEFAULT 0
);

-- What an answer is about and what it was made from, so that it can be forgotten by that.
CREATE TABLE cache_tags(
    tag TEXT NOT NULL,
    entry INTEGER NOT NULL,                 -- cache.number
    PRIMARY KEY(tag, entry)
) WITHOUT ROWID;
CREATE INDEX cache_tags_by_entry ON cache_tags(entry);
