//! `sh` and `console` blocks: bash executes them with the test binary as `roomcast`, beside a server of their own.
//!
//! The commands see the documents' names replaced by those of the test, see [`Bench::translated`]. Of the programs on PATH
//! four are stand-ins: `roomcast` ends a server as soon as it serves, `make` prints its commands instead of executing them,
//! `nc` is a few lines of bash.

use super::blocks::{Block, blocks, root};
use super::{assert_success, is_installed};
use crate::support::{Server, Socket, binary};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The documents' API key (`$KEY`) and the key of PHP's ports.
const KEY: &str = "documents";
/// Seconds that a block may take.
const PATIENCE: &str = "60";
/// Printed between the outputs of two commands.
const NEXT: &str = "=== next command ===";

const ROOMCAST: &str = r#"#!/usr/bin/env bash
set -euo pipefail
for word; do
    case $word in
    status | connections | stop | reload | push | key | user | room | mod | backup | restore | help | --help | --version) exec "$ROOMCAST_TEST_BINARY" "$@" ;;
    esac
done
folder=$(mktemp -d)
case " $* " in *" --data-dir "*) ;; *) set -- "$@" --data-dir "$folder/data" ;; esac
env -u LEPTOS_SITE_ADDR "$ROOMCAST_TEST_BINARY" --addr 127.0.0.1:0 "$@" >"$folder/out" 2>"$folder/err" &
server=$!
until grep -q 'Open it' "$folder/out"; do
    kill -0 $server 2>/dev/null || { cat "$folder/err" >&2; exit 1; }
    sleep 0.05
done
kill -TERM $server
wait $server
"#;
const MAKE: &str = r#"#!/usr/bin/env bash
PATH=${PATH#*:} exec make --dry-run --directory "$ROOMCAST_TEST_ROOT" "$@"
"#;
const NC: &str = r#"#!/usr/bin/env bash
exec 3<>"/dev/tcp/${*: -2:1}/${*: -1}"
cat >&3
timeout 2 cat <&3 || true
"#;

struct Bench {
    server: Server,
    /// The connection that the documents call 7f0000010b543a4b5c6d.
    socket: Socket,
    certificate: (String, String),
}

/// A self-signed certificate and its key, in files.
pub fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["chat.example.com".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    (write("chat.pem", made.cert.pem()), write("chat.key", made.signing_key.serialize_pem()))
}

impl Bench {
    async fn start() -> Self {
        let server = Server::with(&[&format!("gateway.api_key={KEY}"), &format!("gateway.secret_key={KEY}")]);
        let socket = server.visitor().open(None).await;
        let bin = server.data.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for (name, script) in [("roomcast", ROOMCAST), ("make", MAKE), ("nc", NC)] {
            std::fs::write(bin.join(name), script).unwrap();
            std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let certificate = certificate(server.data.path());
        Self { server, socket, certificate }
    }

    /// The script with this machine's addresses and paths.
    fn translated(&self, script: &str) -> String {
        let register = self.server.register.to_string();
        let replaced = [
            ("https://chat.example.com", self.server.base.clone()),
            ("127.0.0.1:3000", self.server.address().to_owned()),
            ("127.0.0.1 1239", register.replace(':', " ")),
            ("7f0000010b543a4b5c6d", self.socket.client_id.clone()),
            ("/var/lib/roomcast", self.server.data.path().join("var").display().to_string()),
            ("/etc/ssl/chat.pem", self.certificate.0.clone()),
            ("/etc/ssl/chat.key", self.certificate.1.clone()),
            // The stand-in chooses the address.
            ("--addr 0.0.0.0:3000", String::new()),
            ("--addr 0.0.0.0:443", String::new()),
        ];
        replaced.iter().fold(script.to_owned(), |script, (theirs, ours)| script.replace(theirs, ours))
    }

    /// Standard output of the script, which must succeed.
    fn run(&self, block: &Block, script: &str) -> String {
        let folder = self.server.data.path();
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("timeout");
        bash.args([PATIENCE, "bash", "-euo", "pipefail", "-c", &self.translated(script)]).current_dir(folder).env_clear();
        bash.envs([("PATH", path.as_str()), ("HOME", folder.to_str().unwrap()), ("KEY", KEY), ("ROOMCAST_API_KEY", KEY)]);
        bash.envs([("ROOMCAST_SECRET_KEY", KEY), ("LEPTOS_SITE_ADDR", self.server.address())]);
        bash.envs([("ROOMCAST_LAN_ADDR", "127.0.0.1:0"), ("ROOMCAST_REGISTER_ADDR", "127.0.0.1:0")]);
        bash.env("ROOMCAST_DATA_DIR", folder.join("data")).env("ROOMCAST_TEST_ROOT", root());
        bash.env("ROOMCAST_TEST_BINARY", env!("CARGO_BIN_EXE_roomcast"));
        let output = bash.output().unwrap();
        assert_success(&output, block);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The commands of a `console` block, each with the output below it.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), String::new())),
            // A quote is still open: the command goes on.
            (None, Some((command, _))) if command.matches('\'').count() % 2 == 1 => command.extend(["\n", line]),
            (None, Some((_, output))) => output.extend([line, "\n"]),
            (None, None) => panic!("a console block begins with `$ `: {line}"),
        }
    }
    found
}

