-- Adds a room under the number after the newest one that was given; numbers that are in use as an id are passed over. So an id
-- that an operator chose does not move the numbering, and a deleted room's number is not given again. No row: the number was
-- taken meanwhile.
WITH RECURSIVE candidate (number) AS (
    SELECT convert_from(value, 'UTF8')::bigint + 1 FROM roomcast.facts WHERE name = 'room_number'
    UNION ALL
    SELECT number + 1 FROM candidate WHERE EXISTS (SELECT 1 FROM roomcast.rooms WHERE room = number::text)
), moved AS (
    UPDATE roomcast.facts SET value = convert_to((SELECT max(number) FROM candidate)::text, 'UTF8') WHERE name = 'room_number'
), added AS (
    INSERT INTO roomcast.rooms (room, title, host, epoch, created_at)
    SELECT max(number)::text, $1, $2, $3, $4 FROM candidate
    ON CONFLICT DO NOTHING RETURNING room
), head AS (
    INSERT INTO roomcast.heads (room) SELECT room FROM added
)
SELECT room FROM added
