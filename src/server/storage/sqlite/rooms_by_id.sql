SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms,
    rooms.closed_at IS NOT NULL AS "is_closed!: bool"
FROM json_each(?) AS asked CROSS JOIN rooms ON rooms.room = asked.value
LEFT JOIN people ON people.uid = rooms.host
WHERE rooms.closed_at IS NULL AND rooms.deleted_at IS NULL
LIMIT ?
