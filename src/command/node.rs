//! `roomcast status|connections|stop|reload`: requests to the running server, through the control socket in its data folder.

use super::Outcome;
use roomcast::domain::text::escape_controls;
use roomcast::server::{
    config::Config,
    control::{ControlClient, NodeStatus, Request, Response, Status},
    gateway::ShardStatus,
};
use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Interval between two readings of the status.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sends `request` and returns the response, with the client for a request that keeps the connection.
async fn request(config: &Config, request: &Request) -> Result<(Response, ControlClient), Box<dyn std::error::Error>> {
    let data_dir = &config.storage.data_dir;
    let exchange = async {
        let mut client = ControlClient::request(data_dir, request).await?;
        Ok::<_, io::Error>((client.response().await?, client))
    };
    exchange.await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no roomcast is running on {} (another folder? use --data-dir)", data_dir.display()).into()
        }
        _ => format!("the server on {} does not answer: {error}", data_dir.display()).into(),
    })
}

/// The error of a response other than the expected one.
fn unexpected(response: Response) -> Outcome {
    match response {
        Response::Failed { reason } => Err(escape_controls(&reason).into()),
        other => Err(format!("unexpected response: {other:?}").into()),
    }
}

async fn fetch_status(config: &Config) -> Result<Status, Box<dyn std::error::Error>> {
    match request(config, &Request::Status).await?.0 {
        Response::Status(status) => Ok(status),
        other => Err(unexpected(other).err().unwrap_or_else(|| "unexpected response".into())),
    }
}

/// `roomcast status`: prints one table, or with `watch` one per second until interrupted. Reads the status twice, a second
/// apart, to compute pushes per second.
pub(crate) async fn status(config: &Config, watch: bool) -> Outcome {
    let mut before = fetch_status(config).await?;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = fetch_status(config).await?;
        if watch {
            // Cursor home, then clear the terminal.
            print!("\x1b[H\x1b[2J");
        }
        print_status(&before, &now);
        if !watch {
            return Ok(());
        }
        before = now;
    }
}

fn print_status(before: &Status, now: &Status) {
    let Status { version, pid, uptime_s, address, data_dir, connections, draining, shards, nodes } = now;
    let up = *uptime_s as u64;
    println!(
        "Roomcast {version}   pid {pid}   {address}   data in {}{}",
        data_dir.display(),
        if *draining { "   SHUTTING DOWN" } else { "" }
    );
    println!("up {} days {:02}:{:02}:{:02}   {connections} connections", up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
    println!();
    println!(
        "{:>6} {:>11} {:>7} {:>7} {:>11} {:>10} {:>12} {:>9} {:>9}",
        "shard", "connections", "groups", "backlog", "queued", "pushes/s", "pushes", "skipped", "failures"
    );
    let seconds = (uptime_s - before.uptime_s).max(0.001);
    let line = |name: &str, line: &ShardStatus, before: u64| {
        let stats = &line.stats;
        let rate = stats.pushes.saturating_sub(before) as f64 / seconds;
        println!(
            "{name:>6} {:>11} {:>7} {:>7} {:>11} {rate:>10.0} {:>12} {:>9} {:>9}",
            line.connections,
            line.groups,
            stats.backlogged,
            bytes(stats.queue_bytes),
            stats.pushes,
            stats.skipped,
            stats.failures
        );
    };
    let pushes_before = |shard: usize| before.shards.get(shard).map_or(0, |line| line.stats.pushes);
    for (shard, of_shard) in shards.iter().enumerate() {
        line(&shard.to_string(), of_shard, pushes_before(shard));
    }
    let mut sum = ShardStatus { connections: 0, groups: 0, stats: Default::default() };
    for ShardStatus { connections, groups, stats } in shards {
        sum.connections += connections;
        // A group with members on two shards counts on both.
        sum.groups += groups;
        sum.stats.pushes += stats.pushes;
        sum.stats.skipped += stats.skipped;
        sum.stats.failures += stats.failures;
        sum.stats.queue_bytes += stats.queue_bytes;
        sum.stats.backlogged += stats.backlogged;
    }
    line("all", &sum, before.shards.iter().map(|line| line.stats.pushes).sum());
    print_nodes(nodes);
}

/// Prints a row per node of a cluster.
fn print_nodes(nodes: &[NodeStatus]) {
    if nodes.is_empty() {
        return;
    }
    println!("\n{:<21} {:>11} version", "node", "connections");
    for NodeStatus { name, version, connections, draining } in nodes {
        let state = if *draining { "   SHUTTING DOWN" } else { "" };
        println!("{:<21} {connections:>11} {}{state}", escape_controls(name), escape_controls(version));
    }
}

/// `roomcast connections`: prints one row per open connection of a node, or of all nodes, at most `limit` per shard.
pub(crate) async fn connections(config: &Config, limit: usize, node: Option<SocketAddrV4>) -> Outcome {
    let (connections, silent) = match request(config, &Request::Connections { limit, node }).await?.0 {
        Response::Connections { connections, silent } => (connections, silent),
        other => return unexpected(other),
    };
    println!(
        "{:<20} {:>5} {:<39} {:<5} {:>8} {:>9} {:>9} {:<36} groups",
        "client_id", "shard", "address", "kind", "age", "queued", "sent", "uid"
    );
    for line in connections {
        // Names come from pages and back ends: they must not steer the operator's terminal.
        let uid = line.uid.unwrap_or("-".into());
        let (uid, groups) = (escape_controls(&uid), line.groups.join(","));
        println!(
            "{:<20} {:>5} {:<39} {:<5} {:>7}s {:>9} {:>9} {uid:<36} {}",
            line.client_id.to_string(),
            line.shard,
            line.address.to_string(),
            escape_controls(&line.dialect),
            line.age_s,
            bytes(line.queued_bytes as u64),
            bytes(line.sent_bytes),
            escape_controls(&groups)
        );
    }
    if silent.is_empty() { Ok(()) } else { Err(format!("no answer from {}", escape_controls(&silent.join(", "))).into()) }
}

/// `roomcast stop`: shuts the server down and waits until its process has exited.
pub(crate) async fn stop(config: &Config, gracefully: bool) -> Outcome {
    let (response, client) = request(config, &Request::Stop { gracefully }).await?;
    match response {
        Response::Stopping { pid } => {
            println!("{pid} is shutting down{}", if gracefully { ", gracefully" } else { "" });
            client.wait_for_exit().await;
            println!("stopped");
            Ok(())
        }
        other => unexpected(other),
    }
}

/// `roomcast reload`: starts a successor and waits until it serves.
pub(crate) async fn reload(config: &Config) -> Outcome {
    match request(config, &Request::Reload).await?.0 {
        Response::Reloaded { pid } => {
            println!("{pid} serves; the old process drains its connections");
            Ok(())
        }
        other => unexpected(other),
    }
}

/// A byte count with its unit, in at most 7 characters.
fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}
