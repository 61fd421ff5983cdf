-- Moderation: changes of a room on a second counter, removals, roles, restraints, and the audit log. An older server would serve
-- removed texts' rows as messages and ignore restraints: this schema is not compatible with it.
ALTER TABLE rooms ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
-- Only accounts send.
ALTER TABLE rooms ADD COLUMN accounts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN pinned_seq INTEGER;
ALTER TABLE rooms ADD COLUMN pinned_until INTEGER;

-- The message that this one answers, and the people that it mentions, as a JSON array.
ALTER TABLE messages ADD COLUMN re INTEGER;
ALTER TABLE messages ADD COLUMN mentions TEXT;
-- Set if it was removed. Nickname and text are empty then, so that no read can return them.
ALTER TABLE messages ADD COLUMN removed_why TEXT;
ALTER TABLE messages ADD COLUMN removed_rev INTEGER;

-- A person's messages in a room. The condition keeps the look-up of a nonce, which names no seq, in its own index.
CREATE INDEX messages_of ON messages (uid, room, seq) WHERE seq > 0;
-- Who is mentioned, for the erasure of a person.
CREATE INDEX messages_mentions ON messages (room, seq, mentions) WHERE mentions IS NOT NULL;

-- Nickname and text of removed messages, for the staff and for the undoing, until `until`.
CREATE TABLE removed_texts (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    -- The act that removed it.
    action TEXT NOT NULL,
    nickname TEXT NOT NULL,
    text TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX removed_texts_action ON removed_texts (action, room, seq);
CREATE INDEX removed_texts_until ON removed_texts (until);

-- Removals of a person's messages from `from_seq` to `upto_seq`. The mark counts at once for every read; the rows are blanked
-- in batches, from `next_seq` on. A mark whose rows are done stays until the texts end, for the undoing.
CREATE TABLE purges (
    action TEXT NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    uid TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    upto_seq INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    why TEXT NOT NULL,
    -- blanking, done, restoring
    state TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX purges_open ON purges (room, uid, rev) WHERE state = 'blanking';
CREATE INDEX purges_work ON purges (state) WHERE state <> 'done';

-- Messages as readers see them: nickname, text and mentions of a removed one are empty, also where the mark of a purge removes it.
-- `re_nickname` is that of the answered message. Every read of a message is from here.
CREATE VIEW shown_messages AS
SELECT m.room, m.seq, m.id, m.uid, m.role, m.at, m.re,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.nickname ELSE '' END AS nickname,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.text ELSE '' END AS text,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.mentions END AS mentions,
    coalesce(m.removed_why, mark.why) AS removed_why,
    coalesce(m.removed_rev, mark.rev) AS removed_rev,
    CASE WHEN m.removed_why IS NULL THEN mark.action END AS mark,
    CASE WHEN m.re IS NOT NULL THEN (
        SELECT p.nickname FROM messages AS p WHERE p.room = m.room AND p.seq = m.re AND NOT EXISTS (
            SELECT 1 FROM purges AS q
            WHERE q.room = p.room AND q.uid = p.uid AND q.state = 'blanking' AND p.seq BETWEEN q.from_seq AND q.upto_seq
        )
    ) END AS re_nickname
FROM messages AS m
LEFT JOIN purges AS mark ON mark.action = (
    SELECT q.action FROM purges AS q
    WHERE q.room = m.room AND q.uid = m.uid AND q.state = 'blanking' AND m.seq BETWEEN q.from_seq AND q.upto_seq
    ORDER BY q.rev LIMIT 1
);

-- Changes of a room after the fact. `seq` is the room's newest message at the change. `body` has no text of a message.
CREATE TABLE changes (
    room TEXT NOT NULL,
    rev INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (room, rev)
) STRICT, WITHOUT ROWID;

CREATE INDEX changes_at ON changes (at);

-- moderator and vip. The host stands in `rooms`, the owner in `people`.
CREATE TABLE roles (
    room TEXT NOT NULL,
    uid TEXT NOT NULL REFERENCES people (uid) ON DELETE CASCADE,
    role TEXT NOT NULL,
    by_uid TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (room, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX roles_uid ON roles (uid);

-- Bans, timeouts and warnings. `room` is '*' for the whole site. One is in force until `until` (NULL: for good) or until it is
-- lifted; a warning is lifted by its person, who acknowledges it.
CREATE TABLE restraints (
    id TEXT NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    uid TEXT NOT NULL,
    kind TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    -- For the person. Empty after its end.
    reason TEXT NOT NULL DEFAULT '',
    by_uid TEXT NOT NULL,
    lifted_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX restraints_of ON restraints (uid, room) WHERE lifted_at IS NULL;
CREATE INDEX restraints_room ON restraints (room, since);
CREATE INDEX restraints_uid ON restraints (uid, room);
-- Those whose reasons are still there, by their end.
CREATE INDEX restraints_ended ON restraints (coalesce(lifted_at, until)) WHERE reason <> '';

-- The audit log: one chain per room and one of the site ('*'). `hash` is SHA-256 of the previous row's hash and `body`, which
-- is canonical JSON and names no text: those are in `action_texts`, and `body` has their salted hashes.
CREATE TABLE actions (
    chain TEXT NOT NULL,
    n INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    verb TEXT NOT NULL,
    target TEXT,
    -- The caller's key of the attempt.
    nonce TEXT,
    body TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (chain, n)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX actions_nonce ON actions (actor, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX actions_target ON actions (target) WHERE target IS NOT NULL;
CREATE INDEX actions_actor ON actions (actor);

CREATE TRIGGER actions_are_not_changed BEFORE UPDATE ON actions BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER actions_are_not_deleted BEFORE DELETE ON actions BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- The newest row of each chain: a chain that was cut is shorter than this says.
CREATE TABLE chains (
    chain TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Texts of acts, with the salts of their hashes: `reason`, `title_before`, `title_after`. Erased without a change of the chain.
CREATE TABLE action_texts (
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The person that it is about.
    uid TEXT,
    text TEXT NOT NULL,
    salt BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (action, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX action_texts_until ON action_texts (until);
CREATE INDEX action_texts_uid ON action_texts (uid) WHERE uid IS NOT NULL;

-- Notes of the staff about a person in a room.
CREATE TABLE notes (
    id TEXT NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    uid TEXT NOT NULL,
    by_uid TEXT NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX notes_of ON notes (room, uid, at);
CREATE INDEX notes_until ON notes (until);
CREATE INDEX notes_uid ON notes (uid);

-- Reports of messages by viewers: one per person and message.
CREATE TABLE reports (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    by_uid TEXT NOT NULL,
    -- The author of the message.
    uid TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- Since when the staff has dealt with it.
    settled_at INTEGER,
    PRIMARY KEY (room, seq, by_uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX reports_open ON reports (room, at) WHERE settled_at IS NULL;
CREATE INDEX reports_by ON reports (by_uid, at);
CREATE INDEX reports_at ON reports (at);
CREATE INDEX reports_uid ON reports (uid);

-- Networks of guests, as keyed hashes of the room and the /24 or /56: 12 bytes of HMAC-SHA256 under a key of the week, which is
-- destroyed. Only with `moderation.network_bans = "on"`.
CREATE TABLE networks (
    room TEXT NOT NULL,
    uid TEXT NOT NULL,
    hash BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (room, uid, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX networks_at ON networks (at);
CREATE INDEX networks_uid ON networks (uid);

-- Networks of restrained guests. New guests of the same network share the restraint until `until`, 7 days at most.
CREATE TABLE network_restraints (
    room TEXT NOT NULL,
    hash BLOB NOT NULL,
    restraint TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (room, hash, restraint)
) STRICT, WITHOUT ROWID;

CREATE INDEX network_restraints_until ON network_restraints (until);
CREATE INDEX network_restraints_restraint ON network_restraints (restraint);

-- Rooms that a key is limited to, with commas; empty for all.
ALTER TABLE api_keys ADD COLUMN rooms TEXT NOT NULL DEFAULT '';

UPDATE facts SET value = CAST('7' AS BLOB) WHERE name = 'schema.compatible_from';
