//! Invalid requests: each gets the refusal and status of docs/protocol-pages.md, and logs nothing above WARN.

use crate::support::{Answer, Server, read};
use serde_json::json;

fn check(case: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.body["code"].as_str(), &answer.body["status"]),
        (status, Some(code), &json!(false)),
        "{case}: {}",
        answer.body
    );
    let words = answer.body["message"].as_str().unwrap_or_default();
    assert!(!words.is_empty() && !words.contains("sqlx") && !words.contains("serde"), "{case}: {words}");
}

#[tokio::test]
async fn invalid_messages_are_refused() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("阿明").await;
    check("blank", &person.send(" \n\u{3000}\u{200b}").await, 422, "blank");
    check("141", &person.send(&"字".repeat(141)).await, 413, "too_long");
    assert_eq!(person.send(&"字".repeat(141)).await.body["max"], 140);
    check("5 KiB of combining marks", &person.send(&format!("e{}", "\u{301}".repeat(2560))).await, 413, "too_long");
    for allowed in [&"字".repeat(140), &"👨‍👩‍👧‍👦".repeat(140), "<script>alert(1)</script>", "javascript:alert(1)", "a\nb"]
    {
        assert_eq!(person.send(allowed).await.status, 200, "{allowed:.30}");
    }
    let mut socket = person.open_bound(None).await;
    person.send("a\u{0}\u{7}b\u{202e}c\u{2066}d\u{1b}[0m").await;
    assert_eq!(socket.push().await["text"], "abcd[0m");
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn markup_is_escaped() {
    let server = Server::start();
    let person = server.guest("<b>x</b>").await;
    person.send("<script>alert(1)</script>").await;
    let page = person.get("/rooms/1").await.text().await.unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script>alert(1)"), "{page}");
    assert!(!page.contains("<b>x"), "{page}");
}

