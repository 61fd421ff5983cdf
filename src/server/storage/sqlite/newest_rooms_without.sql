SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms,
    rooms.closed_at IS NOT NULL AS "is_closed!: bool"
FROM (
    SELECT room FROM rooms
    WHERE deleted_at IS NULL AND closed_at IS NULL AND room NOT IN (SELECT value FROM json_each(?))
    ORDER BY created_at DESC, room DESC LIMIT ? OFFSET ?
) AS page CROSS JOIN rooms ON rooms.room = page.room
LEFT JOIN people ON people.uid = rooms.host
ORDER BY rooms.created_at DESC, rooms.room DESC
