//! Several nodes for the tests: each a process with a data folder of its own, on one database and one NATS server. Every link of a node
//! goes through a proxy of its own, so that a test can break one link of one node.

use super::clock::Clock;
use super::nats::Nats;
use super::place::Place;
use super::postgres::{Database, Postgres, free_port};
use super::proxy::Proxy;
use super::{Server, eventually};
use std::sync::Arc;

/// The nodes of a test, in the order of their start.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub nats: Nats,
    pub database: Arc<Database>,
    settings: Vec<String>,
    has_clocks: bool,
}

/// A node: a [`Server`] with its links.
pub struct Node {
    pub server: Server,
    /// The link to NATS.
    pub nats: Proxy,
    /// The link to PostgreSQL.
    pub postgres: Proxy,
    /// The time of day, in a cluster [with clocks](Cluster::with_clocks).
    pub clock: Option<Clock>,
}

impl std::ops::Deref for Node {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl std::ops::DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Cluster {
    /// Starts `count` nodes, and waits until each knows all. `None`, after a line that says so, if PostgreSQL or NATS is passed over.
    pub async fn start(count: usize) -> Option<Self> {
        Self::with(count, &[]).await
    }

    /// The same with settings for each node.
    pub async fn with(count: usize, settings: &[&str]) -> Option<Self> {
        Self::on(Postgres::shared()?, count, settings).await
    }

    /// The same on a database of an instance that the test may stop.
    pub async fn on(database: Database, count: usize, settings: &[&str]) -> Option<Self> {
        Self::begin(database, count, settings, false).await
    }

    /// The same with nodes whose time of day the test sets.
    pub async fn with_clocks(database: Database, count: usize, settings: &[&str]) -> Option<Self> {
        Self::begin(database, count, settings, true).await
    }

    async fn begin(database: Database, count: usize, settings: &[&str], has_clocks: bool) -> Option<Self> {
        let (nats, database) = (Nats::start()?, Arc::new(database));
        let settings = settings.iter().map(|setting| setting.to_string()).collect();
        let mut this = Self { nodes: Vec::new(), nats, database, settings, has_clocks };
        for _ in 0..count {
            this.add();
        }
        this.is_whole().await;
        Some(this)
    }

    /// Starts one more node.
    pub fn add(&mut self) -> &mut Node {
        let (nats, postgres) = (Proxy::to(self.nats.address()), Proxy::to(self.database.postgres.address()));
        let environment = [
            ("ROOMCAST_CLUSTER_NATS".to_owned(), self.nats.url_at(nats.address)),
            ("ROOMCAST_CLUSTER_LOOPBACK".to_owned(), "on".to_owned()),
        ];
        let mut place = Place::of_cluster(self.database.clone(), postgres.address, environment.into());
        let clock = self.has_clocks.then(|| Clock::of(&mut place));
        // Fixed, so that a node that starts again is the same one.
        let [inner, register] = [free_port(), free_port()];
        let mut settings =
            vec![format!("gateway.lan_addr=127.0.0.1:{inner}"), format!("gateway.register_addr=127.0.0.1:{register}")];
        settings.extend(self.settings.iter().cloned());
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let server = Server::on(place, &settings);
        self.nodes.push(Node { server, nats, postgres, clock });
        self.nodes.last_mut().unwrap()
    }

    /// The hours that a node's clock is ahead of PostgreSQL's, by the time of the log's line of a request, as a rounded number.
    pub async fn hours_ahead(&self, node: &Node) -> String {
        let path = format!("/of-test-{}", uuid::Uuid::new_v4());
        node.visitor().post(&path, &[]).await;
        let mut line = None;
        // A thread of its own writes the log.
        eventually("the request is logged", async || {
            line = node.log().lines().find(|line| line.contains(&path)).map(str::to_owned);
            line.is_some()
        })
        .await;
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let time = line["timestamp"].as_str().unwrap();
        self.database.sql(&format!("SELECT round(extract(epoch FROM timestamptz '{time}' - now()) / 3600)"))
    }

    /// Waits until each node knows all of them, by its metric.
    pub async fn is_whole(&self) {
        for node in &self.nodes {
            node.knows(self.nodes.len()).await;
        }
    }
}

impl Node {
    /// Waits until the node knows `count` live nodes, itself among them.
    pub async fn knows(&self, count: usize) {
        eventually(&format!("{} knows {count} nodes", self.base), async || {
            self.metric("roomcast_cluster_nodes").await == Some(count as f64)
        })
        .await;
    }

    /// The sum of a metric over its labels that contain `label`; 0 without the metric, or while the node does not answer.
    pub async fn metric_sum(&self, name: &str, label: &str) -> f64 {
        let Ok(answer) = reqwest::get(format!("{}/metrics", self.base)).await else { return 0.0 };
        let text = answer.text().await.unwrap_or_default();
        let is_it =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label);
        text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The value of a metric, with its labels as they are printed. `None`: the node does not answer, or has no such metric.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = reqwest::get(format!("{}/metrics", self.base)).await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}
