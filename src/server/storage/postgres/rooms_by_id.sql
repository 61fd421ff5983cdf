SELECT room, title, host, (SELECT nickname FROM roomcast.people WHERE uid = page.host) AS "host_nickname?",
    epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!", slow_ms,
    closed_at IS NOT NULL AS "is_closed!"
FROM (
    SELECT room.*, asked.place
    FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, place)
    CROSS JOIN LATERAL (
        SELECT * FROM roomcast.rooms WHERE room = asked.id AND closed_at IS NULL AND deleted_at IS NULL LIMIT 1
    ) AS room
    LIMIT $2
) AS page
ORDER BY place
