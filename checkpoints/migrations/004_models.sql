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

-- Answers that may be used again.  `stale_at` NULL: never; `tags` are space-separated, each between spaces.
CREATE TABLE cache(
    key BLOB PRIMARY KEY,
    type TEXT NOT NULL,
    value BLOB NOT NULL,                    -- JSON
    tags TEXT NOT NULL DEFAULT '',
    made_at REAL NOT NULL,
    stale_at REAL,
    hits INTEGER NOT NULL DEFAULT 0,
    saved REAL NOT NULL DEFAULT 0           -- dollars that its making cost
) WITHOUT ROWID;
