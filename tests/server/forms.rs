//! Forms as a browser without JavaScript posts them: where they lead, what they keep, and what is said without cookies.

use crate::support::{Answer, Person, Server, read};

/// A page's cookies first, as a browser has them.
async fn reader(server: &Server) -> Person {
    let person = server.visitor();
    person.get("/").await;
    person
}

pub async fn post(person: &Person, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = person.request("POST", path).header("accept", "text/html").header("accept-language", "en");
    read(request.form(form).send().await.unwrap()).await
}

/// The address that the answer leads to.
pub fn target(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.headers["location"].to_str().unwrap().to_owned()
}

pub async fn page(person: &Person, path: &str) -> String {
    let request = person.request("GET", path).header("accept", "text/html").header("accept-language", "en");
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn b51_forms_lead_back_without_a_referer() {
    let server = Server::start();
    let person = reader(&server).await;
    let register = "/sign-in?tab=register&next=%2Frooms%2F1";
    for (path, form, to) in [
        ("/session/guest", &[("nickname", "[host]"), ("next", "/rooms/1")][..], "/rooms/1"),
        ("/session/guest", &[("nickname", "[host]"), ("next", "/rooms/1"), ("back", "/sign-in?tab=guest")], "/sign-in?tab=guest"),
        (
            "/session/login",
            &[("name", "nobody"), ("password", "not this one"), ("next", "/rooms/1")],
            "/sign-in?tab=login&next=%2Frooms%2F1",
        ),
        ("/session/register", &[("name", "a b"), ("password", "x"), ("next", "/rooms/1")], register),
        ("/session/preferences", &[("lang", "xx"), ("next", "/rooms/1")], "/rooms/1"),
        ("/session/preferences", &[("theme", "dark"), ("next", "/sign-in?tab=guest")], "/sign-in?tab=guest"),
        ("/gateway/rooms", &[("title", "x"), ("back", "/?q=x")], "/?q=x"),
        ("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "5000")], "/rooms/1"),
        ("/gateway/mod/title", &[("room", "1"), ("title", "x")], "/rooms/1"),
        ("/gateway/send", &[("room", "1"), ("message", "no session")], "/rooms/1"),
        ("/session/guest", &[("nickname", "Ming"), ("next", "/rooms/1")], "/rooms/1"),
        ("/gateway/send", &[("room", "1"), ("message", "hello")], "/rooms/1"),
        ("/gateway/send", &[("room", "1"), ("message", " ")], "/rooms/1"),
        ("/session/password", &[("current", "x"), ("password", "y")], "/account"),
        ("/session/logout", &[("next", "/rooms/1")], "/rooms/1"),
    ] {
        assert_eq!(target(&post(&person, path, form).await), to, "{path} {form:?}");
    }
    post(&person, "/gateway/send", &[("room", "1"), ("message", "hello again")]).await;
    assert!(page(&person, "/rooms/1").await.contains("Your guest name has expired"), "the refusal is said where the form stands");
    for evil in ["//evil.example/", "https://evil.example", "/\\evil.example"] {
        let answer = post(&person, "/session/preferences", &[("theme", "dark"), ("next", evil)]).await;
        assert_eq!(target(&answer), "/", "{evil}");
    }
}

#[tokio::test]
async fn b12_a_text_that_is_far_too_long_comes_back() {
    let server = Server::with(&["chat.open_rooms=accounts"]);
    let person = reader(&server).await;
    let long = "字".repeat(5_000);
    let guest = post(&person, "/session/guest", &[("nickname", &long), ("back", "/sign-in?tab=guest")]).await;
    let shown = page(&person, &target(&guest)).await;
    assert!(shown.contains(&long) && shown.contains("No more than 32 characters"), "a nickname");
    let form = [("name", "ming"), ("password", "a long password"), ("nickname", &*long)];
    let shown = page(&person, &target(&post(&person, "/session/register", &form).await)).await;
    assert!(shown.contains(&long) && shown.contains("value=\"ming\""), "a registration");
    let form = [("name", "ming"), ("password", "a long password"), ("nickname", "Ming")];
    assert_eq!(person.post("/session/register", &form).await.status, 200);
    let shown = page(&person, &target(&post(&person, "/gateway/rooms", &[("title", &long)]).await)).await;
    assert!(shown.contains(&long) && shown.contains("No more than 60 characters"), "a title");
    let send = post(&person, "/gateway/send", &[("room", "1"), ("message", &long)]).await;
    let shown = page(&person, &target(&send)).await;
    assert!(shown.contains(&format!("{long}</textarea>")) && shown.contains("No more than 140 characters"), "a message");

    // Beyond the limit of the body the beginning comes back, and a program is refused without reading the rest.
    let huge = "字".repeat(40_000);
    let send = post(&person, "/gateway/send", &[("room", "1"), ("message", &huge)]).await;
    let shown = page(&person, &target(&send)).await;
    assert!(shown.contains(&long) && !shown.contains(&huge) && !shown.contains('\u{fffd}'));
    let refused = person.post("/gateway/send", &[("room", "1"), ("message", &huge)]).await;
    assert_eq!((refused.status.as_u16(), refused.body["max"].as_u64()), (413, Some(140)));
}

#[tokio::test]
async fn b09_without_cookies_a_form_says_that_they_are_needed() {
    const WORDS: &str = "Your browser kept no cookie";
    let server = Server::start();
    // A new browser each time keeps nothing.
    for (path, form, kept) in [
        ("/session/guest", &[("nickname", "Ming"), ("next", "/rooms/1")][..], "Ming"),
        (
            "/session/guest",
            &[("nickname", "Ming"), ("next", "/rooms/1"), ("back", "/sign-in?tab=guest&next=%2Frooms%2F1")],
            "Ming",
        ),
        (
            "/session/register",
            &[("name", "anna"), ("password", "a long password"), ("nickname", "Anna"), ("next", "/rooms/1")],
            "anna",
        ),
        ("/session/login", &[("name", "anna"), ("password", "a long password"), ("next", "/rooms/1")], "anna"),
        ("/session/preferences", &[("theme", "dark"), ("next", "/rooms/1")], ""),
    ] {
        let to = target(&post(&server.visitor(), path, form).await);
        let shown = page(&server.visitor(), &to).await;
        assert!(shown.contains(WORDS), "{path}: {to}");
        assert!(shown.contains(&format!("value=\"{kept}\"")) || kept.is_empty(), "{path} keeps what was typed");
        assert!(!page(&server.visitor(), &to).await.contains("value=\"Ming\""), "{path}: it is shown once");
    }
    // The words of a refused form need no cookie.
    let refused = target(&post(&server.visitor(), "/session/guest", &[("nickname", "[host]"), ("next", "/rooms/1")]).await);
    let shown = page(&server.visitor(), &refused).await;
    assert!(shown.contains("This nickname is reserved") && shown.contains("value=\"[host]\""), "{refused}");

    // A browser that keeps cookies is led on, also if it had none before.
    let late = server.visitor();
    let to = target(&post(&late, "/session/guest", &[("nickname", "Late"), ("next", "/rooms/1")]).await);
    let on = read(late.request("GET", &to).header("accept", "text/html").send().await.unwrap()).await;
    assert_eq!(target(&on), "/rooms/1");
    let to = target(&post(&reader(&server).await, "/session/guest", &[("nickname", "Usual"), ("next", "/rooms/1")]).await);
    assert_eq!(to, "/rooms/1");
    let evil = read(late.request("GET", "//evil.example/?cookies=1").header("accept", "text/html").send().await.unwrap()).await;
    assert!(evil.headers.get("location").is_none_or(|to| !to.to_str().unwrap().starts_with("//")), "{:?}", evil.headers);
}

#[tokio::test]
async fn p4_only_a_form_of_a_page_is_kept_and_no_long_path() {
    let server = Server::start();
    let long = format!("/{}", "x".repeat(30_000));
    let text = |path: &str| server.visitor().request("POST", path).header("accept", "text/html").body("x");
    for path in [long.as_str(), "/nowhere"] {
        let answer = read(text(path).send().await.unwrap()).await;
        assert!(answer.status.is_client_error() && answer.headers.get("set-cookie").is_none(), "{path}: {:?}", answer.headers);
    }
    let visitor = server.visitor();
    let to = target(&post(&visitor, "/session/guest", &[("nickname", "Ming"), ("next", &long)]).await);
    assert!(to.starts_with("/sign-in?tab=guest&cookies=") && to.len() < 100, "{to}");
    assert_eq!(target(&read(visitor.request("GET", &to).send().await.unwrap()).await), "/");
}

#[tokio::test]
async fn p4_an_address_with_a_key_leads_to_one_without() {
    let server = Server::start();
    let person = reader(&server).await;
    for query in ["cookies", "cookies=", "cookies=x", "%63ookies=x", "cookies&cookies=y", "a=b&cookies"] {
        let mut path = format!("/?{query}");
        for _ in 0..3 {
            let answer = read(person.request("GET", &path).header("accept", "text/html").send().await.unwrap()).await;
            if answer.status == 200 {
                break;
            }
            path = target(&answer);
        }
        assert!(!path.contains("ookies"), "{query} leads to {path}");
    }
}

#[tokio::test]
async fn p4_a_page_with_a_field_for_a_password_is_not_stored() {
    let server = Server::start();
    for path in ["/sign-in", "/sign-in?tab=register", "/account"] {
        let page = server.visitor().request("GET", path).header("accept", "text/html").send().await.unwrap();
        let stored = page.headers()["cache-control"].to_str().unwrap();
        assert!(stored.contains("no-store"), "{path}: {stored}");
    }
}

#[tokio::test]
async fn p4_a_text_is_not_sent_as_another_person_than_the_page_shows() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (ming, anna) = (server.guest("Ming").await, server.guest("Anna").await);
    let form = [("room", "1"), ("message", "written by Anna"), ("user", anna.uid.as_str())];
    let answer = ming.post("/gateway/send", &form).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (403, Some("not_yours")));
    assert_eq!(target(&post(&ming, "/gateway/send", &form).await), "/rooms/1");
    let shown = page(&ming, "/rooms/1").await;
    assert!(shown.contains("This page belongs to another session") && shown.contains("written by Anna</textarea>"), "{shown}");
    assert!(shown.contains(&format!("name=\"user\" value=\"{}\"", ming.uid)), "the form names its person");
    let stored = anna.post("/gateway/history", &[("room", "1"), ("before", "99")]).await;
    assert_eq!(stored.body["messages"], serde_json::json!([]));
    for user in [anna.uid.as_str(), ""] {
        assert_eq!(anna.post("/gateway/send", &[("room", "1"), ("message", "mine"), ("user", user)]).await.status, 200);
    }
}
