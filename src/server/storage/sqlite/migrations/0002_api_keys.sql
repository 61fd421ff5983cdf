-- Keys of back ends that call the gateway over HTTP. The secret itself is with whoever was given it: only its SHA-256 is
-- here. `scopes` are words with commas: push,query,admin.
CREATE TABLE api_keys (
    name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
