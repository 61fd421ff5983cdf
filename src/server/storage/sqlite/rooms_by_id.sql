SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms
FROM json_each(?) AS asked CROSS JOIN rooms ON rooms.room = asked.value
LEFT JOIN people ON people.uid = rooms.host
LIMIT ?
