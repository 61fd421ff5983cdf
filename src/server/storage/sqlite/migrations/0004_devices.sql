-- People see their sessions and end them: a session keeps the kind of browser that it was made with, and its last day of use.
ALTER TABLE sessions ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET used_at = created_at;

-- Browsers that signed in to an account before, by the SHA-256 of a random cookie. Their log-ins do not wait behind strangers
-- who guess the password.
CREATE TABLE devices (
    uid TEXT NOT NULL REFERENCES people (uid) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (uid, hash)
) STRICT, WITHOUT ROWID;