#[tokio::test]
async fn unknown_rooms_clients_and_sessions_are_refused() {
    let server = Server::start();
    let (person, stranger) = (server.guest("阿明").await, server.guest("other").await);
    let socket = person.open(None).await;
    let bind = |client: &str, room: &str| {
        let (person, form) = (person.clone(), [("client_id", client.to_owned()), ("room", room.to_owned())]);
        async move { person.post("/gateway/bind", &form.each_ref().map(|(k, v)| (*k, v.as_str()))).await }
    };
    check("unknown room", &bind(&socket.client_id, "nowhere").await, 404, "no_such_room");
    check("no room's name", &bind(&socket.client_id, "no/where").await, 422, "malformed");
    check("malformed client", &bind("xyz", "1").await, 422, "malformed");
    assert_eq!(bind("xyz", "1").await.body["field"], "client_id");
    check("unknown client", &bind("7f0000010b54ffffffff", "1").await, 404, "no_such_client");
    check("a client of another node", &bind("0a0000010b5400000001", "1").await, 404, "no_such_client");
    check("foreign client", &stranger.bind(&socket, &[]).await, 403, "not_yours");
    check(
        "send to an unknown room",
        &person.post("/gateway/send", &[("room", "nowhere"), ("message", "x")]).await,
        404,
        "no_such_room",
    );
    check(
        "history of an unknown room",
        &person.post("/gateway/history", &[("room", "nowhere"), ("before", "9")]).await,
        404,
        "no_such_room",
    );
    for (field, value) in [("since", "soon"), ("since", "-1"), ("epoch", "an epoch")] {
        let answer = person.bind(&socket, &[(field, value)]).await;
        check(field, &answer, 422, "malformed");
        assert_eq!(answer.body["field"], field);
    }
    check("before", &person.post("/gateway/history", &[("room", "1"), ("before", "x")]).await, 422, "malformed");
    for nonce in ["\u{e9}", "a\nb", &"x".repeat(65)] {
        check(
            "nonce",
            &person.post("/gateway/send", &[("room", "1"), ("message", "x"), ("nonce", nonce)]).await,
            422,
            "malformed",
        );
    }

    let nobody = server.visitor();
    let their_socket = nobody.open(None).await;
    check("no session", &nobody.send("x").await, 401, "not_signed_in");
    check("a socket opened before the session", &person.bind(&their_socket, &[]).await, 403, "not_yours");
    for cookie in ["roomcast_session=forged", &format!("roomcast_session={}", "a".repeat(64)), "roomcast_session=%00"] {
        let forger = server.visitor();
        forger.set_cookie(cookie);
        check("forged cookie", &forger.send("x").await, 401, "not_signed_in");
    }
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn requests_from_other_origins_are_refused() {
    let server = Server::with(&["web.allowed_origins=https://www.example.com"]);
    let person = server.guest("阿明").await;
    let from = |origin: String| {
        let request = person.request("POST", "/gateway/send").header("origin", origin).form(&[("room", "1"), ("message", "x")]);
        async move { read(request.send().await.unwrap()).await }
    };
    check("wrong origin", &from("https://evil.example".into()).await, 403, "not_allowed");
    check("null", &from("null".into()).await, 403, "not_allowed");
    let fetched =
        person.request("POST", "/gateway/send").header("sec-fetch-site", "cross-site").form(&[("room", "1"), ("message", "x")]);
    check("cross-site", &read(fetched.send().await.unwrap()).await, 403, "not_allowed");
    let own = from(server.base.clone()).await;
    assert_eq!(own.status, 200);
    let allowed = from("https://www.example.com".into()).await;
    assert_eq!(
        (allowed.status.as_u16(), &allowed.headers["access-control-allow-origin"]),
        (429, &"https://www.example.com".parse().unwrap())
    );

    assert_eq!(person.try_open(None, Some("https://evil.example")).await.err(), Some(403.try_into().unwrap()));
    for origin in [server.base.as_str(), "https://www.example.com"] {
        assert!(person.try_open(None, Some(origin)).await.is_ok(), "{origin}");
    }
}

#[tokio::test]
async fn malformed_forms_and_wrong_methods_are_refused() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let missing = person.post("/gateway/send", &[("room", "1")]).await;
    check("missing", &missing, 422, "malformed");
    assert_eq!(missing.body["field"], "message");
    let repeated = person.post("/gateway/send", &[("room", "1"), ("message", "a"), ("message", "b")]).await;
    check("repeated", &repeated, 422, "malformed");
    assert_eq!(repeated.body["field"], "message");
    let get = read(person.request("GET", "/gateway/send").send().await.unwrap()).await;
    check("method", &get, 405, "malformed");
    assert_eq!(get.headers["allow"], "POST");
    let json = person.request("POST", "/gateway/send").json(&json!({"room": "1", "message": "x"}));
    let json = read(json.send().await.unwrap()).await;
    check("content type", &json, 422, "malformed");
    assert_eq!(json.body["field"], "content-type");
    let large = person.post("/gateway/send", &[("room", "1"), ("message", &"x".repeat(1 << 20))]).await;
    check("1 MB", &large, 413, "too_long");
    let form = "application/x-www-form-urlencoded";
    let raw = person.request("POST", "/gateway/send").header("content-type", form).body("room=1&message=%ff");
    let raw = read(raw.send().await.unwrap()).await;
    check("not text", &raw, 422, "malformed");
    assert_eq!(raw.body["field"], "body");
    assert_eq!(person.send("\u{fffd}").await.status, 200, "the replacement character itself is text");
    for path in ["/gateway/nothing", "/rooms/1"] {
        let status =
            person.request("POST", path).header("accept", "text/html").form(&[("a", "b")]).send().await.unwrap().status();
        assert!(status == 404 || status == 405, "{path}: {status}");
    }
    assert_eq!(person.request("POST", "/gateway/nothing").form(&[("a", "b")]).send().await.unwrap().status(), 404);
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn invalid_nicknames_names_and_passwords_are_refused() {
    let server = Server::start();
    let visitor = server.visitor();
    let guest = |nickname: String| {
        let visitor = visitor.clone();
        async move { visitor.post("/session/guest", &[("nickname", &nickname)]).await }
    };
    check("33 graphemes", &guest("名".repeat(33)).await, 413, "too_long");
    check("spaces", &guest("   ".into()).await, 422, "blank");
    for badge in ["[主播]阿明", "主播", "【主 播】", "[Host] x", "系统提示"] {
        check(badge, &guest(badge.into()).await, 422, "malformed");
    }
    assert_eq!(guest("名".repeat(32)).await.status, 200);
    let register = |name: &'static str, password: &'static str| {
        let visitor = server.visitor();
        async move { visitor.post("/session/register", &[("name", name), ("password", password)]).await }
    };
    check("short password", &register("ming", "1234567").await, 422, "malformed");
    check("a name with a space", &register("a b", "correct horse").await, 422, "malformed");
    assert_eq!(register("Ming", "correct horse").await.status, 200);
    check("taken regardless of case", &register("mING", "correct horse").await, 409, "name_taken");
    let log_in = |name: &'static str, password: &'static str| {
        let visitor = server.visitor();
        async move { visitor.post("/session/login", &[("name", name), ("password", password)]).await }
    };
    check("wrong password", &log_in("ming", "wrong horse").await, 401, "not_signed_in");
    check("nobody", &log_in("nobody", "wrong horse").await, 401, "not_signed_in");
    assert_eq!(log_in("MING", "correct horse").await.status, 200);
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn refusals_are_in_the_language_of_the_browser() {
    let server = Server::start();
    let say = |accept: &'static str| {
        server
            .visitor()
            .request("POST", "/gateway/send")
            .header("accept-language", accept)
            .form(&[("room", "1"), ("message", "x")])
            .send()
    };
    assert_eq!(read(say("en-US").await.unwrap()).await.body["message"], "Please sign in first");
    assert_eq!(read(say("zh-CN").await.unwrap()).await.body["message"], "请先登录");
}

#[tokio::test]
async fn requests_are_rate_limited_per_address_and_per_session() {
    let server = Server::with(&[
        "limits.guest_burst=3",
        "limits.guest_a_minute=1",
        "limits.sign_in_burst=3",
        "limits.sign_in_a_minute=1",
        "limits.session_burst=4",
        "limits.session_a_minute=1",
        "limits.socket_burst=6",
        "limits.socket_a_minute=1",
    ]);
    let person = server.guest("one").await;
    server.guest("two").await;
    server.guest("three").await;
    let fourth = server.visitor().post("/session/guest", &[("nickname", "four")]).await;
    check("guests", &fourth, 429, "too_fast");
    assert!(fourth.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 1);
    for _ in 0..3 {
        check(
            "guess",
            &server.visitor().post("/session/login", &[("name", "x"), ("password", "guess guess")]).await,
            401,
            "not_signed_in",
        );
    }
    check(
        "guesses",
        &server.visitor().post("/session/login", &[("name", "x"), ("password", "guess guess")]).await,
        429,
        "too_fast",
    );
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(person.send("x").await.body["retry_after_ms"].as_u64().unwrap_or_default());
    }
    assert!(statuses.last().unwrap() > &3000, "the session's own limit is longer than the cooldown: {statuses:?}");
    let visitor = server.visitor();
    let mut refused = None;
    for _ in 0..7 {
        refused = visitor.try_open(None, None).await.err();
    }
    assert_eq!(refused, Some(429.try_into().unwrap()));
}

#[tokio::test]
async fn rate_limits_can_be_switched_off_and_the_cooldown_stays() {
    let lifted = [
        "limits.per_ip=off",
        "limits.guest_burst=1",
        "limits.guest_a_minute=1",
        "limits.session_burst=1",
        "limits.session_a_minute=1",
    ];
    let server = Server::with(&lifted);
    for nickname in ["one", "two", "three"] {
        server.guest(nickname).await;
    }
    let person = server.guest("four").await;
    for _ in 0..3 {
        person.open_bound(None).await;
    }
    assert_eq!(person.send("first").await.status, 200);
    check("cooldown", &person.send("second").await, 429, "too_fast");
}
