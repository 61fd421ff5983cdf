//! A restore that is killed at any step leaves the former database or the restored one, whole; its successor's death at any
//! step leaves the running server as it was.

use super::{SETTINGS, kept_aside, names, printed, refused, roomcast, roomcast_failing_at, texts};
use crate::support::{Place, Server, eventually, fail_at};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use tempfile::TempDir;

/// The steps of a restore, each with whether the backup is in place after it.
const STEPS: [(&str, bool); 7] = [
    ("copied", false),
    ("staged", false),
    ("log-emptied", false),
    ("linked", false),
    ("log-moved", false),
    ("in-place", true),
    ("tidied", true),
];

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in names(from).iter().filter(|name| !name.ends_with(".sock")) {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// No file of an unfinished restore is in the folder, and no file that is kept aside is the database itself.
fn is_tidy(root: &Path) {
    use std::os::unix::fs::MetadataExt;
    let folder = root.join("data");
    let left = names(&folder);
    let is_remains = |name: &String| name.starts_with("roomcast.restore-") || (name.contains("before") && !name.ends_with(".db"));
    assert!(!left.iter().any(is_remains), "{left:?}");
    let links = std::fs::metadata(folder.join("roomcast.db")).unwrap().nlink();
    assert_eq!(links, 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_killed_at_each_step_leaves_one_whole_history() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    person.send("in the backup").await;
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    person.send("after it").await;
    server.kill();
    let copy = root.join("copy.db");
    let restore = ["restore", copy.to_str().unwrap(), "--yes"];
    for (step, is_restored) in STEPS {
        let data = TempDir::new().unwrap();
        copy_folder(&root.join("data"), &data.path().join("data"));
        let killed = roomcast_failing_at(data.path(), &restore, Some(step)).await;
        assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{step}: {killed:?}");
        // A command may come before the next server.
        let listed = printed(&roomcast(data.path(), &["room", "list"]).await);
        assert!(listed.starts_with("1\t"), "{step}: {listed}");
        let mut server = Server::on(data, &SETTINGS);
        is_tidy(server.data.path());
        let person = server.guest("b").await;
        let expected: &[&str] = if is_restored { &["in the backup"] } else { &["in the backup", "after it"] };
        assert_eq!(texts(&person).await, expected, "{step}");
        assert_eq!(person.send("next").await.body["seq"], expected.len() as u64 + 1, "{step}");
        // The next restore is whole.
        server.kill();
        printed(&roomcast(server.data.path(), &restore).await);
        server.restart();
        assert_eq!(texts(&person).await, ["in the backup"], "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_killed_at_each_step_of_a_restore_leaves_the_server_as_it_was() {
    for (step, _) in STEPS.into_iter().skip(2) {
        let data = TempDir::new().unwrap();
        fail_at(&data, Some(step));
        let mut server = Server::on(data, &SETTINGS);
        let (root, pid) = (server.data.path().to_owned(), server.pid());
        let person = server.guest("a").await;
        person.send("in the backup").await;
        printed(&roomcast(&root, &["backup", "copy.db"]).await);
        person.send("after it").await;
        let mut page = person.open_bound(Some("roomcast.v1")).await;
        let words = refused(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
        assert!(words.contains("this process keeps serving"), "{step}: {words}");
        assert_eq!(texts(&person).await, ["in the backup", "after it"], "{step}");
        assert_eq!(person.send("goes on").await.body["seq"], 3, "{step}");
        // The push of the message before may have been under way.
        while page.push_of("message").await["text"] != "goes on" {}
        assert!(printed(&roomcast(&root, &["status"]).await).contains(&format!("pid {pid} ")), "{step}");
        is_tidy(&root);
        // A command opens the same files as the server.
        printed(&roomcast(&root, &["room", "add", "second"]).await);
        assert_eq!(person.post("/gateway/send", &[("room", "2"), ("message", "x")]).await.status, 200, "{step}");
        server.kill();
        fail_at(&server.data, None);
        server.restart();
        assert_eq!(texts(&person).await, ["in the backup", "after it", "goes on"], "{step}");
        printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
        assert_eq!(texts(&person).await, ["in the backup"], "{step}");
    }
}

/// The new process has opened the restored database and written to it before it fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_fails_after_it_opened_the_backup_leaves_the_server_as_it_was() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    person.send("in the backup").await;
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    for _ in 0..3 {
        person.send("after it").await;
    }
    let socket = person.open(None).await;
    let epoch = person.bind(&socket, &[]).await.body["epoch"].clone();
    let log = root.join("data/security.log");
    std::fs::rename(&log, root.join("log-of-before")).unwrap();
    std::fs::create_dir(&log).unwrap();
    let words = refused(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert!(words.contains("this process keeps serving"), "{words}");
    std::fs::remove_dir(&log).unwrap();
    assert_eq!(person.send("goes on").await.body["seq"], 5);
    assert!(kept_aside(&root).is_empty());
    server.kill();
    server.restart();
    assert_eq!(texts(&person).await.len(), 5);
    let socket = person.open(None).await;
    assert_eq!(person.bind(&socket, &[]).await.body["epoch"], epoch, "it is the same history");
    printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    eventually("the backup is served", async || texts(&person).await == ["in the backup"]).await;
}
