//! The account's page: another password, the list and the end of sessions; and the security log, which records all of it.

use crate::command_line::{printed, run};
use crate::support::{Answer, Person, Place, Server, eventually};
use serde_json::{Value, json};

/// Signs in to `ming`, with a `User-Agent`.
async fn ming(server: &Server, password: &str, user_agent: &str) -> Person {
    let person = server.visitor();
    let form = [("name", "ming"), ("password", password)];
    let request = person.request("POST", "/session/login").header("user-agent", user_agent).form(&form);
    let answer = crate::support::read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    person
}

async fn page(person: &Person) -> (u16, String) {
    let response = person.get("/account").await;
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn own_sessions(person: &Person) -> Vec<Value> {
    let Answer { status, body, .. } = person.post("/page/account", &[]).await;
    assert_eq!(status, 200, "{body}");
    body["content"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_person_lists_and_ends_the_own_sessions() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let phone = ming(&server, "correct horse", "Mozilla/5.0 (Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0").await;
    let desk = ming(&server, "correct horse", "Mozilla/5.0 (Windows NT 10.0) Chrome/131.0 Safari/537.36").await;
    let (status, html) = page(&desk).await;
    assert_eq!(status, 200);
    for part in ["Firefox · Android", "Chrome · Windows", "/session/end-others", "/session/password"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("127.0.0.1"), "no address");
    let sessions = own_sessions(&desk).await;
    assert_eq!(sessions.iter().filter(|session| session["is_current"] == json!(true)).count(), 1);
    let other = sessions.iter().find(|session| session["is_current"] == json!(false)).unwrap();
    assert_eq!(other["label"], "Firefox · Android");

    let mut socket = phone.open_bound(None).await;
    let stranger = server.guest("other").await;
    let id = other["id"].as_str().unwrap();
    assert_eq!(stranger.post("/session/end", &[("id", id)]).await.status, 403);
    assert_eq!(desk.post("/session/end", &[("id", id)]).await.status, 200);
    assert_eq!(socket.close_code().await, 4501);
    assert_eq!(phone.send("x").await.status, 401);
    assert_eq!(own_sessions(&desk).await.len(), 1);

    let third = ming(&server, "correct horse", "curl").await;
    assert_eq!(third.post("/session/end-others", &[]).await.status, 200);
    assert_eq!((desk.send("x").await.status.as_u16(), third.send("x").await.status.as_u16()), (401, 200));
}

#[tokio::test]
async fn a_person_changes_the_own_password() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let (phone, desk) = (ming(&server, "correct horse", "").await, ming(&server, "correct horse", "").await);
    let mut socket = phone.open_bound(None).await;
    let change =
        async |current: &str, new: &str| desk.post("/session/password", &[("current", current), ("password", new)]).await;
    for (current, new, field) in [
        ("wrong horse", "another horse", "current"),
        ("correct horse", "short", "password"),
        ("correct horse", "ming1234", "password"),
    ] {
        let answer = change(current, new).await;
        assert_eq!((answer.status.as_u16(), &answer.body["field"]), (422, &json!(field)), "{current} {new}");
    }
    assert_eq!(change("correct horse", "another horse").await.status, 200);
    assert_eq!(socket.close_code().await, 4501);
    assert_eq!((phone.send("x").await.status.as_u16(), desk.send("x").await.status.as_u16()), (401, 200));
    let form = [("name", "ming"), ("password", "correct horse")];
    assert_eq!(server.visitor().post("/session/login", &form).await.status, 401);
    ming(&server, "another horse", "").await;
}

#[tokio::test]
async fn the_account_page_works_without_javascript_and_refuses_guests() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let person = ming(&server, "correct horse", "").await;
    let post = async |current: &str| {
        let form = [("username", "ming"), ("current", current), ("password", "another horse")];
        let request = person.request("POST", "/session/password").header("accept", "text/html").form(&form);
        let response = request.header("referer", format!("{}/account", server.base)).send().await.unwrap();
        assert_eq!(response.status(), 303);
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(post("wrong horse").await, "/account");
    let (_, html) = page(&person).await;
    assert!(html.contains("The current password is wrong") || html.contains("当前密码不正确"), "{html}");
    assert!(!html.contains("wrong horse") && !html.contains("another horse"));
    assert_eq!(post("correct horse").await, "/account?done=password");
    assert!(person.get("/account?done=password").await.text().await.unwrap().contains("account__done"));
    assert!(page(&person).await.1.contains("href=\"/account\""), "the bar leads to the page");
    assert_eq!(page(&server.visitor()).await.0, 401);
    assert_eq!(page(&server.guest("阿明").await).await.0, 403);
}

/// The lines of the security log with this act.
fn recorded(server: &Server, act: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(server.data.path().join("data/security.log")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["act"] == act).collect()
}

#[tokio::test]
async fn v7_2_security_events_are_recorded_with_person_act_and_network_and_without_secrets() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.0/8"]);
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let key = printed(&run(&server, &["key", "add", "shop"], ""));
    let key = key.trim();
    let person = server.visitor();
    let post = async |path: &str, form: &[(&str, &str)]| {
        let request = person.request("POST", path).header("x-forwarded-for", "203.0.113.77").form(form);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("/session/login", &[("name", "ming"), ("password", "wrong horse")]).await, 401);
    assert_eq!(post("/session/login", &[("name", "secret-typed-as-name"), ("password", "wrong horse")]).await, 401);
    assert_eq!(post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await, 200);
    assert_eq!(post("/session/logout", &[]).await, 200);
    let form = [("name", "lena"), ("password", "correct horse"), ("owner", server.owner_link.as_deref().unwrap())];
    assert_eq!(post("/session/register", &form).await, 200);
    let call = async |method: &str, key: &str, body: Value| {
        let request = person.request("POST", &format!("/gateway/api/{method}")).bearer_auth(key).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(call("closeUid", key, json!({"uid": "nobody"})).await, 200);
    assert_eq!(call("closeUid", key, json!({"uid": 5, "x": 1})).await, 422);
    assert_eq!(call("closeUid", "roomcast_wrong", json!({"uid": "nobody"})).await, 401);
    printed(&run(&server, &["key", "remove", "shop"], ""));
    printed(&run(&server, &["room", "title", "1", "听歌"], ""));
    printed(&run(&server, &["user", "sign-out", "ming"], ""));

    let acts = [
        ("registered", 2),
        ("sign_in_failed", 2),
        ("signed_in", 1),
        ("signed_out", 1),
        ("owner_link_used", 1),
        ("key_added", 1),
        ("api_calls", 2),
        ("key_refused", 1),
        ("key_removed", 1),
        ("room_changed", 1),
        ("sessions_ended", 1),
    ];
    for (act, count) in acts {
        eventually(act, async || recorded(&server, act).len() >= count).await;
        assert_eq!(recorded(&server, act).len(), count, "{act}");
    }
    let failed = recorded(&server, "sign_in_failed");
    assert_eq!((&failed[0]["account"], &failed[0]["network"]), (&json!("ming"), &json!("203.0.113.0/24")));
    assert_eq!(failed[1].get("account"), None, "the name of no account may be a password");
    assert_eq!(recorded(&server, "registered")[0]["by"], "command");
    let calls = recorded(&server, "api_calls");
    assert_eq!(
        (&calls[0]["key"], &calls[0]["method"], &calls[0]["outcome"]),
        (&json!("shop"), &json!("closeUid"), &json!("done"))
    );
    assert_eq!(calls[1]["outcome"], "malformed");

    contains_no_secret(&server, &["203.0.113.77", key, "secret-typed"]);
    let metrics = person.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("roomcast_api_calls_total{key=\"shop\""), "{metrics}");
}

