//! Acts as a browser without JavaScript posts them: a redirect to `next` with the act, and the text of a refused form on its page.

use super::{Room, send};
use crate::forms::{page, post, target};

#[tokio::test]
async fn an_act_leads_to_its_page_which_offers_to_take_it_back() {
    let room = Room::new(&[]).await;
    room.moderator.get("/").await;
    let seq = send(&room.guest, "written by a guest").await;
    let here = format!("/rooms/1/messages/{seq}");
    let form = [("room", "1"), ("seq", seq.as_str()), ("next", here.as_str())];
    let to = target(&post(&room.moderator, "/gateway/mod/remove", &form).await);
    let (path, action) = to.split_once("?done=").expect("the act is in the address");
    assert_eq!(path, here);
    let shown = page(&room.moderator, &to).await;
    assert!(shown.contains("/gateway/mod/undo") && shown.contains(action), "the page has the form of the undo");
    assert!(!page(&room.viewer, &to).await.contains("written by a guest"));
    let undo = [("room", "1"), ("action", action), ("next", here.as_str())];
    assert_eq!(target(&post(&room.moderator, "/gateway/mod/undo", &undo).await), here);
    assert!(page(&room.viewer, &here).await.contains("written by a guest"));

    // To another page than one of the staff it leads without the act, and never to another site.
    for (next, expected) in [("/rooms/1", "/rooms/1"), ("//evil.example/messages/1", "/rooms/1"), ("", "/rooms/1")] {
        let seq = send(&room.guest, "again").await;
        let form = [("room", "1"), ("seq", seq.as_str()), ("next", next)];
        assert_eq!(target(&post(&room.moderator, "/gateway/mod/remove", &form).await), expected, "{next}");
    }
}

#[tokio::test]
async fn a_refused_act_comes_back_with_its_text() {
    let room = Room::new(&[]).await;
    room.moderator.get("/").await;
    let seq = send(&room.guest, "hello").await;
    let here = format!("/rooms/1/messages/{seq}");
    let long = "r".repeat(501);
    for (path, field, seconds) in
        [("/gateway/mod/warn", "reason", ""), ("/gateway/mod/timeout", "reason", "600"), ("/gateway/mod/note", "text", "")]
    {
        let form = [("room", "1"), ("user", room.guest.uid.as_str()), (field, &long), ("seconds", seconds), ("next", &here)];
        let to = target(&post(&room.moderator, path, &form).await);
        assert_eq!(to, here, "{path}: a refused act has no id");
        let shown = page(&room.moderator, &to).await;
        assert!(shown.contains(&long) && shown.contains("No more than 500 characters"), "{path}");
        assert!(!page(&room.moderator, &to).await.contains(&long), "{path}: it is shown once");
    }
    assert_eq!(room.guest.send("nothing was done").await.status, 200);
}

#[tokio::test]
async fn forms_of_a_person_without_a_session_lead_back() {
    let room = Room::new(&[]).await;
    let visitor = room.server.visitor();
    visitor.get("/").await;
    for path in ["/gateway/retract", "/gateway/report", "/gateway/mod/remove", "/gateway/acknowledge"] {
        let form = [("room", "1"), ("seq", "1"), ("reason", "spam"), ("case", "x"), ("next", "/rooms/1")];
        assert_eq!(target(&post(&visitor, path, &form).await), "/rooms/1", "{path}");
    }
}
