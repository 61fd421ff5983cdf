//! The lobby: nobody fills it, and it shows the rooms where people are.

use crate::support::{Person, Server, eventually};
use futures_util::future::join_all;
use serde_json::json;

/// The rooms of a page, in its order.
fn cards(page: &str) -> Vec<String> {
    let links = page.split("href=\"/rooms/").skip(1);
    links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

async fn account(server: &Server, name: &str) -> Person {
    let person = server.visitor();
    assert_eq!(person.post("/session/register", &[("name", name), ("password", "correct horse")]).await.status, 200);
    person
}

async fn open(person: &Person, title: &str) -> u16 {
    person.post("/gateway/rooms", &[("title", title)]).await.status.as_u16()
}

async fn lobby(person: &Person) -> String {
    lobby_at(person, "/").await
}

async fn lobby_at(person: &Person, path: &str) -> String {
    let request = person.request("GET", path).header("accept", "text/html").header("accept-language", "en");
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn f10_accounts_of_strangers_open_no_rooms_unless_the_operator_permits_it() {
    const FORM: &str = "action=\"/gateway/rooms\"";
    const HINT: &str = "Register an account to create a room";
    let server = Server::with(&["chat.open_rooms=owner"]);
    let (owner, stranger, guest) = (server.owner().await, account(&server, "stranger").await, server.guest("guest").await);
    let refused = stranger.post("/gateway/rooms", &[("title", "spam")]).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (403, &json!("not_allowed")));
    assert_eq!((open(&guest, "spam").await, open(&server.visitor(), "spam").await, open(&owner, "mine").await), (403, 401, 200));
    assert!(lobby(&owner).await.contains(FORM));
    for person in [&stranger, &guest, &server.visitor()] {
        let page = lobby(person).await;
        assert!(!page.contains(FORM) && !page.contains(HINT) && !page.contains("spam"));
    }
    let server = Server::with(&["chat.open_rooms=accounts"]);
    let (stranger, guest) = (account(&server, "stranger").await, server.guest("guest").await);
    assert_eq!(open(&stranger, "welcome").await, 200);
    assert!(lobby(&stranger).await.contains(FORM));
    let page = lobby(&guest).await;
    assert!(page.contains(HINT) && !page.contains(FORM));
}

#[tokio::test]
async fn f10_opening_rooms_is_for_the_owner_by_default() {
    let shipped = roomcast::server::config::ChatSettings::default();
    assert_eq!(shipped.open_rooms, roomcast::server::config::OpenRooms::Owner);
    assert_eq!((shipped.rooms_per_account, shipped.first_message_ms), (20, 3000));
}

#[tokio::test]
async fn f21_concurrent_requests_open_no_room_beyond_the_limit() {
    let server = Server::with(&["chat.rooms_per_account=20"]);
    let person = account(&server, "ming").await;
    let mut statuses = join_all((0..40).map(|_| open(&person, "one of many"))).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 20], [403; 20]].concat());
}

#[tokio::test]
async fn f10_rooms_with_people_come_first_however_many_are_opened() {
    let server = Server::start();
    server.add_rooms(500).await;
    let person = server.guest("阿明").await;
    let empty = cards(&lobby(&person).await);
    assert_eq!((empty.len(), empty[0].as_str()), (50, "500"), "without people the newest come first");
    let socket = person.open_bound(None).await;
    eventually("the room with somebody in it is first", async || cards(&lobby(&person).await)[0] == "1").await;
    let page = lobby(&person).await;
    assert_eq!((cards(&page).len(), cards(&page)[1].as_str()), (50, "500"));
    assert!(page.contains("1 online"));
    drop(socket);
}

#[tokio::test]
async fn b22_every_room_is_on_a_page_of_the_lobby() {
    let server = Server::start();
    server.add_rooms(130).await;
    let person = server.guest("阿明").await;
    let socket = person.open_bound(None).await;
    eventually("the room with somebody in it is first", async || cards(&lobby(&person).await)[0] == "1").await;
    let mut found = Vec::new();
    let mut next = Some("/".to_owned());
    while let Some(path) = next {
        let page = lobby_at(&person, &path).await;
        found.extend(cards(&page));
        next = page.split("rel=\"next\" href=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    }
    assert_eq!((found.len(), found[0].as_str(), found[1].as_str(), found[129].as_str()), (130, "1", "130", "2"));
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 130, "each room once");
    assert!(cards(&lobby_at(&person, "/?page=99999999999").await).len() == 50, "no number");
    assert!(lobby_at(&person, "/?page=4").await.contains("There are no rooms yet"));
    drop(socket);
}

#[tokio::test]
async fn p21_rooms_are_found_by_title_and_host_however_they_are_typed() {
    let server = Server::start();
    let anna = server.visitor();
    let form = [("name", "anna"), ("password", "correct horse"), ("nickname", "José")];
    assert_eq!(anna.post("/session/register", &form).await.status, 200);
    for title in ["Ｃａｆé del Mar", "下午茶", "<b>100%</b> _fun_"] {
        assert_eq!(open(&anna, title).await, 200);
    }
    let search = async |query: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
        cards(&lobby_at(&anna, &format!("/?{query}")).await)
    };
    for (query, rooms) in [
        ("cafe\u{301}", &["2"][..]),
        ("CAFÉ mar", &["2"]),
        ("午茶", &["3"]),
        ("jose\u{301}", &["4", "3", "2"]),
        ("JOSÉ 茶", &["3"]),
        ("%", &["4"]),
        ("_", &["4"]),
        ("<B>", &["4"]),
        ("nowhere", &[]),
        ("  ", &["4", "3", "2", "1"]),
    ] {
        assert_eq!(search(query).await, rooms, "{query}");
    }
    let page = lobby_at(&anna, "/?q=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(page.contains("No room matches") && !page.contains("<script>alert"), "{page}");
    assert_eq!(anna.get(&format!("/?q={}", "x".repeat(4_000))).await.status(), 200);
}

#[tokio::test]
async fn p21_a_room_is_live_while_its_host_is_in_it() {
    const LIVE: &str = "room-card__live";
    let server = Server::start();
    let (owner, guest) = (server.owner().await, server.guest("阿明").await);
    let viewer = guest.open_bound(None).await;
    eventually("one is online", async || lobby(&guest).await.contains("1 online")).await;
    assert!(!lobby(&guest).await.contains(LIVE), "a viewer makes no broadcast");
    assert_eq!(open(&owner, "another").await, 200);
    let elsewhere = owner.open(None).await;
    assert_eq!(owner.bind(&elsewhere, &[("room", "2")]).await.status, 422, "a field occurs once");
    assert!(!lobby(&guest).await.contains(LIVE), "the host has a socket, in no room");
    let host = owner.open_bound(None).await;
    eventually("the room is live", async || lobby(&guest).await.contains(LIVE)).await;
    assert_eq!(lobby(&guest).await.matches(LIVE).count(), 1);
    drop(host);
    eventually("it is over", async || !lobby(&guest).await.contains(LIVE)).await;
    drop((viewer, elsewhere));
}

#[tokio::test]
async fn p4_the_lobby_has_a_hundred_pages() {
    let server = Server::start();
    server.add_rooms(5100).await;
    let visitor = server.visitor();
    let last = lobby_at(&visitor, "/?page=100").await;
    assert_eq!((cards(&last).len(), cards(&last)[0].as_str()), (50, "150"));
    assert!(!last.contains("rel=\"next\""));
    assert_eq!(cards(&lobby_at(&visitor, "/?page=10000").await), cards(&last), "no page is further away");
}
