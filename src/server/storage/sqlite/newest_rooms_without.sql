SELECT page.room, page.title, page.host, people.nickname AS "host_nickname?", page.epoch, page.slow_ms,
    page.closed_at IS NOT NULL AS "is_closed!: bool"
FROM (
    SELECT * FROM rooms
    WHERE deleted_at IS NULL AND closed_at IS NULL AND room NOT IN (SELECT value FROM json_each(?))
    ORDER BY created_at DESC, room DESC LIMIT ? OFFSET ?
) AS page LEFT JOIN people ON people.uid = page.host
ORDER BY page.created_at DESC, page.room DESC
