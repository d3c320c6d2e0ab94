ALTER TABLE tasks ADD COLUMN owner TEXT NOT NULL DEFAULT '';  -- whose key began it; '': whoever may open this file

-- What was said in a task, its goal first.  The same id from the same owner is the same message, however often it comes.
CREATE TABLE messages(
    task INTEGER NOT NULL,
    number INTEGER NOT NULL,                -- from 1, in the order of arrival
    id TEXT NOT NULL,                       -- as its sender gave it
    role TEXT NOT NULL,                     -- user or agent
    body TEXT NOT NULL,                     -- JSON: its parts; files by their sha256
    at REAL NOT NULL,
    PRIMARY KEY(task, number)
) WITHOUT ROWID;
CREATE INDEX messages_by_id ON messages(id);

-- Who may use the server: the SHA-256 of a key that was shown once.
CREATE TABLE keys(name TEXT PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, created_at REAL NOT NULL) WITHOUT ROWID;
