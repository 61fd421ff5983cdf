-- Moderation: removals, roles, and the audit log. Heads, changes and restraints are there since the first schema. An older
-- server would ignore modes and return removed messages as empty ones: this schema is not compatible with it.
-- Only accounts send.
ALTER TABLE roomcast.rooms ADD COLUMN accounts boolean NOT NULL DEFAULT false;
ALTER TABLE roomcast.rooms ADD COLUMN pinned_seq bigint;
ALTER TABLE roomcast.rooms ADD COLUMN pinned_until bigint;

-- The message that this one answers, and the people that it mentions, as a JSON array.
ALTER TABLE roomcast.messages ADD COLUMN re bigint;
ALTER TABLE roomcast.messages ADD COLUMN mentions text;
-- Set if it was removed. Nickname and text are empty then, so that no read can return them.
ALTER TABLE roomcast.messages ADD COLUMN removed_why text COLLATE "C";
ALTER TABLE roomcast.messages ADD COLUMN removed_rev bigint;
-- The messages of a person in a room, in their order. The condition holds for all; it keeps a lookup by nonce, which does not
-- name it, from this index.
CREATE INDEX messages_of ON roomcast.messages (uid, room, seq) WHERE seq > 0;
-- Who is mentioned, for the erasure of a person.
CREATE INDEX messages_mentions ON roomcast.messages (room, seq, mentions) WHERE mentions IS NOT NULL;

-- Nickname and text of removed messages, for the staff and for the undoing, until `until`.
CREATE TABLE roomcast.removed_texts (
    room text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    -- The act that removed it.
    action uuid NOT NULL,
    nickname text NOT NULL,
    text text NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (room, seq)
);

CREATE INDEX removed_texts_action ON roomcast.removed_texts (action, room, seq);
CREATE INDEX removed_texts_until ON roomcast.removed_texts (until);

-- Removals of a person's messages from `from_seq` to `upto_seq`. The mark counts at once for every read; the rows are blanked
-- in batches, from `next_seq` on. A mark whose rows are done stays until the texts end, for the undoing.
CREATE TABLE roomcast.purges (
    action uuid PRIMARY KEY,
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    from_seq bigint NOT NULL,
    upto_seq bigint NOT NULL,
    rev bigint NOT NULL,
    why text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('blanking', 'done', 'restoring')),
    next_seq bigint NOT NULL,
    until bigint NOT NULL
);

CREATE INDEX purges_open ON roomcast.purges (room, uid) WHERE state = 'blanking';
CREATE INDEX purges_work ON roomcast.purges (state) WHERE state <> 'done';

-- Messages as readers see them: nickname, text and mentions of a removed one are empty, also where the mark of a purge removes it.
-- `re_nickname` is that of the answered message. Every read of a message is from here.
CREATE VIEW roomcast.shown_messages AS
SELECT m.room, m.seq, m.id, m.uid, m.role, m.at, m.re,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.nickname ELSE '' END AS nickname,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.text ELSE '' END AS text,
    CASE WHEN m.removed_why IS NULL AND mark.rev IS NULL THEN m.mentions END AS mentions,
    coalesce(m.removed_why, mark.why) AS removed_why,
    coalesce(m.removed_rev, mark.rev) AS removed_rev,
    CASE WHEN m.removed_why IS NULL THEN mark.action END AS mark,
    CASE WHEN m.re IS NOT NULL THEN (
        SELECT p.nickname FROM roomcast.messages AS p WHERE p.room = m.room AND p.seq = m.re AND NOT EXISTS (
            SELECT 1 FROM roomcast.purges AS q
            WHERE q.room = p.room AND q.uid = p.uid AND q.state = 'blanking' AND p.seq BETWEEN q.from_seq AND q.upto_seq
        )
    ) END AS re_nickname
FROM roomcast.messages AS m
LEFT JOIN LATERAL (
    SELECT q.action, q.why, q.rev FROM roomcast.purges AS q
    WHERE q.room = m.room AND q.uid = m.uid AND q.state = 'blanking' AND m.seq BETWEEN q.from_seq AND q.upto_seq
    ORDER BY q.rev LIMIT 1
) AS mark ON true;

CREATE INDEX changes_at ON roomcast.changes (at);
-- The text as it was stored, which a jsonb would write anew.
ALTER TABLE roomcast.changes ALTER COLUMN body TYPE text;

-- moderator and vip. The host stands in `rooms`, the owner in `people`.
CREATE TABLE roomcast.roles (
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL REFERENCES roomcast.people (uid) ON DELETE CASCADE,
    role text COLLATE "C" NOT NULL CHECK (role IN ('moderator', 'vip')),
    by_uid text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (room, uid)
);

CREATE INDEX roles_uid ON roomcast.roles (uid);

