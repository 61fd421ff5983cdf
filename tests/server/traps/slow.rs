//! Readers that missed a removal: one whose socket is not read, and one that slept.

use super::view::View;
use super::{Room, SECRET, act, say};
use crate::support::{Person, Socket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A socket of `roomcast.v1` with a small receive window, so that the kernel buffers little for a reader that does not read.
async fn stuck_socket(person: &Person, address: &str) -> Socket {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("cookie", person.cookie().unwrap().parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "roomcast.v1".parse().unwrap());
    let stream = tokio_tungstenite::MaybeTlsStream::Plain(stream);
    let (stream, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let mut stuck = Socket { stream, client_id: String::new() };
    stuck.client_id = stuck.push().await["client_id"].as_str().unwrap().to_owned();
    stuck
}

/// Trap 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_skipped_a_removal_is_told_by_a_gap_and_binds() {
    let room = Room::with(&["gateway.queue_bytes=20000"]).await;
    let (author, slow) = (room.server.guest("作者").await, room.server.guest("slow").await);
    let mut view = View::default();
    let mut stuck = stuck_socket(&slow, room.server.address()).await;
    view.bind(&slow, &stuck).await;
    let secret = say(&author, SECRET).await;
    // Some 3.5 kB each, with nickname and field names: 300 KiB behind, and more than the kernel and the queue hold.
    let text = "👨‍👩‍👧‍👦".repeat(140);
    let mut last = 0;
    loop {
        last = say(&author, &text).await.max(last);
        let figures = author.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
        let skipped = figures.lines().find_map(|line| line.strip_prefix("roomcast_pushes_skipped_total "));
        if last > 100 && skipped.map_or(0, |count| count.parse().unwrap()) >= 3 {
            break;
        }
        assert!(last < 5000, "no frame was skipped");
    }
    let removal = act(&room.moderator, "remove", &[("seq", &secret.to_string())]).await;
    let mut pushes = 0;
    let gap = loop {
        let push = stuck.push().await;
        pushes += 1;
        view.apply(&push);
        assert_ne!(push["type"], "changed", "the removal was skipped");
        if push["type"] == "gap" {
            break push;
        }
    };
    assert!(view.text().contains(SECRET), "it got the message before its removal, {pushes} pushes ago");
    assert_eq!((&gap["rev"], gap["to"].as_u64()), (&removal["rev"], Some(last)), "{gap}");
    view.bind(&slow, &stuck).await;
    assert!(!view.text().contains(SECRET), "after `bind` the message is a tombstone");
    assert_eq!(view.rev, removal["rev"].as_u64().unwrap());
    // Pushes go on behind the gap.
    let after = say(&author, "after").await;
    assert_eq!(stuck.push_of("message").await["seq"], after);
}

/// Trap 1.
#[tokio::test]
async fn a_page_that_slept_across_a_removal_learns_of_it_when_it_binds() {
    let room = Room::start().await;
    let author = room.server.guest("作者").await;
    let secret = say(&author, SECRET).await;
    let visitor = room.server.visitor();
    let mut view = View::default();
    let asleep = visitor.open(Some("roomcast.v1")).await;
    view.bind(&visitor, &asleep).await;
    drop(asleep);
    assert!(view.text().contains(SECRET));
    act(&room.moderator, "remove", &[("seq", &secret.to_string())]).await;
    say(&author, "later").await;
    let body = view.bind(&visitor, &visitor.open(Some("roomcast.v1")).await).await;
    assert!(!view.text().contains(SECRET) && !body.to_string().contains(SECRET), "{body}");
    assert_eq!(view.messages[&secret]["removed"]["why"], "moderator");
    // A page of the plain dialect, and one that never heard of changes, get the tombstone as well.
    let old = visitor.bind(&visitor.open(None).await, &[]).await.body;
    assert_eq!((&old["messages"][0]["text"], &old["messages"][0]["message"]), (&"".into(), &"".into()));
}
