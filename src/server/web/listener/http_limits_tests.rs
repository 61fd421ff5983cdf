//! Tests of the limits of HTTP connections, with addresses and times of the test.

use super::*;

const MS: Duration = Duration::from_millis(1);

struct Node {
    limits: Arc<HttpLimits>,
    start: Instant,
    held: Vec<Arc<HttpPermit>>,
}

impl Node {
    fn new(max: usize, per_address: usize) -> Self {
        let web = WebSettings {
            max_http_connections: max,
            max_http_per_address: per_address,
            trusted_proxies: vec!["10.9.9.9/32".parse().unwrap()],
            metrics_from: vec!["10.8.0.0/16".parse().unwrap()],
            ..WebSettings::default()
        };
        Self { limits: HttpLimits::new(&web), start: Instant::now(), held: vec![] }
    }

    /// Accepts a connection `at` ms after the start, and holds it.
    fn accept(&mut self, address: &str, at: u32) -> Result<Arc<HttpPermit>, HttpLimit> {
        let permit = Arc::new(self.limits.accept(address.parse().unwrap(), self.start + MS * at)?);
        self.held.push(permit.clone());
        Ok(permit)
    }

    /// Drops the connections that were asked to end, as their tasks do, and returns their number.
    fn drop_ended(&mut self) -> usize {
        let before = self.held.len();
        let limits = self.limits.clone();
        self.held.retain(|permit| !limits.table().connections[permit.slot].is_ending);
        before - self.held.len()
    }
}

#[test]
fn f2_idle_connections_of_one_address_keep_nobody_out() {
    let mut node = Node::new(15_000, 5_000);
    let (mut accepted, mut ended) = (0, 0);
    for number in 0..15_000 {
        accepted += usize::from(node.accept("203.0.113.66", number / 10).is_ok());
        if number % 200 == 0 {
            ended += node.drop_ended();
        }
    }
    ended += node.drop_ended();
    assert_eq!(
        (accepted, accepted - ended, node.limits.table().in_use()),
        (15_000, 5_000, 5_000),
        "its share; the oldest idle ones end"
    );
    for other in ["203.0.113.1", "203.0.113.2", "198.51.100.3", "2001:db8::1", "127.0.0.1"] {
        assert!(node.accept(other, 2_000).is_ok(), "{other}");
    }
}

#[test]
fn f2_idle_connections_of_many_addresses_give_way_to_others() {
    let mut node = Node::new(1_000, 300);
    for number in 0..4_000_u32 {
        let address = format!("203.0.{}.{}", number % 7, number % 250);
        assert!(node.accept(&address, number).is_ok(), "{number}");
        node.drop_ended();
        assert!(node.limits.table().in_use() <= 1_000);
    }
    assert!(node.accept("198.51.100.1", 4_000).is_ok());
    assert!(node.accept("127.0.0.1", 4_000).is_ok());
}

#[test]
fn f2_loopback_without_a_share_keeps_nobody_out_either() {
    let mut node = Node::new(1_000, 300);
    for at in 0..3_000 {
        assert!(node.accept("127.0.5.1", at).is_ok());
        node.drop_ended();
    }
    for other in ["203.0.113.1", "127.0.0.2", "127.0.0.1"] {
        assert!(node.accept(other, 3_000).is_ok(), "{other}");
    }
}

#[test]
fn f2_requests_in_progress_leave_the_reserve_to_operators() {
    let mut node = Node::new(100, 1_000);
    let mut requests = Vec::new();
    for number in 0..75 {
        requests.push(node.accept(&format!("203.0.113.{number}"), 0).unwrap().request());
    }
    assert_eq!(node.accept("203.0.113.200", 0).err(), Some(HttpLimit::Node));
    for operator in ["127.0.0.1", "10.8.0.1", "::ffff:127.0.0.1", "::1"] {
        requests.push(node.accept(operator, 0).unwrap().request());
    }
    requests.remove(0);
    assert!(node.accept("203.0.113.200", 1).is_ok(), "the idle one ends");
    assert_eq!((node.drop_ended(), node.limits.table().in_use()), (1, 79));
}

#[test]
fn f2_an_address_at_its_share_ends_its_own_idle_connections_only() {
    let mut node = Node::new(1_000, 3);
    let other = node.accept("203.0.113.1", 0).unwrap();
    let first = node.accept("203.0.113.9", 1).unwrap().request();
    for at in 2..5 {
        assert!(node.accept("203.0.113.9", at).is_ok());
    }
    assert_eq!(node.drop_ended(), 1);
    assert!(node.held.iter().any(|permit| permit.slot == other.slot));
    let requests: Vec<_> = node.held.iter().map(HttpPermit::request).collect();
    assert_eq!(node.accept("203.0.113.9", 6).err(), Some(HttpLimit::Address));
    drop((first, requests));
    assert!(node.accept("203.0.113.9", 7).is_ok());
}

