//! Replays recorded traffic between GatewayClient and GatewayWorker (tests/gatewayclient) against Roomcast. The replies are the
//! same bytes, except for values that a server chooses itself and for intended differences.

mod chosen;
pub mod packet;
pub mod peers;
mod record;
pub mod register;
mod session;

use futures_util::future::join_all;
use packet::{Packet, command, shown};
use peers::{Node, OFFLINE, Wire, is_anyone_online};
use record::Vector;
use session::Session;
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    /// The same bytes.
    Same,
    /// The same bytes, after ids, addresses and ports are replaced by those of our nodes.
    Renamed,
    /// As `Renamed`, in another order.
    Reordered,
    /// Compared as far as it applies to Roomcast.
    Partly,
    /// PHP rejected the call before sending.
    NothingSent,
}
use Verdict::*;

/// Intended differences: the prefix of the vectors' names, and the reason.
static INTENDED: [(&str, Verdict, &str); 11] = [
    ("get_all_group_uid_", Reordered, "GatewayClient stops at the first row that lacks a field, so whole rows come first"),
    ("get_all_group_client_id_", Reordered, "GatewayClient stops at the first row that lacks a field, so whole rows come first"),
    ("secret_send_to_all@", Reordered, "a node's own address is the first that its Register names"),
    ("startup_secret_register_worker_connect", Reordered, "a node's own address is always there, and the first"),
    ("probe_register_broadcast_sequence", Partly, "a list, where PHP makes an object of one that lost a duplicate"),
    ("probe_gw_update_session_garbage", Partly, "the GatewayWorker process died; Roomcast continues, and replies no garbage"),
    ("probe_gw_group_nested_array", Partly, "the GatewayWorker process died; Roomcast continues, and replies no garbage"),
    ("probe_gw_body_", Partly, "the GatewayWorker process died; Roomcast continues, and replies no garbage"),
    ("probe_gw_select_closure_field", Partly, "the GatewayWorker process died; Roomcast continues, and replies no garbage"),
    ("probe_gw_batch_uid_nested", Partly, "the GatewayWorker process died; Roomcast continues, and replies no garbage"),
    ("wsport_", Partly, "the public port is a web server with its own path, refusals, first frame and close frames"),
];

impl Vector {
    fn difference(&self) -> Option<&'static (&'static str, Verdict, &'static str)> {
        INTENDED.iter().find(|(name, ..)| self.name.starts_with(*name))
    }

    fn is_reordered(&self) -> bool {
        self.difference().is_some_and(|(_, verdict, _)| *verdict == Reordered)
    }

    fn verdict(&self, renamed: bool) -> Verdict {
        let is_silent =
            self.request.is_empty() && self.response.is_empty() && self.clients.is_empty() && self.register.is_empty();
        match self.difference() {
            Some((_, verdict, _)) => *verdict,
            // The vector `probe_register_idle` records silence.
            None if is_silent && self.name != "probe_register_idle" => NothingSent,
            None if renamed => Renamed,
            None => Same,
        }
    }
}

async fn replay(name: String, mut vectors: Vec<Vector>) -> Vec<(&'static str, Verdict)> {
    // One recorded worker registered before the gateways, and received a list for each. Here the gateways register first, and the
    // worker receives the last list.
    vectors.sort_by_key(|vector| vector.role() != "gateway-register");
    let mut session = Session::start(&name, &vectors).await;
    let mut verdicts = Vec::new();
    for vector in &vectors {
        let renamed = session.replay(vector).await;
        verdicts.push((vector.difference().map_or("", |(_, _, reason)| *reason), vector.verdict(renamed)));
    }
    session.end().await;
    verdicts
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_equal_the_recorded_replies_of_gatewayworker() {
    let sessions = record::sessions().into_iter().map(|(name, vectors)| replay(name, vectors));
    let verdicts = join_all(sessions).await.concat();
    let (mut table, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for (reason, verdict) in verdicts {
        *table.entry((verdict, reason)).or_insert(0) += 1;
        *counts.entry(verdict).or_insert(0) += 1;
    }
    for ((verdict, reason), count) in table {
        eprintln!("{count:4} {verdict:?}: {reason}");
    }
    // 480 in all: a vector that is left out, or compared less, changes these numbers.
    assert_eq!(counts, BTreeMap::from([(Same, 202), (Renamed, 238), (Reordered, 11), (Partly, 17), (NothingSent, 12)]));
}

/// Sends all requests of the first recorded node on one connection, cut at random.
#[tokio::test(flavor = "multi_thread")]
async fn replies_are_the_same_however_the_requests_are_cut() {
    let mut node = Node::start(22900, &[]);
    let mut vectors = record::sessions().remove("main").unwrap();
    vectors.retain(|vector| vector.role() == "client" && vector.node() == 0 && !vector.name.starts_with("lib"));
    assert!(vectors.len() > 150, "{}", vectors.len());
    let mut seed = 7_u64;
    let mut roll = |sides: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % sides
    };
    // The longest piece, and the offset up to which the stream is cut: single bytes are slow.
    for (longest, cut) in [(1, 0), (1, 20_000), (9, 20_000), (60, usize::MAX), (1500, usize::MAX)] {
        for label in ["A1", "A2", "A3", "A4", "A5", "A6"] {
            node.arrive(label).await;
        }
        let mut stream: Vec<u8> = vectors.iter().flat_map(|vector| node.chosen.request(&vector.request)).collect();
        let mut expected: Vec<u8> =
            vectors.iter().flat_map(|vector| node.chosen.replies(&vector.request, &vector.response)).collect();
        // The next round starts without clients.
        stream.extend(node.chosen.clients.iter().flat_map(|(id, _)| Packet::new(command::DESTROY, *id, b"").into_bytes()));
        stream.extend(is_anyone_online());
        expected.extend(OFFLINE);

        let mut wire = Wire::to(node.chosen.inner).await;
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let length = if stream.len() - rest.len() < cut { 1 + roll(longest) } else { rest.len() };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            wire.send(piece).await;
            tokio::task::yield_now().await;
            rest = after;
        }
        let got = wire.take(expected.len()).await;
        assert_eq!(shown(&got), shown(&expected), "cut into {longest} at most, up to {cut}");
        node.forget_clients();
    }
}
