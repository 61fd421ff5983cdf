-- Roomcast's first schema. Times are unix milliseconds. Ids are text because they are compared, shown and exported as text;
-- secrets are stored as SHA-256 (tokens, which are random) or argon2id (passwords, which are not).

-- Facts about this database: the hash of the one-time owner link.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Everyone who ever spoke. A guest is a person without an account name, and may take one later under the same uid.
CREATE TABLE people (
    uid TEXT NOT NULL PRIMARY KEY,
    nickname TEXT NOT NULL,
    account TEXT,
    -- The account name as it is compared, so that Ming and ming are one.
    account_key TEXT,
    password TEXT,
    -- The installation's owner, made by the one-time link: host of every room that has none.
    is_owner INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX people_account_key ON people (account_key) WHERE account_key IS NOT NULL;

CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    uid TEXT NOT NULL REFERENCES people (uid) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_uid ON sessions (uid);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE rooms (
    room TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    host TEXT REFERENCES people (uid),
    -- One life of the room's numbering: another database is another epoch.
    epoch TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX rooms_host ON rooms (host);

-- seq is 1, 2, 3 … a room, without holes: a page can tell what it has missed by counting.
CREATE TABLE messages (
    room TEXT NOT NULL REFERENCES rooms (room),
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    uid TEXT NOT NULL,
    nickname TEXT NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- The page's name for the attempt: the same again is the same message.
    nonce TEXT,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX messages_nonce ON messages (uid, nonce, room) WHERE nonce IS NOT NULL;
