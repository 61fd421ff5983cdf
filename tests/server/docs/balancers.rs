//! The files of docs/cluster.md: each is accepted by its program, and the balancers lead viewers to the nodes, and requests for a
//! file of another version on to a node that has it.

use super::blocks::{Block, blocks};
use super::shell::certificate;
use super::{assert_success, is_installed};
use std::path::Path;
use std::process::Command;

/// The blocks with this info string.
pub fn documented(info: &str) -> Vec<Block> {
    let found: Vec<_> = blocks().into_iter().filter(|block| block.info == info).collect();
    assert!(!found.is_empty(), "no block of {info}");
    found
}

/// The path of a program that Debian keeps among those of the administrator.
pub fn program(name: &str) -> String {
    let there = format!("/usr/sbin/{name}");
    if Path::new(&there).exists() { there } else { name.to_owned() }
}

/// A certificate and its key in one file, as HAProxy reads them.
fn pem(folder: &Path) -> String {
    let (certificate, key) = certificate(folder);
    let both = [certificate, key].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    let file = folder.join("both.pem");
    std::fs::write(&file, both).unwrap();
    file.display().to_string()
}

#[test]
fn docs_haproxy_blocks_are_accepted_by_haproxy() {
    let haproxy = program("haproxy");
    if !is_installed(&haproxy, "haproxy") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let pem = pem(folder.path());
    for block in documented("haproxy") {
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, block.text.replace("/etc/ssl/chat.pem", &pem)).unwrap();
        let output = Command::new(&haproxy).args(["-c", "-f"]).arg(&file).output().unwrap();
        assert_success(&output, &block);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("WARNING"), "{block}: {said}");
    }
}

#[test]
fn docs_nats_blocks_are_accepted_by_nats_server() {
    let nats = program("nats-server");
    if !is_installed(&nats, "nats-server") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    for block in documented("nats") {
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, &block.text).unwrap();
        let mut command = Command::new(&nats);
        command.arg("-t").arg("-c").arg(&file).env("NATS_PASSWORD", "change-me").current_dir(folder.path());
        assert_success(&command.output().unwrap(), &block);
    }
}

/// Reads a file of compose: each name in `depends_on`, `volumes` and `networks` is one of the file, and addresses differ.
const COMPOSE: &str = r#"
import re, sys, yaml
whole = yaml.safe_load(sys.stdin)
services = whole.get("services", {})
for name, service in services.items():
    assert service["image"], name
    for other in service.get("depends_on", []):
        assert other in services, other
    for network in service.get("networks", {}):
        assert network in whole["networks"], network
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source.startswith("./") or source in whole["volumes"], source
addresses = re.findall(r"ipv4_address': '([0-9.]+)", str(services))
assert len(addresses) == len(set(addresses)), addresses
"#;

#[test]
fn docs_yaml_blocks_are_read_by_a_yaml_parser() {
    let has_yaml = Command::new("python3").args(["-c", "import yaml"]).output().is_ok_and(|output| output.status.success());
    if !has_yaml && !is_installed("python3-yaml", "python3-yaml") {
        return;
    }
    for block in documented("yaml") {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &block.text).unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", COMPOSE]).stdin(std::fs::File::open(file.path()).unwrap());
        assert_success(&python.output().unwrap(), &block);
    }
}

#[test]
fn docs_variables_of_a_node_are_accepted_by_the_binary() {
    let block = documented("env").remove(0);
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = crate::support::binary();
    command.args(["key", "list", "--data-dir"]).arg(folder.path());
    for line in block.text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once('=').unwrap();
        // Nothing listens there.
        command.env(name, value.replace("10.0.0.20/", "127.0.0.1:1/"));
    }
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(said.contains("127.0.0.1:1"), "{block}: nothing but PostgreSQL is missing: {said}");
}
