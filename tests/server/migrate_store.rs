//! `roomcast migrate-store`: the database of a stopped server moves to PostgreSQL, in one run or in many that are killed.

use crate::support::postgres::Database;
use crate::support::{Person, Place, Server, binary, eventually, finished};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

const SETTINGS: [&str; 2] = ["chat.cooldown_ms=0", "limits.per_ip=off"];

/// A stopped server's folder with rows in every table, and people who go on with their sessions.
struct Source {
    server: Server,
    owner: Person,
    guest: Person,
    key: String,
    /// Epoch of room 1.
    epoch: String,
}

async fn execute(folder: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("roomcast.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

impl Source {
    async fn new() -> Self {
        let mut server = Server::on(Place::sqlite(), &SETTINGS);
        let (owner, guest) = (server.owner().await, server.guest("访客").await);
        // A log-in from another browser makes it a known device.
        let again = server.visitor();
        assert_eq!(again.post("/session/login", &[("name", "owner"), ("password", "correct horse")]).await.status, 200);
        assert_eq!(guest.try_send("with a nonce", "n1").await.unwrap().body["seq"], 1);
        assert_eq!(owner.send("of the host").await.body["seq"], 2);
        let epoch = Self::epoch(&guest).await;
        let command = |arguments: &[&str]| {
            let output = server.command().args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(command(&["room", "add", "closed one", "--host", "owner"]), "2\n");
        command(&["room", "slow", "2", "30"]);
        command(&["room", "close", "2"]);
        command(&["room", "add", "by name", "--id", "song"]);
        let key = command(&["key", "add", "Shop", "--scope", "push,query"]).trim().to_owned();
        server.kill();
        let folder = server.folder();
        // More than one batch of people and of messages, a room that is being deleted, and a character that PostgreSQL refuses.
        execute(
            &folder,
            "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
            INSERT INTO people (uid, nickname, created_at) SELECT 'p' || i, 'n' || i, i FROM n",
        )
        .await;
        execute(
            &folder,
            "WITH n (i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
            INSERT INTO messages (room, seq, id, uid, nickname, role, text, at, nonce)
            SELECT '1', i, lower(printf('0193a5d0-5f3c-7c4e-8a51-%012X', i)), 'p' || i, 'n', 'viewer', 'text ' || i, i, NULL FROM n",
        )
        .await;
        execute(&folder, "UPDATE messages SET text = 'a' || char(0) || 'b' || char(0) WHERE seq = 2500").await;
        execute(&folder, "UPDATE rooms SET newest_seq = 2500 WHERE room = '1'").await;
        execute(
            &folder,
            "INSERT INTO rooms (room, title, epoch, created_at, newest_seq, deleted_at) VALUES ('gone', 'g', 'e', 1, 7, 9)",
        )
        .await;
        Self::moderate(&folder).await;
        Self { server, owner, guest, key, epoch }
    }

    /// Adds rows to each table of moderation.
    async fn moderate(folder: &Path) {
        for statement in [
            "UPDATE messages SET nickname = '', text = '', removed_why = 'moderator', removed_rev = 1 WHERE room = '1' AND seq = 9",
            "UPDATE messages SET re = 9, mentions = '[\"p7\"]' WHERE room = '1' AND seq = 10",
            "UPDATE rooms SET rev = 1, accounts = 0, pinned_seq = 10, pinned_until = 99 WHERE room = '1'",
            "INSERT INTO removed_texts VALUES ('1', 9, '0193a5d0-5f3c-7c4e-8a51-0000000000a1', 'n', 'removed', 9000000000000)",
            "INSERT INTO purges VALUES
                ('0193a5d0-5f3c-7c4e-8a51-0000000000a1', '1', 'p9', 9, 9, 1, 'moderator', 'done', 10, 9000000000000)",
            "INSERT INTO changes VALUES ('1', 1, 2500, 5, '{\"b\":1,  \"a\":2}')",
            "INSERT INTO roles VALUES ('1', 'p1', 'moderator', 'owner', 5)",
            "INSERT INTO restraints VALUES
                ('0193a5d0-5f3c-7c4e-8a51-0000000000a2', '*', 'p9', 'timeout', 5, 6, 'spam', 'bot:Shop', NULL)",
            "INSERT INTO actions VALUES
                ('1', 1, '0193a5d0-5f3c-7c4e-8a51-0000000000a1', 5, 'cli', 'purge', 'p9', 'n1', '{\"v\":1}', x'00ff')",
            "INSERT INTO chains VALUES ('1', 1, x'00ff')",
            "INSERT INTO action_texts VALUES ('0193a5d0-5f3c-7c4e-8a51-0000000000a1', 'reason', 'p9', '刷屏', x'01', 9000000000000)",
            "INSERT INTO notes VALUES ('0193a5d0-5f3c-7c4e-8a51-0000000000a3', '1', 'p9', 'owner', 5, 'a note', 9000000000000)",
            "INSERT INTO reports VALUES ('1', 9, 'p8', 'p9', 'spam', 5, 6)",
            "INSERT INTO networks VALUES ('1', 'p9', x'000102030405060708090a0b', 5), ('1', 'p9', x'ff0102030405060708090a0b', 5)",
            "INSERT INTO network_restraints VALUES
                ('1', x'000102030405060708090a0b', '0193a5d0-5f3c-7c4e-8a51-0000000000a2', 9000000000000)",
        ] {
            execute(folder, statement).await;
        }
    }

    async fn epoch(person: &Person) -> String {
        let socket = person.open(None).await;
        person.bind(&socket, &[]).await.body["epoch"].as_str().unwrap().to_owned()
    }

    /// Runs the command with the database's address in the environment, and perhaps a step at which it kills itself.
    async fn migrate(&self, to: &Database, step: Option<&str>) -> Output {
        let mut command = binary();
        command.current_dir(self.server.data.path()).args(["migrate-store", "--from", "data"]);
        command.env("ROOMCAST_STORAGE_URL", to.url()).envs(step.map(|step| ("ROOMCAST_FAIL_AT", step)));
        let output = finished(command).await;
        let shown = format!("{output:?}");
        assert!(!shown.contains(to.password()), "{shown}");
        output
    }

    /// Neither a server nor a command opens the target.
    async fn is_not_served(&self, to: &Database) {
        for arguments in [["serve"].as_slice(), &["room", "list"]] {
            let mut command = binary();
            command.current_dir(self.server.data.path()).args(["--addr", "127.0.0.1:0", "--data-dir", "other"]).args(arguments);
            let output = finished({
                command.env("ROOMCAST_STORAGE_URL", to.url());
                command
            })
            .await;
            let words = stderr(&output);
            assert!(words.contains("a move to it is not finished"), "{words}");
        }
    }
}

fn stderr(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// The rows of a table that the command printed: of the source and of the target.
fn rows(printed: &str, table: &str) -> (u64, u64) {
    let line = printed.lines().find(|line| line.split_whitespace().next() == Some(table)).unwrap();
    let columns: Vec<_> = line.split_whitespace().collect();
    assert_eq!((columns.len(), columns[3], columns[5]), (6, columns[4], "equal"), "{line}");
    (columns[1].parse().unwrap(), columns[2].parse().unwrap())
}

fn database(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("roomcast.db")).unwrap()
}

/// A server on the target goes on where the source ended.
async fn goes_on(source: Source, place: Place) {
    let Source { server: old, owner, guest, key, epoch } = source;
    let server = Server::on(place, &SETTINGS);
    let (mut owner, mut guest) = (owner, guest);
    for person in [&mut owner, &mut guest] {
        let mut moved = server.visitor();
        let cookie = person.cookie().unwrap();
        cookie.split("; ").for_each(|cookie| moved.set_cookie(cookie));
        moved.uid = person.uid.clone();
        *person = moved;
    }
    let history = guest.post("/gateway/history", &[("room", "1"), ("before", "9999"), ("limit", "2")]).await.body;
    assert_eq!(
        (&history["messages"][0]["text"], &history["messages"][1]["text"]),
        (&json!("text 2499"), &json!("a\u{fffd}b\u{fffd}"))
    );
    let first = guest.post("/gateway/history", &[("room", "1"), ("before", "3")]).await.body;
    assert_eq!(first["messages"][1]["role"], "host");
    assert_eq!(guest.try_send("with a nonce", "n1").await.unwrap().body["seq"], 1, "a nonce of before the move");
    assert_eq!(guest.send("goes on").await.body["seq"], 2501);
    assert!(!Source::epoch(&guest).await.starts_with(&epoch), "another move of the same source may give other messages its seqs");
    let closed = owner.post("/gateway/send", &[("room", "2"), ("message", "x")]).await;
    assert_eq!((closed.status.as_u16(), &closed.body["code"]), (403, &Value::from("room_mode")), "{}", closed.body);
    let login = server.visitor().post("/session/login", &[("name", "OWNER"), ("password", "correct horse")]).await;
    assert_eq!(login.status, 200, "{}", login.body);
    let pushed =
        server.visitor().request("POST", "/gateway/api/sendToAll").bearer_auth(&key).json(&json!({"message": "m"})).send().await;
    assert_eq!(pushed.unwrap().status(), 200, "keys are moved");
    let added = server.command().args(["room", "add", "next"]).output().unwrap();
    assert_eq!(stdout(&added), "3\n", "numbers of rooms go on");
    eventually("the room that was being deleted goes", async || {
        server.count("SELECT count(*) FROM {}rooms WHERE room = 'gone'").await == 0
    })
    .await;
    drop(old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_killed_after_each_batch_ends_with_equal_stores() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let source = Source::new().await;
    let before = database(&source.server.folder());
    let mut killed = 0_u32;
    loop {
        // Each run ends with its first batch, until none is left.
        let output = source.migrate(to, Some(if killed == 0 { "move-begun" } else { "move-1" })).await;
        if output.status.signal() != Some(libc::SIGKILL) {
            stdout(&output);
            break;
        }
        killed += 1;
        if killed % 4 == 1 {
            source.is_not_served(to).await;
        }
    }
    // The begin, two batches of people, three of messages, and one of each other table.
    assert_eq!(killed, 24);
    assert_eq!(database(&source.server.folder()), before, "the source is not changed");
    goes_on(source, place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_prints_rows_and_hashes_and_leaves_the_source_as_it_was() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let source = Source::new().await;
    let lock = std::fs::File::options().write(true).open(source.server.folder().join("roomcast.lock")).unwrap();
    lock.lock().unwrap();
    let words = stderr(&source.migrate(to, None).await);
    assert!(words.contains("another roomcast already serves from the data folder"), "{words}");
    lock.unlock().unwrap();
    let before = database(&source.server.folder());
    let killed = source.migrate(to, Some("move-compared")).await;
    assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{killed:?}");
    source.is_not_served(to).await;
    let printed = stdout(&source.migrate(to, None).await);
    for (table, count) in [("people", 1502), ("sessions", 3), ("api_keys", 1), ("rooms", 4), ("heads", 4), ("messages", 2500)] {
        assert_eq!(rows(&printed, table), (count, count), "{printed}");
    }
    let of_moderation =
        "removed_texts purges changes roles restraints actions chains action_texts notes reports networks network_restraints";
    assert!(of_moderation.split(' ').all(|table| rows(&printed, table).0 > 0), "{printed}");
    assert!(rows(&printed, "devices").0 > 0 && rows(&printed, "facts").0 > 0, "{printed}");
    assert!(printed.contains("1 values had the character U+0000"), "{printed}");
    assert_eq!(database(&source.server.folder()), before, "the source is not changed");
    let words = stderr(&source.migrate(to, None).await);
    assert!(words.contains("the move to this PostgreSQL database is finished"), "{words}");
    let log = std::fs::read_to_string(source.server.folder().join("security.log")).unwrap();
    assert_eq!(log.matches(r#""act":"moved","by":"command""#).count(), 1, "{log}");
    goes_on(source, place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_fails_and_leaves_the_target_unserved() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let source = Source::new().await;
    let killed = source.migrate(to, Some("move-copied")).await;
    assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{killed:?}");
    to.sql("UPDATE roomcast.messages SET text = 'changed' WHERE room = '1' AND seq = 1234");
    let output = source.migrate(to, None).await;
    assert!(stderr(&output).contains("the stores differ"), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let different: Vec<_> = printed.lines().filter(|line| line.ends_with("DIFFERENT")).collect();
    assert!(different.len() == 1 && different[0].starts_with("messages"), "{printed}");
    source.is_not_served(to).await;
    let again = source.migrate(to, None).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("begins anew"), "{again:?}");
    assert_eq!(rows(&stdout(&again), "messages"), (2500, 2500));
    goes_on(source, place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_of_the_move_are_a_difference() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let source = Source::new().await;
    for extra in [
        "INSERT INTO roomcast.changes VALUES ('1', 2, 1, 1, '{}')",
        "INSERT INTO roomcast.restraints (id, room, uid, kind, since, by_uid) VALUES (gen_random_uuid(), '*', 'u', 'ban', 1, 'o')",
        "UPDATE roomcast.heads SET rev = 3 WHERE room = '1'",
    ] {
        let killed = source.migrate(to, Some("move-copied")).await;
        assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{killed:?}");
        to.sql(extra);
        let output = source.migrate(to, None).await;
        assert!(stderr(&output).contains("the stores differ"), "{extra}: {output:?}");
    }
    stdout(&source.migrate(to, None).await);
    goes_on(source, place).await;
}

/// Each run would fail again: the error names the rows, and does not say that another run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_postgresql_refuses_are_named() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let source = Source::new().await;
    let folder = source.server.folder();
    for (statement, rows, undo) in [
        (
            "UPDATE messages SET id = 'x' WHERE seq = 1500",
            "(messages, rows 1 1001 to 1 2000)",
            "UPDATE messages SET id = '0193a5d0-5f3c-7c4e-8a51-000000000001' WHERE seq = 1500",
        ),
        (
            "UPDATE people SET nickname = CAST(x'ff' AS TEXT) WHERE uid = 'p7'",
            "(people, the first rows)",
            "UPDATE people SET nickname = 'n' WHERE uid = 'p7'",
        ),
    ] {
        execute(&folder, statement).await;
        let words = stderr(&source.migrate(to, None).await);
        assert!(words.contains(rows) && !words.contains("Run the command again"), "{words}");
        execute(&folder, undo).await;
    }
    stdout(&source.migrate(to, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changed_since_is_moved_from_the_begin() {
    let Some(place) = Place::postgres() else { return };
    let to = place.database.as_ref().unwrap();
    let mut source = Source::new().await;
    let killed = source.migrate(to, Some("move-11")).await;
    assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{killed:?}");
    source.server.restart();
    assert_eq!(source.guest.send("since").await.body["seq"], 2501);
    source.server.kill();
    let again = source.migrate(to, None).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("begins anew"), "{again:?}");
    assert_eq!(rows(&stdout(&again), "messages"), (2501, 2501));
}

#[tokio::test]
async fn a_move_needs_a_source_and_a_target() {
    let data = tempfile::TempDir::new().unwrap();
    let run = |arguments: &[&str]| binary().current_dir(data.path()).args(arguments).output().unwrap();
    assert!(stderr(&run(&["migrate-store", "--from", "data"])).contains("ROOMCAST_STORAGE_URL"));
    let words = stderr(&run(&["migrate-store", "--from", "data", "--to", "mysql://u:secret@h/d"]));
    assert!(words.contains("begins with `mysql:`") && !words.contains("secret"), "{words}");
    let words = stderr(&run(&["migrate-store", "--from", "nowhere", "--to", "postgres://u:secret@127.0.0.1:1/d"]));
    assert!(words.contains("nowhere") && words.contains("it has no database") && !words.contains("secret"), "{words}");
    assert!(!data.path().join("nowhere").exists());
}
