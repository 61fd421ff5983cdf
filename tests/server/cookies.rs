//! The cookies of the site: their names under HTTPS, cookies planted by other hosts, the visitor cookie.

use crate::support::{Person, Server, read};
use reqwest::header::HeaderMap;

const HTTPS: &str = "web.public_url=https://chat.example.com";

fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// Signs a guest in and returns the session token.
async fn token(server: &Server, nickname: &str) -> String {
    let answer = server.visitor().post("/session/guest", &[("nickname", nickname)]).await;
    let cookies = set_cookies(&answer.headers);
    let session = cookies.iter().find(|cookie| cookie.contains("roomcast_session=")).unwrap();
    session.split('=').nth(1).unwrap().split(';').next().unwrap().to_owned()
}

/// Sends a message with exactly this `Cookie` header and returns the status.
async fn send_with(person: &Person, cookie: &[u8]) -> u16 {
    let request = person.request("POST", "/gateway/send").header("cookie", cookie).form(&[("room", "1"), ("message", "x")]);
    read(request.send().await.unwrap()).await.status.as_u16()
}

async fn nicknames(person: &Person) -> Vec<String> {
    let history = person.post("/gateway/history", &[("room", "1"), ("before", "99")]).await;
    let messages = history.body["messages"].as_array().unwrap();
    messages.iter().map(|message| message["nickname"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn f13_a_cookie_planted_by_a_sibling_host_signs_nobody_in() {
    let server = Server::with(&[HTTPS]);
    let (victim, attacker) = (token(&server, "victim").await, token(&server, "attacker").await);
    let visitor = server.visitor();
    let planted = format!("roomcast_session={attacker}; __Host-roomcast_session={victim}");
    assert_eq!(send_with(&visitor, planted.as_bytes()).await, 200);
    assert_eq!(nicknames(&visitor).await, ["victim"]);
}

#[tokio::test]
async fn f13_every_session_cookie_of_a_request_is_tried_whatever_stands_beside_it() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (own, visitor) = (token(&server, "own").await, server.visitor());
    let bogus = format!("roomcast_session=bogus; roomcast_session={}; roomcast_session={own}", "a".repeat(64));
    assert_eq!(send_with(&visitor, bogus.as_bytes()).await, 200);
    let foreign = [b"other=\xff\xe4; =; roomcast_session=".as_slice(), own.as_bytes(), b"; last=\xfe"].concat();
    assert_eq!(send_with(&visitor, &foreign).await, 200);
    assert_eq!(nicknames(&visitor).await, ["own", "own"]);
}

#[tokio::test]
async fn f13_a_page_replaces_the_old_name_and_signing_out_removes_both() {
    let server = Server::with(&[HTTPS]);
    let token = token(&server, "阿明").await;
    let old = format!("roomcast_session={token}");
    let page = server.visitor().request("GET", "/").header("accept", "text/html").header("cookie", &old).send().await.unwrap();
    let cookies = set_cookies(page.headers());
    let begins = |start: &str| cookies.iter().find(|cookie| cookie.starts_with(start)).cloned().unwrap_or_default();
    assert!(begins(&format!("__Host-roomcast_session={token};")).contains("Secure"), "{cookies:?}");
    assert!(begins("roomcast_session=;").contains("Max-Age=0"), "{cookies:?}");
    let out = server.visitor().request("POST", "/session/logout").header("cookie", &old).form(&[("a", "b")]).send();
    let cookies = set_cookies(out.await.unwrap().headers());
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-roomcast_session=;")), "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("roomcast_session=;")), "{cookies:?}");
    assert_eq!(send_with(&server.visitor(), old.as_bytes()).await, 401);
}

#[tokio::test]
async fn f13_preferences_are_host_cookies_and_the_old_names_still_count() {
    let server = Server::with(&[HTTPS]);
    let answer = server.visitor().post("/session/preferences", &[("lang", "en"), ("theme", "dark")]).await;
    let cookies = set_cookies(&answer.headers);
    assert!(cookies.iter().all(|cookie| cookie.starts_with("__Host-roomcast_")) && cookies.len() == 2, "{cookies:?}");
    let page = |cookie: &'static str| {
        let request = server.visitor().request("GET", "/").header("accept", "text/html").header("cookie", cookie).send();
        async move { request.await.unwrap().text().await.unwrap() }
    };
    assert!(page("theme=dark").await.contains("data-theme=\"dark\""));
    assert!(page("theme=light; __Host-roomcast_theme=dark").await.contains("data-theme=\"dark\""));
}

