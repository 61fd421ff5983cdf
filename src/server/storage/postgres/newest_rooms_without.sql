SELECT room.room, title, host, (SELECT nickname FROM roomcast.people WHERE uid = room.host) AS "host_nickname?",
    epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!", slow_ms,
    closed_at IS NOT NULL AS "is_closed!"
FROM (
    SELECT room FROM roomcast.rooms
    WHERE deleted_at IS NULL AND closed_at IS NULL AND room NOT IN (SELECT unnest($1::text[]))
    ORDER BY created_at DESC, room DESC LIMIT $2 OFFSET $3
) AS page
CROSS JOIN LATERAL (SELECT * FROM roomcast.rooms WHERE rooms.room = page.room LIMIT 1) AS room
ORDER BY created_at DESC, room.room DESC
