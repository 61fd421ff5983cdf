-- The commit of a batch of messages, in one round trip and one transaction. It takes the place of `append_1`: it knows ranks,
-- restraints of networks, the mode for accounts, answers and mentions.
--
-- It locks the rooms, judges each message and stores those that may be stored. Returns a row for each, in the order of the batch:
--   stored      the message has this seq
--   before      its sender used the nonce in the room before: id, seq, time and role of the message that is stored under it
--   no_room     there is no such room, or it is being deleted
--   restrained  a ban, a timeout or a warning is in force, in the room or for the whole site, of the sender or of a network
--   closed      the room takes no messages
--   accounts    the room takes messages of accounts only
--   too_fast    the cooldown of the sender's last message in the room runs for another wait_ms
-- The caller settles a nonce that the batch has twice. One clock counts: the server's.
--
-- `re` is 0 without an answer, `mentions` is a JSON array or empty, `networks` are hashes in hexadecimal digits with commas.
CREATE FUNCTION roomcast.append_2(
    site_cooldown_ms bigint,
    rooms text[], uids text[], nonces text[], ids uuid[], nicknames text[], texts text[],
    have_accounts boolean[], are_bots boolean[], res bigint[], mentions_of text[], networks_of text[]
) RETURNS TABLE (
    ordinal bigint, outcome text, id uuid, seq bigint, at bigint, role text, wait_ms bigint,
    restraint uuid, kind text, until bigint, reason text, re bigint, re_nickname text
) LANGUAGE plpgsql VOLATILE
-- A batch is small and the tables are large, so each table is asked by its index for each message, also before its first ANALYZE
-- and when a table has grown since.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off
AS $$
#variable_conflict use_column
DECLARE
    moment bigint;
