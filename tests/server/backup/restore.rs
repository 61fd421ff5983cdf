//! A restored backup is another history: old or new on each page, and never a mixture.

use super::{SETTINGS, Senders, execute, kept_aside, messages_in, names, open, printed, refused, roomcast, texts};
use crate::support::{Person, Place, Server, eventually};
use serde_json::Value;
use sqlx::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

async fn epoch(person: &Person) -> String {
    let socket = person.open(None).await;
    person.bind(&socket, &[]).await.body["epoch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_stopped_servers_database() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    person.send("in the backup").await;
    let first = epoch(&person).await;
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    person.send("after it").await;
    // A killed server leaves its last messages in the write-ahead log.
    server.kill();
    assert!(refused(&roomcast(&root, &["restore", "copy.db"]).await).contains("add --yes"));
    let line = printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert!(line.starts_with("restored copy.db: 1 rooms, 1 messages\nthe former database is "), "{line}");
    server.restart();
    assert_eq!(texts(&person).await, ["in the backup"], "sessions are those of the backup");
    assert_ne!(epoch(&person).await, first);
    assert_eq!(person.send("a new history").await.body["seq"], 2);
    let aside = kept_aside(&root);
    assert_eq!(aside.len(), 1, "{line}");
    assert_eq!(messages_in(&aside[0]).await[&2], "after it");
    let log = std::fs::read_to_string(root.join("data/security.log")).unwrap();
    assert!(log.contains(r#""act":"restored","by":"command""#), "{log}");

    // The former database is a backup itself. Those of the last day are kept, and the two newest.
    server.kill();
    for _ in 0..2 {
        printed(&roomcast(&root, &["restore", aside[0].to_str().unwrap(), "--yes"]).await);
        server.restart();
        assert_eq!(texts(&person).await, ["in the backup", "after it"]);
        server.kill();
    }
    let kept = kept_aside(&root);
    assert!(kept.len() == 3 && kept[0] == aside[0], "{kept:?}");
    let old = root.join("data/roomcast.before-restore-20200101T000000Z.db");
    std::fs::rename(&aside[0], &old).unwrap();
    printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    let kept = kept_aside(&root);
    assert!(kept.len() == 3 && !kept.contains(&old), "{kept:?}");
    let left = names(&root.join("data"));
    assert!(!left.iter().any(|name| name.starts_with("roomcast.restore-")), "{left:?}");
}

#[tokio::test]
async fn a_backup_is_restored_into_an_empty_folder_and_in_place_of_a_damaged_database() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path();
    server.guest("a").await.send("in the backup").await;
    printed(&roomcast(root, &["backup", "copy.db"]).await);
    let copy = root.join("copy.db");
    for damage in [false, true] {
        let data = TempDir::new().unwrap();
        if damage {
            std::fs::create_dir(data.path().join("data")).unwrap();
            std::fs::write(data.path().join("data/roomcast.db"), [7; 20_000]).unwrap();
        }
        printed(&roomcast(data.path(), &["restore", copy.to_str().unwrap(), "--yes"]).await);
        let kept = kept_aside(data.path());
        assert_eq!(
            kept.iter().map(|kept| std::fs::read(kept).unwrap()).collect::<Vec<_>>(),
            vec![vec![7; 20_000]; usize::from(damage)]
        );
        let server = Server::on(data, &SETTINGS);
        assert_eq!(texts(&server.guest("b").await).await, ["in the backup"]);
    }
}

/// Overwrites a page in the middle.
fn damage(database: &Path) {
    let mut bytes = std::fs::read(database).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(database, bytes).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_sound_backup_is_refused_and_nothing_changes() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    for _ in 0..50 {
        person.send(&"x".repeat(140)).await;
    }
    let before = (server.pid(), epoch(&person).await);
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    let copy_to = |name: &str| {
        std::fs::copy(root.join("copy.db"), root.join(name)).unwrap();
        root.join(name)
    };
    std::fs::write(root.join("text.db"), "not a database at all").unwrap();
    std::fs::write(root.join("empty.db"), "").unwrap();
    execute(&root.join("other.db"), "CREATE TABLE rooms (id)").await;
    damage(&copy_to("damaged.db"));
    let newer = copy_to("newer.db");
    execute(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)",
    )
    .await;
    execute(&newer, "UPDATE facts SET value = CAST('9999' AS BLOB) WHERE name = 'schema.compatible_from'").await;
    execute(&copy_to("changed.db"), "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2").await;
    let mut broken = open(&copy_to("broken.db")).await;
    for statement in ["PRAGMA foreign_keys = OFF", "UPDATE rooms SET host = 'nobody'"] {
        sqlx::query(statement).execute(&mut broken).await.unwrap();
    }
    broken.close().await.unwrap();
    std::fs::write(copy_to("open.db").with_file_name("open.db-wal"), "frames").unwrap();
    let cases = [
        ("nowhere.db", "cannot be read"),
        ("data", "cannot be read"),
        ("text.db", "it is not an SQLite database"),
        ("empty.db", "it is not an SQLite database"),
        ("other.db", "it has no table _sqlx_migrations"),
        ("changed.db", "its schema is another program's"),
        ("damaged.db", "is damaged"),
        ("broken.db", "a row of rooms names another one that is not there"),
        ("newer.db", "has schema 9999, which needs a newer roomcast"),
        ("open.db", "is a database in use"),
        ("data/roomcast.db", "is a database in use"),
    ];
    for is_running in [true, false] {
        for (name, reason) in cases {
            let words = refused(&roomcast(&root, &["restore", name, "--yes"]).await);
            assert!(words.contains(reason) && !words.contains("put back the copy"), "{name}: {words}");
        }
        let left = names(&root.join("data"));
        assert!(!left.iter().any(|name| name.contains("restore")), "{left:?}");
        if is_running {
            assert_eq!((server.pid(), epoch(&person).await), before);
            server.kill();
        }
    }
    server.restart();
    assert_eq!((texts(&person).await.len(), epoch(&person).await), (50, before.1));
}

#[tokio::test]
async fn a_backup_with_another_schema_is_refused() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path();
    printed(&roomcast(root, &["backup", "copy.db"]).await);
    for (statement, reason) in [
        ("DROP TABLE devices", "its table devices is missing or another one"),
        ("DROP INDEX messages_nonce", "its index messages_nonce is missing or another one"),
        ("CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM devices; END", "it has the trigger t, which"),
    ] {
        std::fs::copy(root.join("copy.db"), root.join("changed.db")).unwrap();
        execute(&root.join("changed.db"), statement).await;
        let words = refused(&roomcast(root, &["restore", "changed.db", "--yes"]).await);
        assert!(words.contains(reason), "{statement}: {words}");
    }
}

