//! The lobby: nobody fills it, and it shows the rooms where people are.

use crate::support::{Person, Server, eventually};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

async fn account(server: &Server, name: &str) -> Person {
    let person = server.visitor();
    assert_eq!(person.post("/session/register", &[("name", name), ("password", "correct horse")]).await.status, 200);
    person
}

async fn open(person: &Person, title: &str) -> u16 {
    person.post("/gateway/rooms", &[("title", title)]).await.status.as_u16()
}

async fn lobby(person: &Person) -> String {
    let request = person.request("GET", "/").header("accept", "text/html").header("accept-language", "en");
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn f10_accounts_of_strangers_open_no_rooms_unless_the_operator_permits_it() {
    const FORM: &str = "action=\"/gateway/rooms\"";
    const HINT: &str = "Register an account to open a room";
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
    let path = server.data.path().join("data/roomcast.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO rooms (room, title, epoch, created_at) SELECT i, 'spam ' || i, 'e', 9000000000000 + i FROM n";
    sqlx::query(many).execute(&mut database).await.unwrap();
    let person = server.guest("阿明").await;
    let cards = |page: &str| {
        let links = page.split("href=\"/rooms/").skip(1);
        links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let empty = cards(&lobby(&person).await);
    assert_eq!((empty.len(), empty[0].as_str()), (200, "500"), "without people the newest come first");
    let socket = person.open_bound(None).await;
    eventually("the room with somebody in it is first", async || cards(&lobby(&person).await)[0] == "1").await;
    let page = lobby(&person).await;
    assert_eq!((cards(&page).len(), cards(&page)[1].as_str()), (200, "500"));
    assert!(page.contains("1 online"));
    drop(socket);
}
