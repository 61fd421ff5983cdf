-- A room's own slow mode, set by its host: milliseconds between two messages of one person; 0 is off.
ALTER TABLE rooms ADD COLUMN slow_ms INTEGER NOT NULL DEFAULT 0;

-- The lobby reads the newest rooms in this order, without sorting all rooms.
CREATE INDEX rooms_created_at ON rooms (created_at, room);