#[tokio::test]
async fn v7_2_guesses_at_the_own_password_and_refusals_are_a_line_and_a_count() {
    let mut server = Server::with(&["limits.per_ip=off"]);
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let person = ming(&server, "correct horse", "").await;
    let (mut failed, mut refused) = (0, 0);
    while refused < 4 {
        let form = [("current", "wrong horse"), ("password", "another horse")];
        match person.post("/session/password", &form).await.status.as_u16() {
            422 => failed += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    eventually("the first lines", async || !recorded(&server, "sign_in_refused").is_empty()).await;
    assert_eq!(recorded(&server, "sign_in_failed")[0]["account"], "ming");
    server.signal(libc::SIGTERM);
    server.exit_status().await;
    for (act, repeated) in [("sign_in_failed", failed - 1), ("sign_in_refused", refused - 1)] {
        let lines = recorded(&server, act);
        assert_eq!((lines.len(), &lines[1]["count"]), (2, &json!(repeated)), "{act}");
        assert_eq!(lines[1]["account"], "ming");
    }
}

#[tokio::test]
async fn a_refused_end_of_a_session_is_shown_on_the_page() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let (desk, _phone) = (ming(&server, "correct horse", "").await, ming(&server, "correct horse", "").await);
    server.refuse("DELETE", "sessions").await;
    let request = desk.request("POST", "/session/end-others").header("accept", "text/html");
    let response = request.header("referer", format!("{}/account", server.base)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/account".parse().unwrap()));
    assert_eq!(page(&desk).await.1.matches("role=\"alert\"").count(), 1);
}

/// The log is readable by its owner only and contains no password, title or link, and none of `secrets`.
fn contains_no_secret(server: &Server, secrets: &[&str]) {
    use std::os::unix::fs::PermissionsExt;
    let path = server.data.path().join("data/security.log");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in ["correct horse", "wrong horse", "听歌", server.owner_link.as_deref().unwrap()].iter().chain(secrets) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_owners_link_ends_after_a_day() {
    use roomcast::server::{
        accounts::{Accounts, Client, Registration},
        clock::Clock,
        security_log::SecurityLog,
        storage::Store,
    };
    let place = Place::new();
    let store = Store::open(&place.settings()).await.unwrap();
    let clock = Clock::manual(0);
    let accounts = Accounts::new(store, clock.clone(), SecurityLog::off());
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let client = Client { address, network: address, label: "", device: None };
    let link = accounts.owner_link(false).await.unwrap().unwrap().reveal();
    let register = async |account, link: &str| {
        let form = Registration { account, password: "correct horse", nickname: "", owner_link: Some(link) };
        accounts.register(form, &client, None).await.map(|session| session.person.nickname)
    };
    clock.set(24 * 3600 * 1000);
    assert!(register("late", &link).await.is_err());
    let link = accounts.owner_link(false).await.unwrap().unwrap().reveal();
    assert_eq!(register("boss", &link).await.unwrap(), "boss");
}
