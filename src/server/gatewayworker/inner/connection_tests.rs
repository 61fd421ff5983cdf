//! Connections over real sockets, against a gateway without clients.

use super::connection::{InnerContext, serve_connection};
use super::pipeline::Budgets;
use super::read_scheduler::{ReadTicket, ReadyQueue};
use crate::server::config::GatewaySettings;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::metrics::Metrics;
use crate::server::gatewayworker::protocol::opcode::{IS_ONLINE, SELECT};
use crate::server::gatewayworker::protocol::packet::{PLAIN, WorkerPacket};
use crate::server::gatewayworker::secret_key::SecretKey;
use crate::server::gatewayworker::strangers::Strangers;
use crate::server::gatewayworker::workers::router::{NodeInfo, Workers};
use bytes::BytesMut;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const OFFLINE: &[u8] = b"\0\0\0\x04i:0;";

/// The peer's side of a connection that is being served.
async fn connect(stop: &CancellationToken) -> TcpStream {
    let gateway = Gateway::start(GatewaySettings { shards: 1, ..GatewaySettings::default() }).unwrap();
    let lan_addr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900);
    let node = NodeInfo { lan_addr, gateway_port: 3000, expects_workers: false };
    let context = InnerContext {
        workers: Workers::new(gateway.clone(), gateway.take_events().unwrap().subscription(), node),
        gateway,
        lan_addr: node.lan_addr,
        secret_key: SecretKey::new(""),
        metrics: Metrics::default(),
        large_packet_budget: Arc::new(Semaphore::new(1024)),
        budgets: Budgets::new(1),
        strangers: Strangers::new(10),
        ping_every: None,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, address) = listener.accept().await.unwrap();
    let ticket = ReadTicket::new(&ReadyQueue::default());
    tokio::spawn(serve_connection(Arc::new(context), stream, address, None, ticket, stop.clone()));
    peer
}

fn packet(command: u8, ext: &[u8]) -> Vec<u8> {
    let unspecified = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let (local, client) = (unspecified, unspecified);
    let mut out = BytesMut::new();
    WorkerPacket { command, local, client, connection: 9, flag: PLAIN, gateway_port: 0, ext, body: b"" }.write(&mut out);
    out.to_vec()
}

async fn rest(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), peer.read_to_end(&mut bytes)).await;
    read.expect("the connection does not close").unwrap();
    bytes
}

#[tokio::test]
async fn a_peer_that_has_sent_everything_receives_all_replies() {
    let mut peer = connect(&CancellationToken::new()).await;
    peer.write_all(&packet(IS_ONLINE, b"").repeat(1000)).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(rest(&mut peer).await, OFFLINE.repeat(1000));
}

#[tokio::test]
async fn a_connection_that_has_not_sent_has_a_grace_period_at_shutdown() {
    let stop = CancellationToken::new();
    let mut peer = connect(&stop).await;
    stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.write_all(&packet(IS_ONLINE, b"")).await.unwrap();
    assert_eq!(rest(&mut peer).await, OFFLINE);
}

#[tokio::test]
async fn no_reply_follows_a_query_that_cannot_be_answered() {
    let mut peer = connect(&CancellationToken::new()).await;
    let fields: Vec<_> = (0..17).map(|number| format!("f{number}")).collect();
    let select = packet(SELECT, serde_json::json!({"fields": fields}).to_string().as_bytes());
    let query = packet(IS_ONLINE, b"");
    peer.write_all(&[query.clone(), select, query].concat()).await.unwrap();
    assert_eq!(rest(&mut peer).await, OFFLINE);
}
