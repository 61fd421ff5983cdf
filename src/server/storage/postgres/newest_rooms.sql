SELECT room, title, host, (SELECT nickname FROM roomcast.people WHERE uid = rooms.host) AS "host_nickname?",
    epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!", slow_ms,
    closed_at IS NOT NULL AS "is_closed!"
FROM roomcast.rooms
WHERE deleted_at IS NULL
ORDER BY created_at DESC, room DESC LIMIT $1