-- A warning is lifted by its person, who acknowledges it.
ALTER TABLE roomcast.restraints DROP CONSTRAINT restraints_kind_check;
ALTER TABLE roomcast.restraints ADD CONSTRAINT restraints_kind_check CHECK (kind IN ('ban', 'timeout', 'warning'));
DROP INDEX roomcast.restraints_room;
CREATE INDEX restraints_room ON roomcast.restraints (room, since);
CREATE INDEX restraints_uid ON roomcast.restraints (uid);
-- Those whose reasons are still there, by their end.
CREATE INDEX restraints_ended ON roomcast.restraints (least(until, lifted_at)) WHERE reason <> '';

-- The audit log: one chain per room and one of the site ('*'). `hash` is SHA-256 of the previous row's hash and `body`, which
-- is canonical JSON and names no text: those are in `action_texts`, and `body` has their salted hashes.
CREATE TABLE roomcast.actions (
    chain text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    id uuid NOT NULL UNIQUE,
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    verb text COLLATE "C" NOT NULL,
    target text COLLATE "C",
    -- The caller's key of the attempt.
    nonce text COLLATE "C",
    body text NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, n)
);

CREATE UNIQUE INDEX actions_nonce ON roomcast.actions (actor, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX actions_target ON roomcast.actions (target) WHERE target IS NOT NULL;
CREATE INDEX actions_actor ON roomcast.actions (actor);

CREATE FUNCTION roomcast.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;

CREATE TRIGGER actions_are_not_changed BEFORE UPDATE OR DELETE ON roomcast.actions
FOR EACH ROW EXECUTE FUNCTION roomcast.refuse_change();
CREATE TRIGGER actions_are_not_emptied BEFORE TRUNCATE ON roomcast.actions
FOR EACH STATEMENT EXECUTE FUNCTION roomcast.refuse_change();

-- The newest row of each chain: a chain that was cut is shorter than this says.
CREATE TABLE roomcast.chains (
    chain text COLLATE "C" PRIMARY KEY,
    n bigint NOT NULL,
    hash bytea NOT NULL
);

-- Texts of acts, with the salts of their hashes: `reason`, `title_before`, `title_after`. Erased without a change of the chain.
CREATE TABLE roomcast.action_texts (
    action uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    -- The person that it is about.
    uid text COLLATE "C",
    text text NOT NULL,
    salt bytea NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (action, kind)
);

CREATE INDEX action_texts_until ON roomcast.action_texts (until);
CREATE INDEX action_texts_uid ON roomcast.action_texts (uid) WHERE uid IS NOT NULL;

-- Notes of the staff about a person in a room.
CREATE TABLE roomcast.notes (
    id uuid PRIMARY KEY,
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    by_uid text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    text text NOT NULL,
    until bigint NOT NULL
);

CREATE INDEX notes_of ON roomcast.notes (room, uid, at);
CREATE INDEX notes_uid ON roomcast.notes (uid);
CREATE INDEX notes_until ON roomcast.notes (until);

-- Reports of messages by viewers: one per person and message.
CREATE TABLE roomcast.reports (
    room text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    by_uid text COLLATE "C" NOT NULL,
    -- The author of the message.
    uid text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    -- Since when the staff has dealt with it.
    settled_at bigint,
    PRIMARY KEY (room, seq, by_uid)
);

CREATE INDEX reports_open ON roomcast.reports (room, at) WHERE settled_at IS NULL;
CREATE INDEX reports_by ON roomcast.reports (by_uid, at);
CREATE INDEX reports_uid ON roomcast.reports (uid);
CREATE INDEX reports_at ON roomcast.reports (at);

-- Networks of guests, as keyed hashes of the room and the /24 or /56: 12 bytes of HMAC-SHA256 under a key of the week, which is
-- destroyed. Only with `moderation.network_bans = "on"`.
CREATE TABLE roomcast.networks (
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (room, uid, hash)
);

CREATE INDEX networks_uid ON roomcast.networks (uid);
CREATE INDEX networks_at ON roomcast.networks (at);

-- Networks of restrained guests. New guests of the same network share the restraint until `until`, 7 days at most.
CREATE TABLE roomcast.network_restraints (
    room text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    restraint uuid NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (room, hash, restraint)
);

CREATE INDEX network_restraints_until ON roomcast.network_restraints (until);
CREATE INDEX network_restraints_restraint ON roomcast.network_restraints (restraint);

-- Rooms that a key is limited to, with commas; empty for all.
ALTER TABLE roomcast.api_keys ADD COLUMN rooms text COLLATE "C" NOT NULL DEFAULT '';

UPDATE roomcast.facts SET value = '3' WHERE name = 'schema.compatible_from';
