-- Messages, rooms and guests may be deleted. The numbering of a room then no longer follows from its messages, so it has a
-- counter of its own, and so has the numbering of rooms. An older server would number from the messages: this schema is not
-- compatible with it.
ALTER TABLE rooms ADD COLUMN newest_seq INTEGER NOT NULL DEFAULT 0;
-- Since when the room takes no messages; NULL for an open room.
ALTER TABLE rooms ADD COLUMN closed_at INTEGER;
-- Since when the room is deleted. The row goes after its messages, which are removed in batches.
ALTER TABLE rooms ADD COLUMN deleted_at INTEGER;

UPDATE rooms SET newest_seq = coalesce((SELECT max(seq) FROM messages WHERE messages.room = rooms.room), 0);

CREATE INDEX rooms_deleted_at ON rooms (deleted_at) WHERE deleted_at IS NOT NULL;
-- With messages_nonce, which has the others: the messages of a person.
CREATE INDEX messages_uid_without_nonce ON messages (uid) WHERE nonce IS NULL;

-- The number of the newest room that got its id by number. Ids of ten digits and more were chosen by an operator.
INSERT INTO facts (name, value)
SELECT 'room_number', CAST(CAST(coalesce(max(CAST(room AS INTEGER)), 0) AS TEXT) AS BLOB) FROM rooms
WHERE room NOT GLOB '*[^0-9]*' AND length(room) < 10;

-- Grows by one with each write batch: a copy of the database that was put back has fewer than the file `high-water` says.
INSERT INTO facts (name, value) VALUES ('commits', CAST('0' AS BLOB));
-- The oldest schema version whose server may serve from this database. A migration that such a server cannot live with
-- sets it to its own version.
INSERT INTO facts (name, value) VALUES ('schema.compatible_from', CAST('3' AS BLOB));
