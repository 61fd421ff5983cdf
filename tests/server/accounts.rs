//! Guests, accounts and sessions.

use crate::command_line::{printed, run};
use crate::support::{Place, Server, eventually};
use serde_json::json;

#[tokio::test]
async fn a_guest_keeps_the_uid_when_registering_and_gets_a_new_token() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let before = person.cookie().unwrap();
    let registered =
        person.post("/session/register", &[("name", "ming"), ("password", "correct horse"), ("nickname", "阿明")]).await;
    assert_eq!(registered.body, json!({"uid": person.uid, "nickname": "阿明"}));
    assert_ne!(person.cookie().unwrap(), before, "a new token for more rights");
    let thief = server.visitor();
    thief.set_cookie(&before);
    assert_eq!(thief.send("x").await.status, 401, "the old token is rejected");
    let elsewhere = server.visitor();
    assert_eq!(
        elsewhere.post("/session/login", &[("name", "MING"), ("password", "correct horse")]).await.body["uid"],
        json!(person.uid)
    );
    assert_eq!(person.send("here").await.status, 200, "two devices, one person");
    assert_eq!(elsewhere.send("there").await.status, 429, "and one cooldown");
}

#[tokio::test]
async fn a_guest_can_change_the_nickname() {
    let server = Server::start();
    let person = server.guest("before").await;
    let renamed = person.post("/session/guest", &[("nickname", "after")]).await;
    assert_eq!(renamed.body, json!({"uid": person.uid, "nickname": "after"}));
    let mut socket = person.open_bound(None).await;
    person.send("x").await;
    assert_eq!(socket.push().await["message"], "after : x");
}

#[tokio::test]
async fn the_session_cookie_is_http_only_same_site_and_secure() {
    let server = Server::with(&["web.public_url=https://chat.example.com"]);
    let visitor = server.visitor();
    let answer = visitor.post("/session/guest", &[("nickname", "阿明")]).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(cookie.starts_with("__Host-roomcast_session="), "{cookie}");
    let server = Server::start();
    assert!(
        !server.visitor().post("/session/guest", &[("nickname", "阿明")]).await.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Secure")
    );
}

#[tokio::test]
async fn the_owners_link_works_once() {
    let server = Server::start();
    let owner = server.owner().await;
    owner.send("mine").await;
    let history = owner.post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    assert_eq!(history.body["messages"][0]["role"], "host");
    let link = server.owner_link.as_deref().unwrap();
    for token in [link, &"0".repeat(64), "short"] {
        let answer = server
            .visitor()
            .post("/session/register", &[("name", "second"), ("password", "correct horse"), ("owner", token)])
            .await;
        assert_eq!((answer.status.as_u16(), &answer.body["field"]), (422, &json!("owner")), "{token}");
    }
}

#[tokio::test]
async fn b57c_the_first_line_after_the_owners_link_has_the_role_of_the_host() {
    let server = Server::start();
    let mut owner = server.guest("小鱼").await;
    // The room without a host is cached by this message.
    assert_eq!(server.guest("阿明").await.send("hello").await.status, 200);
    let link = server.owner_link.as_deref().unwrap();
    let form = [("name", "boss"), ("password", "correct horse"), ("nickname", "小鱼"), ("owner", link)];
    owner.uid = owner.post("/session/register", &form).await.body["uid"].as_str().unwrap().to_owned();
    assert_eq!(owner.send("mine").await.status, 200);
    let history = owner.post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    assert_eq!(history.body["messages"][1]["role"], "host");
}

#[tokio::test]
async fn f16_the_nickname_of_a_host_belongs_to_the_host() {
    let server = Server::start();
    let owner = server.owner().await;
    for nickname in ["小鱼", " 小鱼 ", "小\u{200d}鱼", "小\u{115f}鱼"] {
        let answer = server.visitor().post("/session/guest", &[("nickname", nickname)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body["field"]), (422, &json!("nickname")), "{nickname:?}");
        let form = [("name", "other"), ("password", "correct horse"), ("nickname", nickname)];
        assert_eq!(server.visitor().post("/session/register", &form).await.status, 422, "{nickname:?}");
    }
    assert_eq!(owner.post("/session/guest", &[("nickname", "小鱼")]).await.status, 200, "the host keeps it");
    assert_eq!(server.visitor().post("/session/guest", &[("nickname", "小鱼儿")]).await.status, 200);
}

