//! Reads the counts that NATS and PostgreSQL keep: those of NATS from its monitoring endpoint, those of PostgreSQL from its statistics
//! views.

use crate::arguments::Arguments;
use crate::changes::number_after;
use crate::clock;
use crate::process::family_cpu;
use gateway_bench::http;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

/// Counts of the server's whole life.
#[derive(Clone, Copy, Default)]
pub struct Database {
    /// Ended transactions. A query of Roomcast outside of a transaction is one.
    pub transactions: u64,
    /// Rows that were read from Roomcast's tables.
    pub rows: u64,
}

impl Database {
    /// Asks by psql, which is one more transaction. A busy connection of PostgreSQL tells its counts once per second; an idle one has
    /// told all of them after ten.
    pub fn read(url: &str) -> Result<Self, String> {
        const COUNTS: &str = "SELECT (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database) \
            || ' ' || (SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables)";
        let text = psql(url, COUNTS)?;
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(transactions)), Some(Ok(rows))) => Ok(Self { transactions, rows }),
            _ => Err(format!("psql: {text}")),
        }
    }

    /// Has PostgreSQL's planner know its tables, as it does in a database that is older than a minute.
    pub fn analyze(url: &str) -> Result<(), String> {
        psql(url, "ANALYZE").map(drop)
    }

    /// Returns the difference since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { transactions: self.transactions.saturating_sub(before.transactions), rows: self.rows.saturating_sub(before.rows) }
    }
}

fn psql(url: &str, statement: &str) -> Result<String, String> {
    let psql = Command::new("psql").args([url, "-XqAtc", statement]).output().map_err(|error| format!("psql: {error}"))?;
    let (text, errors) = (String::from_utf8_lossy(&psql.stdout), String::from_utf8_lossy(&psql.stderr));
    if psql.status.success() { Ok(text.into_owned()) } else { Err(format!("psql: {errors}")) }
}

/// Messages and bytes of payload that NATS received from nodes and sent to them.
#[derive(Clone, Copy)]
struct Nats {
    in_messages: u64,
    in_bytes: u64,
    out_messages: u64,
    out_bytes: u64,
}

impl Nats {
    fn read(monitor: SocketAddr) -> Result<Self, String> {
        let request = b"GET /varz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let answer = http::Client::new(monitor).request(request).map_err(|error| format!("NATS' monitoring: {error}"))?;
        let number = |field: &str| {
            let mark = format!("\"{field}\": ");
            number_after(&answer.body, mark.as_bytes()).ok_or_else(|| format!("NATS' monitoring has no {field}"))
        };
        Ok(Self {
            in_messages: number("in_msgs")?,
            in_bytes: number("in_bytes")?,
            out_messages: number("out_msgs")?,
            out_bytes: number("out_bytes")?,
        })
    }
}

/// Everything that the parts of a cluster count, at one moment.
pub struct Counts {
    at: u64,
    database: Database,
    nats: Nats,
    /// CPU seconds of the nodes, NATS and PostgreSQL.
    cpu: [f64; 3],
}

impl Counts {
    pub fn read(arguments: &Arguments, nodes_cpu: f64) -> Result<Self, String> {
        let part = |name: &str| part(arguments, name).map(family_cpu);
        let cpu = [nodes_cpu, part("nats")?, part("postgres")?];
        Ok(Self { at: clock::now(), database: Database::read(&arguments.database)?, nats: Nats::read(arguments.monitor)?, cpu })
    }

    /// Returns the differences since `before`, per second.
    pub fn since(&self, before: &Self) -> Value {
        let seconds = self.at.saturating_sub(before.at).max(1) as f64 / 1e9;
        let rate = |field: fn(&Nats) -> u64| field(&self.nats).saturating_sub(field(&before.nats)) as f64 / seconds;
        let cpu_ms = |at: usize| (self.cpu[at] - before.cpu[at]) * 1e3 / seconds;
        json!({
            "nats": {
                "in_messages_s": rate(|nats| nats.in_messages),
                "in_kb_s": rate(|nats| nats.in_bytes) / 1e3,
                "out_messages_s": rate(|nats| nats.out_messages),
                "out_kb_s": rate(|nats| nats.out_bytes) / 1e3,
                "cpu_ms_s": cpu_ms(1),
            },
            "postgres": {
                "transactions_s": self.database.since(before.database).transactions as f64 / seconds,
                "cpu_ms_s": cpu_ms(2),
            },
            "nodes_cpu_ms_s": cpu_ms(0),
        })
    }
}

/// Returns the process id of a part that run.mjs names.
pub fn part(arguments: &Arguments, name: &str) -> Result<u32, String> {
    let found = arguments.parts.iter().find(|(part, _)| part == name);
    found.map(|(_, pid)| *pid).ok_or_else(|| format!("--parts names no {name}"))
}
