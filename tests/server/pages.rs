//! Pages and files as a browser without JavaScript receives them.

use crate::support::{Server, read};

#[tokio::test]
async fn a_room_page_is_rendered_by_the_server() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    person.send("大家好").await;
    let page = server.visitor().get("/rooms/1").await;
    assert_eq!(
        (page.status().as_u16(), page.headers()["cache-control"].to_str().unwrap()),
        (200, "private, no-cache, no-transform")
    );
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let html = page.text().await.unwrap();
    assert!(html.contains("大家好") && html.contains("阿明") && html.contains("action=\"/session/guest\""), "{html}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
        "{policy}"
    );
    assert!(
        html.matches("<script").count() >= 1
            && html.matches("<script").count() == html.matches(&format!("nonce=\"{nonce}\"")).count(),
        "every script has the nonce"
    );
    assert!(!html.contains(" style=\"") && !html.contains("onclick="));
    let again = server.visitor().get("/rooms/1").await;
    assert!(!again.headers()["content-security-policy"].to_str().unwrap().contains(nonce), "a nonce is used once");
}

#[tokio::test]
async fn unknown_paths_answer_404() {
    let server = Server::start();
    let visitor = server.visitor();
    for path in ["/rooms/nowhere", "/rooms/no%2Fwhere", "/nothing"] {
        let page = visitor.get(path).await;
        assert_eq!(page.status(), 404, "{path}");
        assert!(page.text().await.unwrap().contains("<main"), "{path}");
    }
    let file = visitor.request("GET", "/pkg/nothing.js").send().await.unwrap();
    assert_eq!((file.status().as_u16(), file.text().await.unwrap()), (404, "not found".into()));
    for secret in ["/pkg/../Cargo.toml", "/v/x/../../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        assert_eq!(visitor.request("GET", secret).send().await.unwrap().status(), 404, "{secret}");
    }
}

#[tokio::test]
async fn a_form_without_javascript_redirects_and_keeps_its_input() {
    let server = Server::start();
    let visitor = server.visitor();
    visitor.get("/rooms/1").await;
    let post = |path: &'static str, form: Vec<(&'static str, String)>| {
        let request = visitor
            .request("POST", path)
            .header("accept", "text/html")
            .header("referer", format!("{}/rooms/1", server.base))
            .form(&form);
        async move { read(request.send().await.unwrap()).await }
    };
    let joined = post("/session/guest", vec![("nickname", "阿明".into()), ("next", "/rooms/1".into())]).await;
    assert_eq!((joined.status.as_u16(), &joined.headers["location"]), (303, &"/rooms/1".parse().unwrap()));
    let said = post("/gateway/send", vec![("room", "1".into()), ("message", "没有脚本".into())]).await;
    assert_eq!((said.status.as_u16(), &said.headers["location"]), (303, &"/rooms/1".parse().unwrap()));
    let long = "长".repeat(141);
    let refused = post("/gateway/send", vec![("room", "1".into()), ("message", long.clone())]).await;
    assert_eq!((refused.status.as_u16(), &refused.headers["location"]), (303, &"/rooms/1".parse().unwrap()));
    let page = visitor.get("/rooms/1").await.text().await.unwrap();
    assert!(
        page.contains("没有脚本") && page.contains("系统提示: 不能超过140个字符") && page.contains(&format!("{long}</textarea>")),
        "{page}"
    );
    let again = visitor.get("/rooms/1").await.text().await.unwrap();
    assert!(!again.contains("系统提示: 不能超过"), "the refusal is shown once");
    let elsewhere = post("/session/guest", vec![("nickname", "阿明".into()), ("next", "//evil.example/".into())]).await;
    assert_eq!(elsewhere.headers["location"], "/");
    let english = post("/session/preferences", vec![("lang", "en".into()), ("theme", "dark".into())]).await;
    assert_eq!(english.status, 303);
    let page = visitor.get("/").await.text().await.unwrap();
    assert!(page.contains("<html lang=\"en\" data-theme=\"dark\"") && page.contains("<h1>Rooms</h1>"), "{page}");
    assert_eq!(visitor.post("/session/preferences", &[("lang", "fr")]).await.status, 422);
}

#[tokio::test]
async fn pages_are_in_the_language_of_the_browser() {
    let server = Server::start();
    for (accept, words) in [("zh-CN,zh;q=0.9", "直播间"), ("en-GB,en;q=0.8", "<h1>Rooms</h1>"), ("fr", "<h1>Rooms</h1>")] {
        let page = server
            .visitor()
            .request("GET", "/")
            .header("accept-language", accept)
            .header("accept", "text/html")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(page.contains(words), "{accept}");
    }
}

#[tokio::test]
async fn p22_pages_and_json_are_compressed() {
    let server = Server::with(&["chat.cooldown_ms=0", "limits.per_ip=off"]);
    let person = server.guest("阿明").await;
    let plain = person.get("/rooms/1").await;
    assert!(!plain.headers().contains_key("content-encoding"));
    let long = plain.bytes().await.unwrap().len();
    for (accept, expected) in [("gzip", "gzip"), ("br, gzip", "br"), ("gzip, deflate, br, zstd", "br")] {
        let request = person.request("GET", "/rooms/1").header("accept", "text/html").header("accept-encoding", accept);
        let page = request.send().await.unwrap();
        assert_eq!(page.headers()["content-encoding"], expected);
        let vary: Vec<_> = page.headers().get_all("vary").iter().map(|value| value.to_str().unwrap().to_lowercase()).collect();
        let vary = vary.join(", ");
        assert!(["accept-encoding", "cookie", "accept-language"].iter().all(|name| vary.contains(name)), "{vary}");
        assert!(page.headers()["cache-control"].to_str().unwrap().contains("no-transform"));
        assert!(page.bytes().await.unwrap().len() * 2 < long, "{accept}");
    }
    for _ in 0..12 {
        assert_eq!(person.send(&"好".repeat(140)).await.status, 200);
    }
    let history =
        person.request("POST", "/gateway/history").header("accept-encoding", "br").form(&[("room", "1"), ("before", "13")]);
    assert_eq!(history.send().await.unwrap().headers()["content-encoding"], "br");
    let short =
        person.request("POST", "/gateway/history").header("accept-encoding", "br").form(&[("room", "1"), ("before", "1")]);
    assert!(!short.send().await.unwrap().headers().contains_key("content-encoding"), "below 1 KiB");
}

#[tokio::test]
async fn p23_a_page_without_a_session_may_be_shown_again_from_memory() {
    let server = Server::start();
    let visitor = server.visitor();
    let control = async |path: &str| visitor.get(path).await.headers()["cache-control"].to_str().unwrap().to_owned();
    let open = "private, no-cache, no-transform";
    for path in ["/", "/rooms/1", "/nowhere", "/"] {
        assert_eq!(control(path).await, open, "{path}");
    }
    let refused = visitor.request("POST", "/session/guest").header("accept", "text/html").form(&[("nickname", " ")]);
    assert_eq!(refused.send().await.unwrap().status(), 303);
    assert_eq!(control("/rooms/1").await, "no-store, no-transform", "the page has a person's own input");
    let guest = server.guest("阿明").await;
    for path in ["/", "/rooms/1", "/sign-in", "/account"] {
        assert_eq!(guest.get(path).await.headers()["cache-control"], "no-store, no-transform", "{path}");
    }
}