#[tokio::test]
async fn f16_badges_are_refused_and_an_account_is_found_however_its_name_is_typed() {
    let server = Server::start();
    for nickname in ["[主\u{115f}播]", "[𝐇𝐨𝐬𝐭]", "[Hоst]", "管理员", "Roomcast 官方", "Mod"] {
        let answer = server.visitor().post("/session/guest", &[("nickname", nickname)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body["field"]), (422, &json!("nickname")), "{nickname}");
    }
    let form = [("name", "José"), ("password", "correct horse")];
    assert_eq!(server.visitor().post("/session/register", &form).await.status, 200);
    for name in ["Jose\u{301}", " JOSÉ ", "ｊｏｓé", "jose\u{301}"] {
        let form = [("name", name), ("password", "correct horse")];
        assert_eq!(server.visitor().post("/session/login", &form).await.status, 200, "{name:?}");
        assert_eq!(server.visitor().post("/session/register", &form).await.body["code"], "name_taken", "{name:?}");
    }
    let form = [("name", "ming"), ("password", "Password123")];
    assert_eq!(server.visitor().post("/session/register", &form).await.body["field"], "password");
}

#[tokio::test]
async fn b25_nobody_else_writes_the_name_of_the_host() {
    let server = Server::with(&["limits.per_ip=off"]);
    let owner = server.owner().await;
    assert_eq!(owner.post("/session/guest", &[("nickname", "Gabe")]).await.status, 200);
    let guest = server.guest("before").await;
    for nickname in ["Gabe", "gabe", "G\u{430}be", "Ga\u{200b}be", "Ｇａｂｅ", " GABE\u{3000}", "Ga\u{ad}be"] {
        eventually("the host's name is known", async || {
            server.visitor().post("/session/guest", &[("nickname", nickname)]).await.status == 422
        })
        .await;
        assert_eq!(guest.post("/session/guest", &[("nickname", nickname)]).await.body["field"], "nickname", "{nickname:?}");
    }
    assert_eq!(guest.post("/session/guest", &[("nickname", "Gabor")]).await.status, 200);
}

#[tokio::test]
async fn p12_names_are_as_people_write_them_in_every_place() {
    let server = Server::with(&["limits.per_ip=off"]);
    for (stored, typed) in [
        ("Jose\u{301}", ["José", " JOSÉ ", "ｊｏｓé"]),
        ("हिन्दी", [" हिन्दी", "हिन्दी\u{3000}", "हि\u{200d}न्दी"]),
        ("ΟΔΟΣ", ["οδος", "οδοσ", " Οδος"]),
    ] {
        let form = [("name", stored), ("password", "correct horse")];
        assert_eq!(server.visitor().post("/session/register", &form).await.status, 200, "{stored}");
        for name in typed {
            let form = [("name", name), ("password", "correct horse")];
            assert_eq!(server.visitor().post("/session/login", &form).await.status, 200, "{name:?}");
            assert_eq!(server.visitor().post("/session/register", &form).await.body["code"], "name_taken", "{name:?}");
            assert!(
                !run(&server, &["user", "add", name], "correct horse\n").status.success(),
                "{name:?} is taken on the console"
            );
            printed(&run(&server, &["user", "sign-out", name], ""));
        }
    }
}

#[tokio::test]
async fn an_expired_session_is_rejected() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let stored = "SELECT lower(hex(token_hash)) FROM {}sessions";
    let stored = server.sql_of_each(stored, "SELECT encode(token_hash, 'hex') FROM {}sessions").await.remove(0);
    assert!(stored.len() == 64 && !person.cookie().unwrap().contains(&stored), "only a hash is stored");
    server.sql("UPDATE {}sessions SET expires_at = 1").await;
    let answer = person.send("x").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &json!("not_signed_in")));
}

#[tokio::test]
async fn a_session_ends_thirty_days_after_its_last_request() {
    use roomcast::server::{
        accounts::{Accounts, GuestSignIn},
        clock::Clock,
        security_log::SecurityLog,
        storage::Store,
    };
    const DAY: u64 = 24 * 3600 * 1000;
    let place = Place::new();
    let store = Store::open(&place.settings()).await.unwrap();
    let clock = Clock::manual(DAY);
    let accounts = Accounts::new(store.clone(), clock.clone(), SecurityLog::off());
    let GuestSignIn::Created(session) = accounts.sign_in_as_guest("阿明", "", None).await.unwrap() else {
        panic!("a new session")
    };
    for day in [20, 45, 70] {
        clock.set(day * DAY);
        assert!(accounts.session(&session.token).await.unwrap().is_some(), "seen on day {day}");
    }
    clock.set(99 * DAY);
    assert!(accounts.session(&session.token).await.unwrap().is_some(), "the last day");
    clock.set(130 * DAY);
    assert!(accounts.session(&session.token).await.unwrap().is_none());
    assert_eq!(accounts.sweep().await.unwrap(), 1);
}
