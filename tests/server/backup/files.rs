//! The files of `backup` and `restore`: names that lead elsewhere, owners, modes, and what a killed command left.

use super::{SETTINGS, execute, messages_in, names, printed, refused, roomcast, texts};
use crate::support::{Person, Place, Server, binary, eventually};
use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Uid and gid of a user that is not this one.
const OTHER: u32 = 65534;

/// The copies of backups in the data folder.
fn staged(root: &Path) -> Vec<String> {
    names(&root.join("data")).into_iter().filter(|name| name.starts_with("roomcast.restore-")).collect()
}

#[tokio::test]
async fn a_backup_writes_through_no_link_and_over_no_other_file() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path();
    server.guest("a").await.send("one").await;
    let (database, part) = (root.join("data/roomcast.db"), root.join("copy.db.part"));
    let unchanged = std::fs::read(&database).unwrap();
    let refuse = async |what: &str| {
        let words = refused(&roomcast(root, &["backup", "copy.db", "--force"]).await);
        assert!(words.contains("copy.db.part is there and was left by no backup"), "{what}: {words}");
        assert!(std::fs::read(&database).unwrap() == unchanged, "{what}: the database is as it was");
        assert!(!root.join("copy.db").exists(), "{what}");
    };
    symlink(&database, &part).unwrap();
    refuse("link").await;
    std::fs::remove_file(&part).unwrap();
    std::fs::hard_link(&database, &part).unwrap();
    refuse("second name").await;
    std::fs::remove_file(&part).unwrap();
    std::fs::write(&part, "a file of somebody").unwrap();
    refuse("other content").await;
    assert_eq!(std::fs::read(&part).unwrap(), b"a file of somebody");
    std::fs::remove_file(&part).unwrap();
    assert!(Command::new("mkfifo").arg(&part).status().unwrap().success());
    refuse("pipe").await;
    std::fs::remove_file(&part).unwrap();
    printed(&roomcast(root, &["backup", "copy.db"]).await);
    assert_eq!(messages_in(&root.join("copy.db")).await.len(), 1);
}

#[tokio::test]
async fn a_restore_of_a_pipe_ends_and_what_a_killed_one_left_goes() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    server.kill();
    assert!(Command::new("mkfifo").arg(root.join("pipe.db")).status().unwrap().success());
    let words = refused(&roomcast(&root, &["restore", "pipe.db", "--yes"]).await);
    assert!(words.contains("cannot be read: it is not a file"), "{words}");
    for name in ["roomcast.restore-1.db", "roomcast.restore-1.db-journal"] {
        std::fs::write(root.join("data").join(name), "half").unwrap();
    }
    printed(&roomcast(&root, &["restore", "copy.db", "--yes"]).await);
    assert_eq!(staged(&root), Vec::<String>::new());
}

/// As root: the service's user owns the folder, and must be able to open all files in it.
#[tokio::test]
async fn files_that_a_command_of_root_makes_belong_to_the_folders_owner() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    printed(&roomcast(&root, &["backup", "copy.db"]).await);
    server.kill();
    let folder = root.join("data");
    // SAFETY: geteuid() has no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let files = || names(&folder).into_iter().filter(|name| name != "roomcast.sock");
    if is_root {
        chown(&folder, Some(OTHER), Some(OTHER)).unwrap();
        files().for_each(|name| chown(folder.join(name), Some(OTHER), Some(OTHER)).unwrap());
    }
    let owner = std::fs::metadata(&folder).unwrap().uid();
    for arguments in [["key", "list"].as_slice(), &["backup", "second.db"], &["restore", "copy.db", "--yes"]] {
        for lock in ["roomcast.commands.lock", "roomcast.lock"] {
            let _ = std::fs::remove_file(folder.join(lock));
        }
        printed(&roomcast(&root, arguments).await);
        for name in files() {
            let found = std::fs::metadata(folder.join(&name)).unwrap();
            assert_eq!((found.uid(), found.permissions().mode() & 0o077), (owner, 0), "{arguments:?}: {name}");
        }
    }
    // Nor does it give away what a link leads to.
    std::fs::write(root.join("mine"), "").unwrap();
    std::fs::remove_file(folder.join("roomcast.commands.lock")).unwrap();
    symlink(root.join("mine"), folder.join("roomcast.commands.lock")).unwrap();
    refused(&roomcast(&root, &["key", "list"]).await);
    // SAFETY: as above.
    assert_eq!(std::fs::metadata(root.join("mine")).unwrap().uid(), unsafe { libc::geteuid() });
}

/// A server with enough people that a copy takes a while, and one message.
async fn large() -> (Server, Person) {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let person = server.guest("a").await;
    person.send("in the backup").await;
    execute(
        &server.folder().join("roomcast.db"),
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
        INSERT INTO people (uid, nickname, created_at) SELECT 'p' || i, hex(randomblob(200)), i FROM n",
    )
    .await;
    (server, person)
}

fn started(root: &Path, arguments: &[&str]) -> Child {
    let mut command = binary();
    command.current_dir(root).args(["--data-dir", "data", "--addr", "127.0.0.1:0"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: kill() has no memory effects, and the process is not awaited yet.
    assert_eq!(unsafe { libc::kill(child.id().try_into().unwrap(), signal) }, 0);
}

/// Starts a restore and halts it while it copies or checks the backup.
async fn halted_restore(root: &Path) -> Child {
    printed(&roomcast(root, &["backup", "copy.db"]).await);
    let child = started(root, &["restore", "copy.db", "--yes"]);
    eventually("the backup is being copied", async || !staged(root).is_empty()).await;
    signal(&child, libc::SIGSTOP);
    let name = staged(root).first().cloned().expect("it has not ended");
    assert!(File::open(root.join("data").join(&name)).unwrap().try_lock().is_err(), "other processes see that it is in use");
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_leaves_the_copy_that_a_restore_checks() {
    let (server, person) = large().await;
    let root = server.data.path().to_owned();
    let child = halted_restore(&root).await;
    printed(&roomcast(&root, &["reload"]).await);
    signal(&child, libc::SIGCONT);
    printed(&child.wait_with_output().unwrap());
    assert_eq!(texts(&person).await, ["in the backup"]);
    assert_eq!(staged(&root), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_on_without_a_server_that_ended_meanwhile() {
    let (mut server, person) = large().await;
    let root = server.data.path().to_owned();
    let child = halted_restore(&root).await;
    person.send("after it").await;
    server.kill();
    signal(&child, libc::SIGCONT);
    printed(&child.wait_with_output().unwrap());
    server.restart();
    assert_eq!(texts(&person).await, ["in the backup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backup_leaves_no_file() {
    let (server, _) = large().await;
    let root = server.data.path();
    for number in [libc::SIGINT, libc::SIGTERM] {
        let child = started(root, &["backup", "copy.db"]);
        eventually("the copy has begun", async || std::fs::metadata(root.join("copy.db.part")).is_ok_and(|part| part.len() > 0))
            .await;
        signal(&child, number);
        let words = refused(&child.wait_with_output().unwrap());
        assert!(words.contains("copy.db was not written: interrupted"), "{words}");
        assert!(!names(root).iter().any(|name| name.starts_with("copy.db")), "{:?}", names(root));
    }
}