#[test]
fn f2_ipv6_counts_by_64_and_by_48() {
    let mut node = Node::new(1_000, 10);
    let mut requests = Vec::new();
    for number in 0..10 {
        requests.push(node.accept(&format!("2001:db8:1:1::{number}"), 0).unwrap().request());
    }
    assert_eq!(node.accept("2001:db8:1:1:ffff::1", 0).err(), Some(HttpLimit::Address), "one /64");
    for number in 0..10 {
        requests.push(node.accept(&format!("2001:db8:1:{number}9::1"), 0).unwrap().request());
    }
    assert_eq!(node.accept("2001:db8:1:77::1", 0).err(), Some(HttpLimit::Address), "one /48");
    assert!(node.accept("2001:db8:2:77::1", 0).is_ok());
}

#[test]
fn f2_from_three_quarters_on_each_new_connection_ends_one_that_is_idle_for_two_seconds() {
    let mut node = Node::new(1_000, 1_000);
    for number in 0..750 {
        node.accept(&format!("203.0.{}.{}", number % 5, number % 150), 0).unwrap();
    }
    node.accept("198.51.100.1", 1_999).unwrap();
    assert_eq!(node.drop_ended(), 0);
    node.accept("198.51.100.2", 2_000).unwrap();
    assert_eq!(node.drop_ended(), 1);
}

#[test]
fn f2_behind_a_proxy_the_client_has_the_share() {
    let mut node = Node::new(100, 10);
    let proxy: IpAddr = "10.9.9.9".parse().unwrap();
    for _ in 0..60 {
        node.accept("10.9.9.9", 0).unwrap();
    }
    assert_eq!((node.drop_ended(), node.limits.table().in_use()), (0, 60), "the proxy has no share");
    let of = |client: &str| node.limits.forwarded(proxy, client.parse().unwrap());
    let mut requests: Vec<_> = (0..10).map(|_| of("203.0.113.9").unwrap().unwrap()).collect();
    assert_eq!(of("203.0.113.9").err(), Some(HttpLimit::Address));
    assert!(of("203.0.113.10").unwrap().is_some());
    assert!(of("10.9.9.9").unwrap().is_none(), "its own request");
    requests.pop();
    assert!(of("203.0.113.9").is_ok());
    let many: Vec<_> = (0..80).filter_map(|number| of(&format!("198.51.100.{number}")).ok()).collect();
    assert_eq!(many.len() + requests.len(), 75, "the rest is the operators' reserve");
    assert_eq!(of("192.0.2.1").err(), Some(HttpLimit::Node));
    drop((many, requests));
    let table = node.limits.table();
    assert_eq!((table.forwarded_total, table.forwarded.len()), (0, 0));
}

/// Returns whether the connection was asked to end, and has a grace period.
fn asked_to_end(permit: &Arc<HttpPermit>) -> Option<bool> {
    use futures_util::FutureExt;
    permit.ended().now_or_never()
}

#[test]
fn f2_a_response_is_written_undisturbed_for_thirty_seconds() {
    let mut node = Node::new(4, 2);
    let slow = node.accept("203.0.113.1", 0).unwrap();
    let request = slow.request();
    request.writes(node.start);
    let others = [node.accept("203.0.113.2", 0).unwrap(), node.accept("203.0.113.3", 0).unwrap()];
    let requests = others.each_ref().map(HttpPermit::request);
    assert_eq!(node.accept("203.0.113.4", 29_999).err(), Some(HttpLimit::Node));
    assert_eq!(asked_to_end(&slow), None);
    assert!(node.accept("203.0.113.4", 30_000).is_ok());
    assert_eq!(asked_to_end(&slow), Some(false), "a slower reader ends at once");
    drop((request, requests));
}

#[test]
fn f2_the_beginning_of_a_first_request_ends_at_once() {
    let mut node = Node::new(4, 2);
    let (new, kept) = (node.accept("203.0.113.1", 0).unwrap(), node.accept("203.0.113.1", 0).unwrap());
    drop(kept.request());
    let later = u32::try_from(node.start.elapsed().as_millis()).unwrap() + 1;
    for _ in 0..2 {
        node.accept("203.0.113.1", later).unwrap();
    }
    assert_eq!((asked_to_end(&new), asked_to_end(&kept)), (Some(false), Some(true)));
}

#[test]
fn the_tables_are_empty_when_all_connections_have_ended() {
    let mut node = Node::new(10, 3);
    for at in 0..100 {
        let request = node.accept(&format!("2001:db8:{}::1", at % 5), at).ok().map(|permit| permit.request());
        node.accept("203.0.113.9", at).ok();
        drop(request);
        if at % 3 == 0 {
            node.drop_ended();
        }
    }
    node.held.clear();
    let table = node.limits.table();
    assert_eq!((table.connections.len(), table.ending, table.shares.len()), (0, 0, 0));
    assert_eq!((table.idle.len(), table.idle_proxies.len()), (0, 0));
}
