//! The blocks of docs/postgres.md, in their order: set-up, commands, a dump and its restoration, which begins another history.

use super::assert_success;
use super::blocks::{Block, blocks};
use crate::support::{Server, postgres::Postgres};
use std::process::Command;

/// The URL of the document, and the role's password in it.
const DOCUMENTED: &str = "roomcast:change-me@db.example.com/roomcast?sslmode=verify-full";

/// The blocks of the document that begin with `start`.
fn documented(start: &str) -> Vec<Block> {
    blocks().into_iter().filter(|block| block.to_string().starts_with("docs/postgres.md") && block.info == start).collect()
}

/// Binds a page, and returns the epoch and the texts that it gets.
async fn bound(server: &Server) -> (String, Vec<String>) {
    let person = server.guest("reader").await;
    let answer = person.bind(&person.open(None).await, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let messages = answer.body["messages"].as_array().unwrap();
    let texts = messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    (answer.body["epoch"].as_str().unwrap().to_owned(), texts)
}

#[tokio::test]
async fn docs_postgres_blocks_run_and_a_restored_dump_is_another_history() {
    let Some(postgres) = Postgres::own() else { return };
    // The document makes the role that the instance brings.
    postgres.sql("postgres", "DROP ROLE roomcast");
    let [set_up, renew, look] = &documented("sql")[..] else { panic!("three blocks of SQL") };
    set_up.text.split_inclusive(";\n").for_each(|statement| _ = postgres.sql("postgres", statement));
    let here = format!("roomcast:change-me@{}/roomcast", postgres.address());
    let url = format!("postgres://{here}");
    let mut server = Server::with(&[&format!("storage.url={url}"), "chat.cooldown_ms=0"]);
    let person = server.guest("Ming").await;
    let send = async |text| assert_eq!(person.post("/gateway/send", &[("room", "1"), ("message", text)]).await.status, 200);
    send("before the dump").await;
    let first = bound(&server).await;

    let folder = tempfile::TempDir::new().unwrap();
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_roomcast"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = |block: &Block| {
        let script = block.text.replace(DOCUMENTED, &here);
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path());
        bash.env("PATH", &path).env("ROOMCAST_STORAGE_URL", &url);
        assert_success(&bash.output().unwrap(), block);
    };
    let [key, dump, restore] = &documented("sh postgres")[..] else { panic!("three blocks of commands") };
    run(key);
    run(dump);
    send("after the dump").await;
    assert_eq!(bound(&server).await, (first.0.clone(), vec!["before the dump".into(), "after the dump".into()]));

    server.kill();
    run(restore);
    server.restart();
    let restored = bound(&server).await;
    assert_ne!(restored.0, first.0, "a page would take new messages for old ones");
    assert_eq!(restored.1, ["before the dump"]);
    assert!(server.log().contains("it was restored from a dump: 1 rooms begin a new epoch"), "{}", server.log());
    server.kill();
    server.restart();
    assert_eq!(bound(&server).await, restored, "once");

    server.kill();
    postgres.sql("roomcast", &renew.text);
    server.restart();
    assert_ne!(bound(&server).await.0, restored.0);
    assert!(postgres.sql("roomcast", &look.text).contains("before the dump"));
}
