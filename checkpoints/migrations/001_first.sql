-- Short integer keys inside, ids outside: a task is `number` here and a UUID for everybody else.
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE tasks(
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    context_id TEXT NOT NULL,
    goal TEXT NOT NULL,
    state TEXT NOT NULL,
    options TEXT NOT NULL,                  -- JSON: data, plan, workers, out, ...; what `start` was given
    revision INTEGER NOT NULL DEFAULT 0,    -- of the plan; 0: not planned yet
    stops TEXT NOT NULL DEFAULT '{}',       -- JSON {who: {"mode", "reason", "at"}}: the control row; empty: may run
    error TEXT,
    last_seq INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);

CREATE TABLE subtasks(
    task INTEGER NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,              -- in the plan
    type TEXT NOT NULL,
    spec TEXT NOT NULL,                     -- JSON of the plan's entry
    state TEXT NOT NULL,
    stops TEXT NOT NULL DEFAULT '{}',
    attempts INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    error TEXT,
    result INTEGER,                         -- results.number
    PRIMARY KEY(task, id)
) WITHOUT ROWID;

CREATE TABLE steps(
    task INTEGER NOT NULL,
    subtask TEXT NOT NULL,
    name TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    result INTEGER,                         -- results.number; NULL: begun, no receipt
    PRIMARY KEY(task, subtask, name)
) WITHOUT ROWID;

-- A rowid table: a WITHOUT ROWID one would put each body of a kilobyte on an overflow page of its own.
CREATE TABLE results(number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, body BLOB NOT NULL);

CREATE TABLE events(
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    type TEXT NOT NULL,
    subtask TEXT,
    data TEXT,
    PRIMARY KEY(task, seq)
) WITHOUT ROWID;

CREATE TABLE artifacts(
    task INTEGER NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY(task, name)
) WITHOUT ROWID;

-- expires_at counts on this machine's monotonic clock, so setting the clock changes nothing.
CREATE TABLE leases(task INTEGER PRIMARY KEY, token INTEGER NOT NULL, owner TEXT, expires_at REAL NOT NULL DEFAULT 0);

-- LangGraph's own tables, as langgraph-checkpoint-sqlite defines them.
CREATE TABLE checkpoints(
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT,
    type TEXT,
    checkpoint BLOB,
    metadata BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);
CREATE TABLE writes(
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task_path TEXT NOT NULL DEFAULT '',
    idx INTEGER NOT NULL,
    channel TEXT NOT NULL,
    type TEXT,
    value BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);