#[tokio::test]
async fn a_restore_waits_for_commands_and_commands_for_a_restore() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    let lock = std::fs::File::options().write(true).open(root.join("data/roomcast.commands.lock")).unwrap();
    lock.lock_shared().unwrap();
    let words = refused(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert!(words.contains("a command, perhaps a backup, uses the database"), "{words}");
    assert_eq!(server.guest("a").await.send("still here").await.status, 200);
    lock.unlock().unwrap();
    lock.lock().unwrap();
    let words = refused(&roomcast(&root, &["room", "list"]).await);
    assert!(words.contains("is being replaced by a backup"), "{words}");
    lock.unlock().unwrap();
    printed(&roomcast(&root, &["room", "list"]).await);
}

/// Reads the messages that a page is shown until its socket ends; the newest seq on it is that of the page.
async fn follow(person: &Person, since: Option<(u64, &str)>) -> (String, Vec<(u64, String)>, bool) {
    let mut socket = person.open(Some("roomcast.v1")).await;
    let seq = since.map(|(seq, _)| seq.to_string()).unwrap_or_default();
    let fields = since.map(|(_, epoch)| [("since", seq.as_str()), ("epoch", epoch)]);
    let answer = person.bind(&socket, fields.as_ref().map_or(&[], |fields| fields.as_slice())).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let shown = |message: &Value| (message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned());
    let mut messages: Vec<_> = answer.body["messages"].as_array().unwrap().iter().map(shown).collect();
    let epoch = answer.body["epoch"].as_str().unwrap().to_owned();
    loop {
        let push = socket.push().await;
        match push["type"].as_str() {
            // The first pushes may be in the answer of `bind` as well.
            Some("message") if messages.last().is_none_or(|(seq, _)| shown(&push).0 > *seq) => messages.push(shown(&push)),
            Some("bye") => return (epoch, messages, true),
            _ => {}
        }
        if messages.last().is_some_and(|(_, text)| text == "the last one") {
            return (epoch, messages, false);
        }
    }
}

