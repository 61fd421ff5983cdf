-- Whether the operator closed the room: its host does not open it then. Rooms that are closed already were closed by the
-- operator, since no host could.
ALTER TABLE rooms ADD COLUMN closed_by_operator INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET closed_by_operator = 1 WHERE closed_at IS NOT NULL;

-- A page of the lobby passes the open rooms before it in this order, without reading their rows:
-- for SQLite the index holds all columns that the query names, also those that its condition names.
CREATE INDEX rooms_open ON rooms (created_at, room, deleted_at, closed_at) WHERE deleted_at IS NULL AND closed_at IS NULL;