BEGIN
    -- The rooms' places in the commit order, always in the same order of rooms: two batches do not wait for each other.
    PERFORM 1 FROM roomcast.heads WHERE room = ANY (rooms) ORDER BY room FOR UPDATE;
    -- A site-wide restraint of a person takes the lock alone. 128 locks for all persons, so that they cannot run out.
    PERFORM pg_advisory_xact_lock_shared(1919902817, lock)
    FROM (SELECT DISTINCT hashtext(uid COLLATE "C") & 127 AS lock FROM unnest(uids) AS uid ORDER BY lock) AS locks;
    moment := floor(extract(epoch FROM clock_timestamp()) * 1000);
    -- A new statement: its snapshot has all that was committed before the locks were free.
    RETURN QUERY
    WITH ranked AS MATERIALIZED (
        SELECT b.ordinal, b.room COLLATE "C" AS room, b.uid COLLATE "C" AS uid, b.nonce, b.id, b.nickname, b.text,
            b.has_account, b.is_bot, b.re, b.mentions, b.networks,
            r.room IS NOT NULL AND r.deleted_at IS NULL AS is_room, r.closed_at IS NOT NULL AS is_closed, r.accounts, r.slow_ms,
            r.host IS NOT DISTINCT FROM b.uid AS is_host,
            EXISTS (SELECT 1 FROM roomcast.people AS s WHERE s.uid = b.uid AND s.is_owner) AS is_owner,
            -- Without an account a role counts for nothing.
            CASE WHEN b.has_account THEN
                (SELECT s.role FROM roomcast.roles AS s WHERE s.room = b.room AND s.uid = b.uid LIMIT 1)
            END AS granted
        FROM unnest(
            rooms, uids, nonces, ids, nicknames, texts, have_accounts, are_bots, res, mentions_of, networks_of
        ) WITH ORDINALITY AS b (
            room, uid, nonce, id, nickname, text, has_account, is_bot, re, mentions, networks, ordinal
        )
        -- ORDER BY leaves the key's index alone: that of created_at has the room, too, and would be read as a whole.
        LEFT JOIN LATERAL (
            SELECT s.* FROM roomcast.rooms AS s WHERE s.room >= b.room ORDER BY s.room LIMIT 1
        ) AS r ON r.room = b.room
    ), exempt AS MATERIALIZED (
        SELECT ranked.*, is_host OR is_owner OR granted IS NOT NULL AS is_exempt FROM ranked
    ), judged AS MATERIALIZED (
        SELECT b.*, m.id AS old_id, m.seq AS old_seq, m.at AS old_at, m.role AS old_role, m.re AS old_re,
            CASE
                WHEN b.is_bot THEN 'bot'
                WHEN b.is_host THEN 'host'
                WHEN b.is_owner THEN 'moderator'
                ELSE coalesce(b.granted, 'viewer')
            END AS role,
            CASE WHEN b.is_exempt THEN site_cooldown_ms ELSE greatest(site_cooldown_ms, b.slow_ms) END AS cooldown_ms,
            p.at AS last_at, h.seq AS head_seq, t.id AS restraint, t.kind, t.until, t.reason,
            CASE
                WHEN m.id IS NOT NULL THEN 'before'
                WHEN h.room IS NULL OR NOT b.is_room THEN 'no_room'
                WHEN t.id IS NOT NULL THEN 'restrained'
                WHEN b.is_closed THEN 'closed'
                WHEN b.accounts AND NOT b.has_account AND NOT b.is_exempt THEN 'accounts'
            END AS outcome
        FROM exempt AS b
        LEFT JOIN roomcast.messages AS m ON m.uid = b.uid AND m.nonce = b.nonce AND m.room = b.room
        LEFT JOIN roomcast.heads AS h ON h.room = b.room
        -- A last message in the future is from before the clock was set back: it silences nobody. LIMIT keeps the time out of the
        -- choice of the index, which is that of the key.
        LEFT JOIN LATERAL (
            SELECT s.at FROM roomcast.paces AS s WHERE s.room = b.room AND s.uid = b.uid LIMIT 1
        ) AS p ON p.at <= moment
        LEFT JOIN LATERAL (
            SELECT s.id, s.kind, s.until, s.reason FROM (
                SELECT s.id, s.kind, s.until, s.reason FROM roomcast.restraints AS s
                WHERE s.uid = b.uid AND s.room IN (b.room, '*') AND s.lifted_at IS NULL AND (s.until IS NULL OR s.until > moment)
                UNION ALL
                -- The reason was given to another person.
                SELECT s.id, s.kind, least(s.until, n.until), ''
                FROM unnest(string_to_array(nullif(b.networks, ''), ',')) AS hex
                CROSS JOIN LATERAL (
                    SELECT w.restraint, w.until FROM roomcast.network_restraints AS w
                    -- OFFSET keeps it from being joined before the hash is known, which would read all of the room.
                    WHERE w.room = b.room AND w.hash = decode(hex, 'hex') AND w.until > moment OFFSET 0
                ) AS n
                CROSS JOIN LATERAL (
                    SELECT w.id, w.kind, w.until, w.reason FROM roomcast.restraints AS w
                    WHERE w.id = n.restraint AND w.lifted_at IS NULL AND (w.until IS NULL OR w.until > moment) LIMIT 1
                ) AS s
            ) AS s
            -- In the order of the alphabet: ban, timeout, warning.
            ORDER BY s.kind, s.until DESC NULLS FIRST LIMIT 1
        ) AS t ON true
    ), timed AS MATERIALIZED (
        SELECT judged.*, greatest(last_at + cooldown_ms - moment, 0) AS left_ms,
            outcome IS NULL AND coalesce(last_at + cooldown_ms <= moment, true) AS is_free
        FROM judged
    ), first AS MATERIALIZED (
        -- Of several messages of a person in a room the first is stored, if a cooldown is on.
        SELECT timed.*, is_free AND (cooldown_ms = 0
            OR row_number() OVER (PARTITION BY room, uid, is_free ORDER BY ordinal) = 1) AS is_stored
        FROM timed
    ), numbered AS MATERIALIZED (
        SELECT first.*, head_seq + count(*) FILTER (WHERE is_stored) OVER (PARTITION BY room ORDER BY ordinal) AS seq,
            -- NULL also if the room does not keep the answered message.
            CASE WHEN is_stored OR old_re IS NOT NULL THEN (
                SELECT s.seq FROM roomcast.messages AS s WHERE s.room = first.room AND s.seq = coalesce(old_re, nullif(first.re, 0))
            ) END AS kept_re
        FROM first
    ), grown AS (
        UPDATE roomcast.heads AS h SET seq = n.seq
        FROM (SELECT room, max(seq) AS seq FROM numbered WHERE is_stored GROUP BY room) AS n
        WHERE h.room = n.room AND h.room = ANY (rooms)
    ), paced AS (
        INSERT INTO roomcast.paces AS p (room, uid, at) SELECT DISTINCT room, uid, moment FROM numbered WHERE is_stored
        ON CONFLICT (room, uid) DO UPDATE SET at = excluded.at
    ), stored AS (
        INSERT INTO roomcast.messages (room, seq, id, uid, nickname, role, text, at, nonce, re, mentions)
        SELECT room, seq, id, uid, nickname, role, text, moment, nonce, kept_re, nullif(mentions, '')
        FROM numbered WHERE is_stored
    )
    SELECT ordinal, CASE WHEN is_stored THEN 'stored' ELSE coalesce(outcome, 'too_fast') END,
        coalesce(old_id, id), coalesce(old_seq, seq), coalesce(old_at, moment), coalesce(old_role, role),
        coalesce(nullif(left_ms, 0), cooldown_ms), restraint, kind, until, reason, kept_re,
        CASE WHEN kept_re IS NOT NULL THEN (
            SELECT s.nickname FROM roomcast.shown_messages AS s WHERE s.room = numbered.room AND s.seq = kept_re
        ) END
    FROM numbered ORDER BY ordinal;
END
$$;