/// Each page shows the old history, is told `bye`, and begins anew with the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_amid_sends_shows_each_page_the_old_or_the_new_history() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let last = server.guest("last").await;
    let mut pages = Vec::new();
    for number in 0..3 {
        let person = server.guest(&format!("page{number}")).await;
        pages.push(tokio::spawn(async move {
            let (old, before, is_told) = follow(&person, None).await;
            assert!(is_told, "the page is told bye");
            let newest = before.last().unwrap().0;
            let (new, after, _) = follow(&person, Some((newest, old.as_str()))).await;
            assert_ne!(old, new, "the page begins anew");
            (before, after)
        }));
    }
    let senders = Senders::start(&server, 4).await;
    senders.wait_for(50).await;
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    let copied = messages_in(&root.join("copy.db")).await;
    senders.wait_for(100).await;
    let line = printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert!(line.contains(&format!("1 rooms, {} messages", copied.len())) && line.contains(" serves; "), "{line}");
    senders.wait_for(50).await;
    let accepted = senders.stop().await;
    // The pages come back within the time that `bye` gave them; here they do at once.
    eventually("all pages are back", async || {
        let body = server.visitor().get("/metrics").await.text().await.unwrap();
        body.lines().any(|line| line.starts_with("roomcast_connections 3"))
    })
    .await;
    assert_eq!(last.send("the last one").await.status, 200, "sessions of before the backup go on");

    let former = messages_in(&kept_aside(&root)[0]).await;
    let present = messages_in(&root.join("data/roomcast.db")).await;
    let seqs = |history: &BTreeMap<u64, String>| history.keys().copied().collect::<Vec<_>>();
    for history in [&former, &present] {
        assert_eq!(seqs(history), (1..=history.len() as u64).collect::<Vec<_>>(), "no holes");
    }
    assert!(copied.iter().all(|(seq, text)| present[seq] == *text && former[seq] == *text));
    assert!(former.len() >= copied.len() + 100 && present.len() > copied.len());
    for (seq, text) in &accepted {
        let stored = [&former, &present].map(|history| history.get(seq) == Some(text));
        assert!(stored.contains(&true), "{seq} {text} was accepted and is in neither history");
    }
    for page in pages {
        let (before, after) = page.await.unwrap();
        assert!(before.iter().all(|(seq, text)| former.get(seq) == Some(text)), "only the old history until bye");
        assert!(after.iter().all(|(seq, text)| present.get(seq) == Some(text)), "only the new one after it");
        for shown in [before, after] {
            assert!(shown.windows(2).all(|two| two[1].0 == two[0].0 + 1), "each message once, in order");
        }
    }
}

/// While the old process drains, its pages receive nothing of the new history.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_former_history_receives_no_message_of_the_restored_one() {
    let settings = [SETTINGS[0], SETTINGS[1], "web.drain_within_ms=8000"];
    let server = Server::on(Place::sqlite(), &settings);
    let root = server.data.path().to_owned();
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    let mut others = Vec::new();
    // More than one batch of the drain; the page connects last and is drained last.
    for _ in 0..300 {
        others.push(server.visitor().open(None).await);
    }
    let mut page = server.visitor().open_bound(Some("roomcast.v1")).await;
    printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert_eq!(server.guest("b").await.send("of the new history").await.status, 200);
    loop {
        match page.push().await {
            push if push["type"] == "bye" => break,
            push => assert_ne!(push["type"], "message", "{push}"),
        }
    }
}
