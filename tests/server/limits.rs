//! A flood is refused, and nobody else notices it: the limits on sends per room, per address and per session.

use crate::support::{Answer, Person, Server, read};
use futures_util::future::join_all;
use serde_json::json;

/// The limits on sends as they are shipped; those of `support` are for crowds behind one address.
const SHIPPED: [&str; 4] =
    ["web.trusted_proxies=127.0.0.0/8", "limits.room_burst=200", "limits.room_address_burst=60", "limits.new_guest_burst=10"];

fn with<'a>(settings: &[&'a str]) -> Server {
    let all: Vec<&'a str> = SHIPPED.into_iter().chain(settings.iter().copied()).collect();
    Server::with(&all)
}

/// A person behind an address, which a proxy reports.
struct Visitor {
    person: Person,
    address: String,
}

impl Visitor {
    fn new(server: &Server, address: &str) -> Self {
        Self { person: server.visitor(), address: address.to_owned() }
    }

    async fn guest(server: &Server, address: &str) -> Self {
        let visitor = Self::new(server, address);
        assert_eq!(visitor.post("/session/guest", &[("nickname", "guest")]).await.status, 200);
        visitor
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.person.request("POST", path).header("x-forwarded-for", &self.address).form(form);
        read(request.send().await.unwrap()).await
    }

    async fn send(&self, room: &str, nonce: &str) -> Answer {
        self.post("/gateway/send", &[("room", room), ("message", "x"), ("nonce", nonce)]).await
    }
}

async fn guests(server: &Server, count: usize, address: impl Fn(usize) -> String) -> Vec<Visitor> {
    let addresses: Vec<_> = (0..count).map(address).collect();
    join_all(addresses.iter().map(|address| Visitor::guest(server, address))).await
}

async fn accepted(senders: &[Visitor], room: &str) -> usize {
    let answers = join_all(senders.iter().map(|sender| sender.send(room, "first"))).await;
    let refused = answers.iter().filter(|answer| answer.status != 200);
    for answer in refused {
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("too_fast")), "{}", answer.body);
        assert!(answer.body["retry_after_ms"].as_u64().unwrap() > 0 && answer.headers.contains_key("retry-after"));
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn f1_new_guests_of_one_address_cannot_flood_a_room() {
    let server = with(&["limits.new_guest_a_minute=1"]);
    server.owner().await.post("/gateway/rooms", &[("title", "another")]).await;
    let flood = guests(&server, 60, |_| "203.0.113.9".into()).await;
    assert_eq!(accepted(&flood, "1").await, 10);
    let elsewhere = guests(&server, 5, |n| format!("198.51.100.{n}")).await;
    assert_eq!(accepted(&elsewhere, "1").await, 5, "people at other addresses are heard");
    assert_eq!(accepted(&flood[..5], "2").await, 5, "and the same people in another room");
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("roomcast_sends_refused_total{limit=\"new_guests\"} 50"), "{metrics}");
}

#[tokio::test]
async fn f1_a_room_has_a_limit_however_many_addresses_send() {
    let server = with(&["limits.room_burst=30", "limits.room_a_minute=1", "chat.first_message_ms=0"]);
    let crowd = guests(&server, 60, |n| format!("203.0.113.{n}")).await;
    assert_eq!(accepted(&crowd, "1").await, 30);
    let host = server.owner().await;
    assert_eq!(host.send("the host is heard all the same").await.status, 200);
}

#[tokio::test]
async fn f1_a_guest_waits_for_its_first_message_only_in_a_crowded_room() {
    let settings = ["limits.room_burst=10", "limits.room_a_minute=1", "chat.first_message_ms=600000"];
    let server = with(&settings);
    let crowd = guests(&server, 10, |n| format!("203.0.113.{n}")).await;
    assert_eq!(accepted(&crowd, "1").await, 6, "until less than half of the room's limit is left");
    let late = Visitor::guest(&server, "198.51.100.1").await;
    let refused = late.send("1", "n").await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!("too_fast")));
    let account = server.visitor();
    account.post("/session/register", &[("name", "ming"), ("password", "correct horse")]).await;
    assert_eq!(account.send("an account does not wait").await.status, 200);
}

#[tokio::test]
async fn f1_sends_that_the_cooldown_refuses_do_not_starve_the_room() {
    let server = with(&["limits.room_burst=3", "limits.room_a_minute=1", "chat.cooldown_ms=600000", "chat.first_message_ms=0"]);
    let crowd = guests(&server, 4, |n| format!("203.0.113.{n}")).await;
    assert_eq!(crowd[0].send("1", "n").await.status, 200);
    for answer in join_all((0..100).map(|_| crowd[0].post("/gateway/send", &[("room", "1"), ("message", "x")]))).await {
        assert_eq!(answer.status, 429);
    }
    assert_eq!(crowd[1].send("1", "n").await.status, 200);
    assert_eq!(crowd[2].send("1", "n").await.status, 200);
    let refused = crowd[3].send("1", "n").await;
    assert_eq!(refused.status, 429);
    let wait = refused.body["retry_after_ms"].as_u64().unwrap();
    assert!(wait < 70_000, "the refusal of the room started no cooldown of ten minutes: {wait}");
    assert!(crowd[3].send("1", "n").await.body["retry_after_ms"].as_u64().unwrap() <= wait);
}

