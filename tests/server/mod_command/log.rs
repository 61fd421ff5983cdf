//! `roomcast mod verify` names the first bad row of a log that was changed, also of one that was cut with its head.

use super::{ALL, failed, roomcast};
use crate::command_line::{printed, run};
use crate::support::{Place, Server, eventually, read};
use serde_json::{Value, json};

/// A stopped server with a log of eight rows in room 1, and the printed heads.
async fn with_log(place: Place) -> (Server, String) {
    let mut server = Server::on(place, &ALL);
    let ming = server.guest("阿明").await;
    for n in 0..4 {
        assert_eq!(ming.send(&format!("text {n}")).await.status, 200);
    }
    for line in ["remove 1 1", "remove 1 2", "remove 1 3"] {
        printed(&roomcast(&server, &format!("mod {line}")));
    }
    printed(&run(&server, &["mod", "timeout", "1", "阿明", "1m", "a reason"], ""));
    printed(&run(&server, &["mod", "timeout", "1", "阿明", "2m"], ""));
    printed(&roomcast(&server, "room slow 1 5"));
    printed(&roomcast(&server, "room close 1"));
    printed(&roomcast(&server, "room open 1"));
    server.kill();
    let heads = printed(&roomcast(&server, "mod verify"));
    assert!(heads.contains("1:8:") && heads.contains("8 rows"), "{heads}");
    (server, heads)
}

/// Takes the protection of the rows away.
async fn unprotect(place: &Place) {
    let sqlite = ["actions_are_not_changed", "actions_are_not_deleted"];
    for (sqlite, postgres) in sqlite.into_iter().zip(["actions_are_not_changed", "actions_are_not_emptied"]) {
        place.sql_of_each(&format!("DROP TRIGGER {sqlite}"), &format!("DROP TRIGGER {postgres} ON {{}}actions")).await;
    }
}

/// Changes of the log: name, statement of each store, and the beginning of the line that `verify` prints.
fn changes(id_of_3: &str) -> Vec<(&'static str, (&'static str, &'static str), String)> {
    let flip_sqlite = "UPDATE actions SET hash = zeroblob(32) WHERE chain = '1' AND n = 3";
    let flip_postgres = "UPDATE {}actions SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1) WHERE chain = '1' AND n = 3";
    let same = |sql: &'static str| (sql, sql);
    vec![
        (
            "a byte of a body",
            same(
                "UPDATE {}actions SET body = replace(body, '\"verb\":\"remove\"', '\"verb\":\"ramove\"') WHERE chain = '1' AND n = 3",
            ),
            format!("chain 1, row 3, act {id_of_3}: the hash"),
        ),
        ("a byte of a hash", (flip_sqlite, flip_postgres), format!("chain 1, row 3, act {id_of_3}: the hash")),
        (
            "a column",
            same("UPDATE {}actions SET actor = 'somebody' WHERE chain = '1' AND n = 3"),
            format!("chain 1, row 3, act {id_of_3}: the column actor"),
        ),
        (
            "the time in its column",
            same("UPDATE {}actions SET at = at - 1 WHERE chain = '1' AND n = 3"),
            format!("chain 1, row 3, act {id_of_3}: the column at"),
        ),
        (
            "the tail",
            same("DELETE FROM {}actions WHERE chain = '1' AND n > 6"),
            "chain 1, row 7, act none: the row is missing: the end".into(),
        ),
        (
            "the middle",
            same("DELETE FROM {}actions WHERE chain = '1' AND n = 3"),
            "chain 1, row 3, act none: the row is missing".into(),
        ),
        (
            "all rows",
            same("DELETE FROM {}actions WHERE chain = '1'"),
            "chain 1, row 1, act none: the row is missing: the end".into(),
        ),
        (
            "the order",
            same("UPDATE {}actions SET n = CASE n WHEN 3 THEN 104 WHEN 4 THEN 3 END WHERE chain = '1' AND n IN (3, 4)"),
            "chain 1, row 3, act ".into(),
        ),
        (
            "a reason",
            same("UPDATE {}action_texts SET text = 'another reason' WHERE text = 'a reason'"),
            "chain 1, row 4, act ".into(),
        ),
        ("a head", same("UPDATE {}chains SET n = 7 WHERE chain = '1'"), "chain 1, row 8, act ".into()),
    ]
}

/// Trap 21 of the research: a log that was flipped, cut, thinned out or reordered is named by its first bad row.
#[tokio::test(flavor = "multi_thread")]
async fn verify_names_the_first_bad_row_of_a_changed_log() {
    let (server, _) = with_log(Place::new()).await;
    let id_of_3 = "SELECT CAST(id AS TEXT) FROM {}actions WHERE chain = '1' AND n = 3";
    let id_of_3 = server.sql_of_each(id_of_3, id_of_3).await[0].clone();
    unprotect(&server).await;
    for (name, (sqlite, postgres), expected) in changes(&id_of_3) {
        let saved = Saved::of(&server).await;
        server.sql_of_each(sqlite, postgres).await;
        let said = failed(&roomcast(&server, "mod verify"));
        assert!(said.contains(&expected), "{name}: {said}");
        assert!(said.contains("1 of 1 chains are bad"), "{name}: {said}");
        saved.put_back(&server).await;
        printed(&roomcast(&server, "mod verify"));
    }
}