#[tokio::test]
async fn f13_a_page_moves_preferences_to_their_present_names() {
    let set_by_page = async |server: &Server, cookie: &'static str| {
        let page = server.visitor().request("GET", "/").header("accept", "text/html").header("cookie", cookie).send();
        let cookies = set_cookies(page.await.unwrap().headers());
        cookies.into_iter().filter(|cookie| cookie.contains("_lang=") || cookie.contains("_theme=")).collect::<Vec<_>>()
    };
    let server = Server::with(&[HTTPS]);
    for old in ["lang=zh; theme=dark", "roomcast_lang=zh; roomcast_theme=dark", "theme=light; roomcast_theme=dark; lang=zh"] {
        let set = set_by_page(&server, old).await;
        assert_eq!(set.len(), 2, "{old}: {set:?}");
        assert!(set[0].starts_with("__Host-roomcast_lang=zh;") && set[0].contains("Max-Age=31536000"), "{set:?}");
        assert!(set[1].starts_with("__Host-roomcast_theme=dark;") && !set[1].contains("HttpOnly"), "{set:?}");
    }
    for other in ["a=b", "lang=%3Cscript; theme=x", "lang=en; __Host-roomcast_lang=zh"] {
        assert!(set_by_page(&server, other).await.is_empty(), "{other}");
    }
    let server = Server::start();
    assert!(set_by_page(&server, "lang=en").await[0].starts_with("roomcast_lang=en;"));
    assert!(set_by_page(&server, "lang=en; roomcast_lang=zh").await.is_empty());
}

#[tokio::test]
async fn f9_a_page_removes_the_cookie_of_a_session_that_is_gone() {
    let server = Server::start();
    let token = token(&server, "gone").await;
    let own = format!("roomcast_session={token}");
    let page = async |cookie: &str| {
        let page = server.visitor().request("GET", "/").header("accept", "text/html").header("cookie", cookie).send();
        set_cookies(page.await.unwrap().headers()).into_iter().find(|cookie| cookie.starts_with("roomcast_session="))
    };
    assert!(page(&own).await.unwrap().starts_with(&own), "a session is renewed");
    server.visitor().request("POST", "/session/logout").header("cookie", &own).form(&[("a", "b")]).send().await.unwrap();
    for dead in [own.as_str(), "roomcast_session=bogus"] {
        let set = page(dead).await.unwrap();
        assert!(set.starts_with("roomcast_session=;") && set.contains("Max-Age=0"), "{set}");
    }
    assert_eq!(page("other=1").await, None);
}

#[tokio::test]
async fn f13_only_pages_set_the_visitor_cookie_and_only_where_it_is_missing() {
    let server = Server::with(&["gateway.api_key=secret"]);
    let visitor = server.visitor();
    let page = visitor.get("/rooms/1").await;
    let cookies = set_cookies(page.headers());
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("roomcast_visitor=")).unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    assert!(set_cookies(visitor.get("/").await.headers()).is_empty(), "the browser has one");
    for path in
        ["/healthz", "/readyz", "/metrics", "/robots.txt", "/favicon.ico", "/pkg/nothing.js", "/gateway/api/openapi.json", "/ws"]
    {
        let answer = server.visitor().request("GET", path).send().await.unwrap();
        assert!(set_cookies(answer.headers()).is_empty(), "{path}");
    }
    let answer = server.visitor().post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    assert!(set_cookies(&answer.headers).is_empty());
}

#[tokio::test]
async fn p4_a_page_that_a_script_loads_changes_no_session() {
    let server = Server::start();
    let token = token(&server, "阿明").await;
    for cookie in [format!("roomcast_session={token}"), "roomcast_session=bogus; lang=en".to_owned()] {
        let page = server.visitor().request("GET", "/").header("accept", "text/html").header("cookie", &cookie);
        let page = page.header("sec-fetch-dest", "empty").send().await.unwrap();
        let set = set_cookies(page.headers());
        assert!(set.len() == 1 && set[0].starts_with("roomcast_visitor="), "{set:?}");
    }
}

#[tokio::test]
async fn p4_a_bearer_token_takes_the_place_of_the_session() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let socket = person.open(None).await;
    let fields = [("client_id", socket.client_id.as_str()), ("room", "1")];
    let bind = || person.request("POST", "/gateway/bind").form(&fields);
    assert_eq!(bind().header("authorization", "Bearer rcs_unknown").send().await.unwrap().status(), 403);
    assert_eq!(bind().send().await.unwrap().status(), 200);
}