#[tokio::test]
async fn f1_a_repeated_nonce_is_answered_beyond_every_limit() {
    let server = with(&["limits.new_guest_burst=1", "limits.new_guest_a_minute=1", "chat.cooldown_ms=0"]);
    let person = Visitor::guest(&server, "203.0.113.9").await;
    let first = person.send("1", "n1").await;
    assert_eq!(first.status, 200);
    assert_eq!(person.send("1", "n2").await.status, 429);
    let again = person.send("1", "n1").await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    let other = Visitor::guest(&server, "203.0.113.10").await;
    for answer in join_all((0..20).map(|_| other.send("1", "same"))).await {
        assert_eq!((answer.status.as_u16(), &answer.body["seq"]), (200, &json!(2)), "{}", answer.body);
    }
}

#[tokio::test]
async fn f1_the_form_of_a_page_without_javascript_has_the_same_limits() {
    let server = with(&["limits.new_guest_burst=1", "limits.new_guest_a_minute=1", "chat.cooldown_ms=0"]);
    let person = server.guest("one").await;
    let form = async |message: &str| {
        let request = person.request("POST", "/gateway/send").header("accept", "text/html");
        let request = request.header("referer", format!("{}/rooms/1", server.base)).header("accept-language", "en");
        request.form(&[("room", "1"), ("message", message)]).send().await.unwrap().status()
    };
    assert_eq!((form("first").await, form("second").await), (303.try_into().unwrap(), 303.try_into().unwrap()));
    let page = person.request("GET", "/rooms/1").header("accept-language", "en").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("first") && page.contains("Too fast: you can send again in"), "{page}");
    let history = person.post("/gateway/history", &[("room", "1"), ("before", "99")]).await.body;
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn f1_all_limits_of_sends_are_lifted_for_load_tests() {
    let server = with(&["limits.per_ip=off", "limits.room_burst=1", "limits.room_a_minute=1", "limits.new_guest_burst=1"]);
    assert_eq!(accepted(&guests(&server, 20, |_| "203.0.113.9".into()).await, "1").await, 20);
}

#[tokio::test]
async fn f28_a_48_of_ipv6_has_limits_of_its_own() {
    let server = with(&["limits.guest_burst=1", "limits.guest_a_minute=1"]);
    let enter = async |address: &str| {
        Visitor::new(&server, address).post("/session/guest", &[("nickname", "guest")]).await.status.as_u16()
    };
    assert_eq!((enter("2001:db8:1:1::1").await, enter("2001:db8:1:1::2").await), (200, 429), "a /64 is one address");
    for n in 2..=8 {
        assert_eq!(enter(&format!("2001:db8:1:{n}::1")).await, 200);
    }
    assert_eq!((enter("2001:db8:1:9::1").await, enter("2001:db8:2:9::1").await), (429, 200), "a /48 is eight");
}

#[tokio::test]
async fn f17_requests_without_a_session_have_a_limit_of_their_own() {
    let server = with(&["limits.visitor_burst=3", "limits.visitor_a_minute=1"]);
    let get = async |visitor: &Visitor| {
        let request = visitor.person.request("GET", "/rooms/1").header("accept", "text/html");
        request.header("x-forwarded-for", &visitor.address).send().await.unwrap().status().as_u16()
    };
    let program = |address: &str| Visitor::new(&server, address);
    // Without cookies the address counts.
    for _ in 0..3 {
        assert_eq!(get(&program("203.0.113.9")).await, 200);
    }
    assert_eq!((get(&program("203.0.113.9")).await, get(&program("203.0.113.10")).await), (429, 200));
    let history = program("203.0.113.9").post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    assert_eq!((history.status.as_u16(), &history.body["code"]), (429, &json!("too_fast")), "every endpoint counts");
    // Browsers behind one address have a cookie after their first page, and then a limit each.
    let browsers = [program("198.51.100.1"), program("198.51.100.1")];
    for browser in &browsers {
        assert_eq!(get(browser).await, 200);
    }
    for browser in &browsers {
        assert_eq!([get(browser).await, get(browser).await, get(browser).await, get(browser).await], [200, 200, 200, 429]);
    }
    // A session has its own, larger limit.
    let person = Visitor::guest(&server, "203.0.113.9").await;
    for _ in 0..10 {
        assert_eq!(get(&person).await, 200);
    }
}
