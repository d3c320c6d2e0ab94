-- A question is known again by its key, so a body that runs again finds its answer; `id` is what people name.
CREATE TABLE questions(
    task INTEGER NOT NULL,
    id TEXT NOT NULL,
    subtask TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,                     -- input, approval, failure
    prompt TEXT NOT NULL,
    schema TEXT,                            -- JSON schema of the answer; NULL: any JSON value
    fallback TEXT,                          -- JSON of the default answer; NULL: none
    deadline REAL,                          -- then the default is taken, or the subtask fails without one
    asked_at REAL NOT NULL,
    answer TEXT,                            -- JSON; NULL: still open
    answered_at REAL,
    answered_by TEXT,
    PRIMARY KEY(task, id)
) WITHOUT ROWID;

ALTER TABLE tasks ADD COLUMN rollback TEXT;  -- 'fail' or 'cancel': compensations are to run, and how it ends then
ALTER TABLE subtasks ADD COLUMN fingerprint BLOB;  -- of type, version, params and inputs: equal ones give equal results