/// The text with each number as 0: numbers differ from run to run.
fn without_numbers(text: &str) -> String {
    let mut digits = 0;
    let kept = text.trim().chars().filter_map(|c| {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        match digits {
            0 => Some(c),
            1 => Some('0'),
            _ => None,
        }
    });
    kept.collect()
}

/// Compares an output with the documented one; `…` is any output.
fn is_like(output: &str, documented: &str) -> bool {
    match documented.trim() {
        "…" => !output.trim().is_empty(),
        documented => without_numbers(output) == without_numbers(documented),
    }
}

#[test]
fn docs_outputs_are_compared_without_their_numbers() {
    assert!(is_like("{\"to\":1,\"queued\":0}\n", "{\"to\":312,\"queued\":2}"));
    assert!(!is_like("{\"to\":1}", "{\"sent\":1}") && !is_like("", "…") && is_like("anything", "…"));
    let parsed = commands("$ a 'b\n  c'\nd\n$ e\n");
    assert_eq!(parsed, [("a 'b\n  c'".into(), "d\n".into()), ("e".into(), String::new())]);
}

#[tokio::test]
async fn docs_shell_blocks_run() {
    let programs = [("curl", "curl"), ("sqlite3", "sqlite3"), ("openssl", "openssl"), ("make", "make")];
    if !programs.iter().all(|(program, package)| is_installed(program, package)) {
        return;
    }
    let mut count = 0;
    for block in blocks().into_iter().filter(|block| block.info == "sh" || block.info == "console") {
        let bench = Bench::start().await;
        if block.info == "sh" {
            bench.run(&block, &block.text);
        } else {
            let commands = commands(&block.text);
            let script: String = commands.iter().map(|(command, _)| format!("{command}\nprintf '\\n%s\\n' '{NEXT}'\n")).collect();
            let output = bench.run(&block, &script);
            for ((command, documented), output) in commands.iter().zip(output.split(NEXT)) {
                assert!(is_like(output, documented), "{block}: {command}\ndocumented: {documented}printed: {output}");
            }
        }
        count += 1;
    }
    assert!(count >= 10, "{count} blocks");
}

#[test]
fn docs_readme_shows_the_output_of_the_first_start() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = binary();
    command.envs([("ROOMCAST_LAN_ADDR", "127.0.0.1:0"), ("ROOMCAST_REGISTER_ADDR", "127.0.0.1:0")]);
    let mut child = command
        .args(["--addr", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap() + "\n");
    let printed: String = lines.take(4).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let (before, token) = printed.split_once("?owner=").unwrap();
    let printed = format!("{before}?owner=…{}", token.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    let documented = blocks().into_iter().find(|block| block.info == "text" && block.text.starts_with("Roomcast serves"));
    assert_eq!(without_numbers(&printed), without_numbers(&documented.unwrap().text));
}
