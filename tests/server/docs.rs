//! The code blocks of README.md and docs/ run, their tables agree with the source, and their links have targets.
//!
//! A block's info string says how it is checked:
//!
//! | info string | check |
//! |---|---|
//! | `sh` | bash executes it beside a running server; it exits with 0 |
//! | `sh postgres`, `sql` | bash and psql execute it on a PostgreSQL server of its own; it exits with 0 |
//! | `sh no-run` | its commands are in [`NOT_RUN`], with the reason |
//! | `console` | as `sh`; the lines after a `$ ` command are its output |
//! | `toml` | `roomcast --config` accepts it |
//! | `json` | it parses; several values may follow each other |
//! | `html`, `js` | node parses the scripts; `end2end/tests/docs.hydrate.spec.ts` loads the complete pages in a browser |
//! | `php` | `php -l`; bind.php and send.php serve a page |
//! | `python` | a server of its own is beside it, which it answers in |
//! | `nginx`, `haproxy`, `nats` | `nginx -t`, `haproxy -c`, `nats-server -t`; those of cluster.md lead to two nodes |
//! | `env` | the binary takes the variables |
//! | `ini` | it has the form of a unit file |
//! | `yaml` | a parser reads it; names and addresses of a compose file fit together |
//! | `text` | none |

mod balancers;
mod blocks;
mod bot;
mod facts;
mod php;
mod postgres;
mod shell;
mod site;

use crate::support::binary;
use blocks::{Block, blocks, documents};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

const LANGUAGES: [&str; 18] = [
    "sh",
    "python",
    "sh no-run",
    "sh postgres",
    "sql",
    "console",
    "toml",
    "json",
    "html",
    "js",
    "php",
    "nginx",
    "haproxy",
    "nats",
    "env",
    "ini",
    "yaml",
    "text",
];
/// Commands that no test machine runs, and why.
const NOT_RUN: [(&str, &str); 2] = [("systemctl", "needs systemd as the first process"), ("ufw", "changes the host's firewall")];

/// Returns whether `program` is installed. With CI=true or as root a missing program fails the test instead, because
/// `tools/setup.sh test` installs Debian's packages there.
pub fn is_installed(program: &str, package: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|output| output.status.success());
    // SAFETY: geteuid() has no preconditions.
    let must_be = std::env::var("CI").is_ok_and(|ci| ci == "true") || unsafe { libc::geteuid() } == 0;
    assert!(found || !must_be, "{program} is missing: apt-get install {package}");
    if !found {
        eprintln!("skipped: {program} is not installed ({package})");
    }
    found
}

fn assert_success(output: &Output, block: &Block) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{block}: {}\n{out}\n{err}", output.status);
}

#[test]
fn docs_every_block_has_a_known_info_string() {
    for block in blocks() {
        assert!(LANGUAGES.contains(&block.info.as_str()), "{block}: `{}` is not one of {LANGUAGES:?}", block.info);
    }
    for (name, text) in documents() {
        let mut is_inside = false;
        for (number, line) in text.lines().enumerate() {
            is_inside ^= line.starts_with("```");
            assert!(
                is_inside || !line.starts_with("    "),
                "{name}:{}: an indented block: fence it, with an info string",
                number + 1
            );
        }
        assert!(!is_inside, "{name}: a fence is not closed");
    }
}

#[test]
fn docs_blocks_that_are_not_run_are_a_short_list() {
    let mut unused: BTreeSet<_> = NOT_RUN.iter().map(|(program, _)| *program).collect();
    for block in blocks().iter().filter(|block| block.info == "sh no-run") {
        for line in block.text.lines() {
            let program = line.split_whitespace().next().unwrap_or_default();
            assert!(NOT_RUN.iter().any(|(known, _)| *known == program), "{block}: `{program}` can be run");
            unused.remove(program);
        }
    }
    assert!(unused.is_empty(), "no block has {unused:?}");
}

#[test]
fn docs_toml_blocks_are_accepted_by_the_binary() {
    let checked = blocks().into_iter().filter(|block| block.info == "toml").map(|block| {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("Leptos.toml");
        std::fs::write(&file, &block.text).unwrap();
        let mut command = binary();
        command.arg("--config").arg(&file).arg("--data-dir").arg(folder.path().join("data")).args(["key", "list"]);
        assert_success(&command.output().unwrap(), &block);
    });
    assert!(checked.count() >= 5);
}

#[test]
fn docs_json_blocks_parse() {
    for block in blocks().iter().filter(|block| block.info == "json") {
        let values = serde_json::Deserializer::from_str(&block.text).into_iter::<serde_json::Value>();
        let values: Result<Vec<_>, _> = values.collect();
        assert!(values.as_ref().is_ok_and(|values| !values.is_empty()), "{block}: {values:?}");
    }
}

#[test]
fn docs_scripts_parse() {
    if !is_installed("node", "nodejs") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    for block in blocks().into_iter().filter(|block| block.info == "js" || block.info == "html") {
        for script in block.scripts() {
            let file = folder.path().join("script.js");
            std::fs::write(&file, script).unwrap();
            assert_success(&Command::new("node").arg("--check").arg(&file).output().unwrap(), &block);
        }
    }
}

#[test]
fn docs_nginx_blocks_are_accepted_by_nginx() {
    // Debian's place is not on every user's PATH.
    let nginx = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    if !is_installed(nginx, "nginx-light") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let (certificate, key) = shell::certificate(folder.path());
    let here = folder.path().display();
    for block in blocks().into_iter().filter(|block| block.info == "nginx") {
        // The ports below 1024 need root, and all of them may be in use.
        let text = block.text.replace("listen 443", "listen 127.0.0.1:28443").replace("listen 8282", "listen 127.0.0.1:28282");
        let text = text.replace("/etc/ssl/chat.pem", &certificate).replace("/etc/ssl/chat.key", &key);
        let text = if text.starts_with("location") { format!("server {{ listen 127.0.0.1:28080; {text} }}") } else { text };
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};\n"));
        let whole = format!(
            "pid {here}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{}{text}}}\n",
            temporary.concat()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, whole).unwrap();
        let output = Command::new(nginx).args(["-t", "-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(&file).output();
        assert_success(&output.unwrap(), &block);
    }
}

#[test]
fn docs_unit_files_have_sections_and_keys() {
    for block in blocks().iter().filter(|block| block.info == "ini") {
        let mut has_section = false;
        for line in block.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_section = line.starts_with('[') && line.ends_with(']');
            has_section |= is_section;
            let is_key = line.split_once('=').is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_alphanumeric()));
            assert!(has_section && (is_section || is_key), "{block}: {line}");
        }
    }
}
