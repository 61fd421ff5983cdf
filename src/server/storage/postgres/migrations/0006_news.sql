-- News for the nodes of a cluster: changes of things that a node holds in memory or in its sockets. Triggers write it, so that no change is
-- without its news, whichever program makes it. They run when the transaction commits: a lock that all news share is held for
-- the commit alone, and the ids rise in the order of the commits, so that a reader who knows the last id misses none.
CREATE TABLE roomcast.news (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    what jsonb NOT NULL
);

CREATE INDEX news_at ON roomcast.news (at);

-- The time in unix milliseconds.
CREATE FUNCTION roomcast.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;

CREATE FUNCTION roomcast.tell(kind text, what jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7885630528046197363);
    -- A new statement: its id is drawn after the lock was free.
    INSERT INTO roomcast.news (at, kind, what) VALUES (roomcast.now_ms(), kind, what);
END
$$;

-- A session that has not expired ended.
CREATE FUNCTION roomcast.tell_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomcast.tell('session_ended', jsonb_build_object('session', encode(OLD.token_hash, 'hex')));
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER session_ended AFTER DELETE ON roomcast.sessions DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.expires_at > roomcast.now_ms()) EXECUTE FUNCTION roomcast.tell_session_ended();

-- The person of sessions has another name, or another account.
CREATE FUNCTION roomcast.tell_person_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sessions jsonb := (SELECT jsonb_agg(encode(token_hash, 'hex')) FROM roomcast.sessions WHERE uid = NEW.uid);
BEGIN
    IF sessions IS NOT NULL THEN
        PERFORM roomcast.tell('person_changed', jsonb_build_object('sessions', sessions));
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER person_changed AFTER UPDATE ON roomcast.people DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.nickname <> NEW.nickname OR OLD.account IS DISTINCT FROM NEW.account)
EXECUTE FUNCTION roomcast.tell_person_changed();

-- A room was added or deleted, or has another title, host or mode. `hosts` are the former and the present one, if they differ.
CREATE FUNCTION roomcast.tell_room_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    hosts text[] := '{}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        hosts := array_remove(ARRAY[NEW.host::text], NULL);
    ELSIF OLD.host IS DISTINCT FROM NEW.host THEN
        hosts := array_remove(ARRAY[OLD.host::text, NEW.host::text], NULL);
    END IF;
    PERFORM roomcast.tell(
        'room_changed', jsonb_build_object('room', NEW.room, 'deleted', NEW.deleted_at IS NOT NULL, 'hosts', to_jsonb(hosts))
    );
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER room_added AFTER INSERT ON roomcast.rooms DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION roomcast.tell_room_changed();
CREATE CONSTRAINT TRIGGER room_changed AFTER UPDATE ON roomcast.rooms DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (
    (OLD.title, OLD.host, OLD.slow_ms, OLD.accounts, OLD.closed_at, OLD.closed_by_operator, OLD.deleted_at)
    IS DISTINCT FROM (NEW.title, NEW.host, NEW.slow_ms, NEW.accounts, NEW.closed_at, NEW.closed_by_operator, NEW.deleted_at)
) EXECUTE FUNCTION roomcast.tell_room_changed();

-- A role was granted, changed or revoked.
CREATE FUNCTION roomcast.tell_role_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomcast.tell(
        'role_changed', jsonb_build_object('room', coalesce(NEW.room, OLD.room), 'uid', coalesce(NEW.uid, OLD.uid))
    );
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER role_changed AFTER INSERT OR UPDATE OR DELETE ON roomcast.roles DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION roomcast.tell_role_changed();

-- A restraint of a person began or ended; `room` is '*' for the whole site.
CREATE FUNCTION roomcast.tell_restrained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomcast.tell('restrained', jsonb_build_object('room', NEW.room, 'uid', NEW.uid));
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER restrained AFTER INSERT ON roomcast.restraints DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION roomcast.tell_restrained();
CREATE CONSTRAINT TRIGGER restraint_changed AFTER UPDATE ON roomcast.restraints DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN ((OLD.until, OLD.lifted_at) IS DISTINCT FROM (NEW.until, NEW.lifted_at))
EXECUTE FUNCTION roomcast.tell_restrained();

-- A key of the API was added, changed or removed.
CREATE FUNCTION roomcast.tell_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomcast.tell('keys_changed', '{}');
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON roomcast.api_keys DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION roomcast.tell_keys_changed();

-- A purge has rows to blank or to restore.
CREATE FUNCTION roomcast.tell_purge_begun() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomcast.tell('purge_begun', jsonb_build_object('room', NEW.room, 'action', NEW.action));
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER purge_begun AFTER INSERT ON roomcast.purges DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.state <> 'done') EXECUTE FUNCTION roomcast.tell_purge_begun();
CREATE CONSTRAINT TRIGGER purge_begun_again AFTER UPDATE ON roomcast.purges DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state <> 'done') EXECUTE FUNCTION roomcast.tell_purge_begun();
