-- Adds people or renames them, adds sessions of people who exist, and extends sessions. People are locked in the order
-- of the keys; sessions in any order, so a deadlock is possible. Returns the tokens of the added sessions.
WITH people AS (
    INSERT INTO roomcast.people (uid, nickname, created_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
    ON CONFLICT (uid) DO UPDATE SET nickname = excluded.nickname
    RETURNING uid
), known AS (
    SELECT uid FROM people
    UNION
    SELECT uid FROM roomcast.people WHERE uid = ANY ($5::text[])
), extended AS (
    UPDATE roomcast.sessions SET used_at = extension.used_at, expires_at = extension.expires_at
    FROM unnest($9::bytea[], $10::bigint[], $11::bigint[]) AS extension (token_hash, used_at, expires_at)
    WHERE sessions.token_hash = extension.token_hash
)
INSERT INTO roomcast.sessions (token_hash, uid, label, created_at, used_at, expires_at)
SELECT token_hash, uid, label, created_at, created_at, expires_at
FROM unnest($4::bytea[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
    AS new (token_hash, uid, label, created_at, expires_at)
WHERE uid IN (SELECT uid FROM known)
ON CONFLICT (token_hash) DO NOTHING
RETURNING token_hash