/// Trap 21 of the research: only a head that was printed before tells of a cut with its head.
#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_a_cut_with_its_head_by_a_printed_head() {
    let (server, heads) = with_log(Place::new()).await;
    let printed_head = heads.lines().find(|line| line.starts_with("1:8:")).unwrap();
    printed(&roomcast(&server, &format!("mod verify --head {printed_head}")));
    unprotect(&server).await;
    server.sql("DELETE FROM {}actions WHERE chain = '1' AND n > 5").await;
    let head = "SET n = 5, hash = (SELECT hash FROM {}actions WHERE chain = '1' AND n = 5) WHERE chain = '1'";
    server.sql(&format!("UPDATE {{}}chains {head}")).await;
    printed(&roomcast(&server, "mod verify"));
    let said = failed(&roomcast(&server, &format!("mod verify --head {printed_head}")));
    assert!(said.contains("chain 1, row 6, act none: the row is missing: the end"), "{said}");
    server.sql("DELETE FROM {}actions").await;
    server.sql("DELETE FROM {}chains").await;
    printed(&roomcast(&server, "mod verify"));
    assert!(failed(&roomcast(&server, &format!("mod verify --head {printed_head}"))).contains("chain 1, row 1, act none"));
}

/// Copies of the tables of the log.
struct Saved;

impl Saved {
    const TABLES: [&str; 3] = ["actions", "chains", "action_texts"];

    async fn of(place: &Place) -> Self {
        for table in Self::TABLES {
            place.sql(&format!("CREATE TABLE {{}}saved_{table} AS SELECT * FROM {{}}{table}")).await;
        }
        Self
    }

    async fn put_back(self, place: &Place) {
        for table in Self::TABLES {
            place.sql(&format!("DELETE FROM {{}}{table}")).await;
            place.sql(&format!("INSERT INTO {{}}{table} SELECT * FROM {{}}saved_{table}")).await;
            place.sql(&format!("DROP TABLE {{}}saved_{table}")).await;
        }
    }
}

/// The titles stand beside the row, and are gone when their time has ended; the chain is whole all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_title_stands_beside_its_row_and_not_in_the_chain() {
    const TITLE: &str = "a title like no other";
    let server = Server::with(&ALL);
    let owner = server.owner().await;
    let titled = owner.post("/gateway/mod/title", &[("room", "1"), ("title", TITLE)]).await;
    assert_eq!(titled.status, 200, "{}", titled.body);
    let chained = format!("SELECT count(*) FROM {{}}actions WHERE body LIKE '%{TITLE}%'");
    assert_eq!(server.count(&chained).await, 0);
    let row = async |file: &str| {
        printed(&roomcast(&server, &format!("mod log --room 1 --export {file}")));
        let text = std::fs::read_to_string(server.data.path().join(file)).unwrap();
        serde_json::from_str::<Value>(text.lines().next().unwrap()).unwrap()
    };
    let detail = async || {
        let request = owner.request("GET", "/gateway/mod/log?room=1").header("accept", "application/json");
        let rows = read(request.send().await.unwrap()).await.body["rows"].clone();
        rows.as_array().unwrap().iter().find(|row| row["verb"] == "title").unwrap()["detail"].clone()
    };
    let exported = row("kept.jsonl").await;
    assert_eq!((&exported["title_after"], exported["title_before"].is_string()), (&json!(TITLE), true), "{exported}");
    assert!(!exported["body"].as_str().unwrap().contains(TITLE), "{exported}");
    assert_eq!(detail().await, TITLE);
    server.sql("DELETE FROM {}action_texts").await;
    let exported = row("ended.jsonl").await;
    assert!(!exported.to_string().contains(TITLE) && exported["body"].as_str().unwrap().contains("title_hash"), "{exported}");
    assert_eq!(detail().await, Value::Null);
    assert!(printed(&roomcast(&server, "mod verify")).contains("whole: "));
}

/// The chain of an id is never cut: a new room under the id of a deleted one goes on with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_an_id_goes_on_in_a_new_room() {
    let server = Server::with(&ALL);
    printed(&roomcast(&server, "room add One --id song"));
    printed(&roomcast(&server, "room title song Two"));
    printed(&roomcast(&server, "room delete song --yes"));
    let head = printed(&roomcast(&server, "mod verify"));
    let head = head.lines().find(|line| line.starts_with("song:1:")).unwrap();
    eventually("the id is free", async || roomcast(&server, "room add Three --id song").status.success()).await;
    assert!(printed(&roomcast(&server, &format!("mod verify --head {head}"))).contains("song:1:"), "also before its first act");
    printed(&roomcast(&server, "room title song Four"));
    assert!(printed(&roomcast(&server, &format!("mod verify --head {head}"))).contains("song:2:"));
    let log = printed(&roomcast(&server, "mod log --room song"));
    assert!(log.contains("\tsong#1\tcli\ttitle\t") && log.contains("\tsong#2\tcli\ttitle\t"), "{log}");
}
