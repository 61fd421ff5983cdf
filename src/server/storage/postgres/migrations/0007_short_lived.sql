-- Short-lived records that all nodes share. A crash of the server empties these tables.

-- Forms of pages without JavaScript that wait for their page, by the SHA-256 of a random key, as JSON. A new form takes the next of
-- 4,096 places in turn, and with it that of the oldest one.
CREATE SEQUENCE roomcast.returned_forms_place AS integer MINVALUE 0 MAXVALUE 4095 CYCLE;
CREATE UNLOGGED TABLE roomcast.returned_forms (
    place integer PRIMARY KEY,
    key bytea NOT NULL UNIQUE,
    form text NOT NULL,
    until bigint NOT NULL
);

-- Turns of log-ins, by a keyed hash of account and source. A turn moves `full_at` by the time of one; when it has passed, all turns
-- are there again.
CREATE UNLOGGED TABLE roomcast.turns (
    key bytea PRIMARY KEY,
    full_at bigint NOT NULL
);

CREATE INDEX turns_full_at ON roomcast.turns (full_at);

-- Takes a turn: `burst` at once, and then one each `every_ms`. Returns 0, or the milliseconds until the next one.
CREATE FUNCTION roomcast.take_turn_1(of_key bytea, every_ms bigint, burst bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found bigint;
    moment bigint;
    later bigint;
BEGIN
    INSERT INTO roomcast.turns (key, full_at) VALUES (of_key, 0) ON CONFLICT (key) DO NOTHING;
    SELECT full_at INTO found FROM roomcast.turns WHERE key = of_key FOR UPDATE;
    -- The time after the lock: turns are taken one after the other.
    moment := roomcast.now_ms();
    later := greatest(found, moment) + every_ms;
    IF later > moment + burst * every_ms THEN
        RETURN later - moment - burst * every_ms;
    END IF;
    UPDATE roomcast.turns SET full_at = later WHERE key = of_key;
    RETURN 0;
END
$$;
