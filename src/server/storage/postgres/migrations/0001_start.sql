-- Roomcast's schema in PostgreSQL. Times are unix milliseconds. Ids are compared byte by byte (COLLATE "C"). Secrets are stored
-- as SHA-256 (tokens, which are random) or argon2id (passwords, which are not). A plain role is enough; no extension is used.

-- Facts about this installation: the number of the newest room, the hash of the one-time owner link.
CREATE TABLE roomcast.facts (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- Everyone who ever spoke. A guest is a person without an account name, and may take one later under the same uid.
CREATE TABLE roomcast.people (
    uid text COLLATE "C" PRIMARY KEY,
    nickname text NOT NULL,
    account text,
    -- The account name as it is compared, so that Ming and ming are one.
    account_key text COLLATE "C",
    password text,
    -- The installation's owner, made by the one-time link: host of every room that has none.
    is_owner boolean NOT NULL DEFAULT false,
    created_at bigint NOT NULL
);

CREATE UNIQUE INDEX people_account_key ON roomcast.people (account_key) WHERE account_key IS NOT NULL;
CREATE INDEX people_is_owner ON roomcast.people (uid) WHERE is_owner;

CREATE TABLE roomcast.sessions (
    token_hash bytea PRIMARY KEY,
    uid text COLLATE "C" NOT NULL REFERENCES roomcast.people (uid) ON DELETE CASCADE,
    -- The kind of browser that signed in.
    label text NOT NULL DEFAULT '',
    created_at bigint NOT NULL,
    used_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX sessions_uid ON roomcast.sessions (uid);
CREATE INDEX sessions_expires_at ON roomcast.sessions (expires_at);

-- Browsers that signed in to an account before, by the SHA-256 of a random cookie.
CREATE TABLE roomcast.devices (
    uid text COLLATE "C" NOT NULL REFERENCES roomcast.people (uid) ON DELETE CASCADE,
    hash bytea NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (uid, hash)
);

-- Keys of back ends that call the API. `scopes` are words with commas: push,query,admin.
CREATE TABLE roomcast.api_keys (
    name text COLLATE "C" PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    scopes text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint
);

CREATE UNIQUE INDEX api_keys_name ON roomcast.api_keys (lower(name));

-- What people set about a room. Its numbering is in `heads`, so that a new title does not wait behind the senders.
CREATE TABLE roomcast.rooms (
    room text COLLATE "C" PRIMARY KEY,
    title text NOT NULL,
    host text COLLATE "C" REFERENCES roomcast.people (uid),
    -- One life of the room's numbering.
    epoch text NOT NULL,
    -- Slow mode: milliseconds between two messages of one person; 0 is off.
    slow_ms bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    -- Since when the room takes no messages; NULL for an open room.
    closed_at bigint,
    -- Whether the operator closed the room: its host does not open it then.
    closed_by_operator boolean NOT NULL DEFAULT false,
    -- Since when the room is deleted. The row goes after its messages, which are removed in batches.
    deleted_at bigint
);

CREATE INDEX rooms_host ON roomcast.rooms (host);
CREATE INDEX rooms_created_at ON roomcast.rooms (created_at, room);
CREATE INDEX rooms_open ON roomcast.rooms (created_at, room) WHERE deleted_at IS NULL AND closed_at IS NULL;
CREATE INDEX rooms_deleted_at ON roomcast.rooms (deleted_at) WHERE deleted_at IS NOT NULL;

-- The numbering of a room: `seq` of its newest message, `rev` of its newest change. The row's lock is the room's place in the
-- commit order. Half-empty pages keep its updates out of the index.
CREATE TABLE roomcast.heads (
    room text COLLATE "C" PRIMARY KEY REFERENCES roomcast.rooms (room) ON DELETE CASCADE,
    seq bigint NOT NULL DEFAULT 0,
    rev bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- seq is 1, 2, 3 … a room, without holes. No foreign key: its trigger would run for each message, and no room's row goes
-- before its messages.
CREATE TABLE roomcast.messages (
    room text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    uid text COLLATE "C" NOT NULL,
    nickname text NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    at bigint NOT NULL,
    -- The sender's name for the attempt, or the message's id: the same again is the same message.
    nonce text COLLATE "C" NOT NULL,
    PRIMARY KEY (room, seq)
);

CREATE UNIQUE INDEX messages_nonce ON roomcast.messages (uid, nonce, room);

-- When each person's last message was stored, per room. A crash of the server empties the table and so forgives a cooldown.
CREATE UNLOGGED TABLE roomcast.paces (
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (room, uid)
) WITH (fillfactor = 70);

CREATE INDEX paces_at ON roomcast.paces (at);

-- Changes of a room after the fact, on its second counter. `seq` is the room's newest message at the change.
CREATE TABLE roomcast.changes (
    room text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (room, rev)
);

-- Timeouts and bans. `room` is '*' for the whole site. One is in force until `until` (NULL: for good) or until it is lifted.
CREATE TABLE roomcast.restraints (
    id uuid PRIMARY KEY,
    room text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('timeout', 'ban')),
    since bigint NOT NULL,
    until bigint,
    reason text NOT NULL DEFAULT '',
    by_uid text COLLATE "C" NOT NULL,
    lifted_at bigint
);

CREATE INDEX restraints_of ON roomcast.restraints (uid, room) WHERE lifted_at IS NULL;
CREATE INDEX restraints_room ON roomcast.restraints (room);

INSERT INTO roomcast.facts (name, value) VALUES ('room_number', '0'), ('schema.compatible_from', '1');
