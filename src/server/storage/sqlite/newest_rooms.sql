SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms
FROM rooms LEFT JOIN people ON people.uid = rooms.host
ORDER BY rooms.created_at DESC, rooms.room DESC LIMIT ?
