SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms,
    rooms.closed_at IS NOT NULL AS "is_closed!: bool"
FROM rooms LEFT JOIN people ON people.uid = rooms.host
WHERE rooms.deleted_at IS NULL
ORDER BY rooms.created_at DESC, rooms.room DESC LIMIT ?
