//! U+0000, which PostgreSQL's texts cannot hold, reaches no store: every field of every form, address, API method and of the
//! command line is tried. The cleaning of texts removes it, or the request is refused; it is never an internal error.

use crate::command_line::{printed, run};
use crate::support::{Answer, Person, Server, read};
use serde_json::{Map, Value, json};

const KEY: &str = "gateway.api_key=a key of the configuration";

/// Every form, with values that are accepted. The signed-in ones come from the host of room 1.
const FORMS: [(&str, &[(&str, &str)]); 18] = [
    ("/gateway/bind", &[("client_id", "7f0000010b5400000001"), ("room", "1"), ("since", "1"), ("epoch", "e")]),
    ("/gateway/send", &[("room", "1"), ("message", "text"), ("nonce", "nonce"), ("user", "uid")]),
    ("/gateway/history", &[("room", "1"), ("before", "9"), ("limit", "5")]),
    ("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0"), ("closed", "false")]),
    ("/gateway/mod/title", &[("room", "1"), ("title", "a title")]),
    ("/gateway/rooms", &[("title", "a title")]),
    ("/page/lobby", &[("page", "1"), ("query", "title")]),
    ("/page/room", &[("room", "1")]),
    ("/page/sign-in", &[("unknown", "x")]),
    ("/page/account", &[("unknown", "x")]),
    ("/session/guest", &[("nickname", "阿明")]),
    ("/session/register", &[("name", "lena"), ("password", "correct horse"), ("nickname", "n"), ("owner", "link")]),
    ("/session/login", &[("name", "owner"), ("password", "correct horse")]),
    ("/session/logout", &[("unknown", "x")]),
    ("/session/preferences", &[("lang", "en"), ("theme", "dark")]),
    ("/session/password", &[("current", "correct horse"), ("password", "another horse")]),
    ("/session/end", &[("id", "0123456789abcdef")]),
    ("/session/end-others", &[("unknown", "x")]),
];
/// Addresses of pages; `{}` is the place of the character.
const ADDRESSES: [&str; 8] = [
    "/?q={}title",
    "/?page=1{}",
    "/rooms/1{}",
    "/rooms/{}",
    "/sign-in?next=/{}",
    "/sign-in?owner=a{}b",
    "/{}",
    "/gateway/api/sendTo{}All",
];

/// The value with the character at its ends and inside.
fn with_nul(value: &str) -> [String; 4] {
    let inside = value.char_indices().nth(1).map_or(value.len(), |(at, _)| at);
    let (begin, rest) = value.split_at(inside);
    ["\0".into(), format!("\0{value}"), format!("{value}\0"), format!("{begin}\0{rest}")]
}

fn check(case: &str, answer: &Answer) {
    let status = answer.status.as_u16();
    let is_refused = (400..500).contains(&status) && answer.body["code"].is_string();
    assert!(status == 200 || is_refused, "{case}: {status} {}", answer.body);
}

/// The number of texts in the database that hold the character. PostgreSQL's cannot.
async fn stored(server: &Server) -> i64 {
    if server.database.is_some() {
        return 0;
    }
    let columns = [
        ("messages", "text || nickname || uid || coalesce(nonce, '')"),
        ("rooms", "title || room || coalesce(host, '')"),
        ("people", "uid || nickname || coalesce(account, '') || coalesce(account_key, '') || coalesce(password, '')"),
        ("sessions", "uid || label"),
        ("api_keys", "name || scopes"),
    ];
    let mut count = 0;
    for (table, texts) in columns {
        count += server.count(&format!("SELECT count(*) FROM {{}}{table} WHERE instr({texts}, char(0)) > 0")).await;
    }
    count
}

/// The host of room 1, a person with an account that the form may end or change, or one without a session.
async fn sender(server: &Server, path: &str, host: &Person, case: usize) -> Person {
    match path {
        "/session/guest" | "/session/register" | "/session/login" => server.visitor(),
        "/session/logout" | "/session/password" | "/session/end-others" => {
            let person = server.visitor();
            let form = [("name", &*format!("person{case}")), ("password", "correct horse"), ("nickname", "n")];
            assert_eq!(person.post("/session/register", &form).await.status, 200);
            person
        }
        _ => host.clone(),
    }
}

#[tokio::test]
async fn no_form_takes_it() {
    let server = Server::with(&["chat.cooldown_ms=0", "limits.per_ip=off"]);
    let owner = server.owner().await;
    assert_eq!(owner.send("text").await.status, 200);
    let mut cases = 0;
    for (path, fields) in FORMS {
        for (field, value) in fields {
            for value in with_nul(value) {
                let person = sender(&server, path, &owner, cases).await;
                let form: Vec<_> =
                    fields.iter().map(|(name, valid)| (*name, if name == field { value.as_str() } else { valid })).collect();
                let case = format!("{path} {field}={value:?}");
                check(&case, &person.post(path, &form).await);
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
    assert_eq!(server.errors(), [""; 0]);
    assert_eq!(stored(&server).await, 0);
}

#[tokio::test]
async fn no_address_and_no_cookie_takes_it() {
    let server = Server::with(&[KEY, "limits.per_ip=off"]);
    for address in ADDRESSES {
        let status = server.visitor().get(&address.replace("{}", "%00")).await.status();
        assert!(status.is_success() || status.is_client_error(), "{address}: {status}");
    }
    for name in ["roomcast_session", "roomcast_device", "roomcast_visitor", "roomcast_lang"] {
        let visitor = server.visitor();
        visitor.set_cookie(&format!("{name}=a%00b"));
        assert_eq!(visitor.get("/").await.status(), 200, "{name}");
        check(name, &visitor.send("x").await);
        check(name, &visitor.post("/session/login", &[("name", "owner"), ("password", "correct horse")]).await);
    }
    assert_eq!(server.errors(), [""; 0]);
}

/// A value of the schema's kind that holds the character, and one that is accepted.
fn values_of(property: &str, client: &str) -> (Value, Value) {
    let text = |valid: &str| (json!(with_nul(valid)[3]), json!(valid));
    match property {
        "client_id" => text(client),
        "client_id_array" | "exclude_client_id" => (json!([with_nul(client)[3]]), json!([client])),
        "uids" | "groups" => (json!(["a\0b"]), json!(["a"])),
        "session" => (json!({"a\0": "b\0"}), json!({"a": "b"})),
        "code" => (json!("4000\0"), json!(4000)),
        "raw" | "base64" => (json!("true\0"), json!(false)),
        "calls" => (json!([{"method": "send\0ToAll", "params": {"message": "a\0b"}}]), json!([])),
        _ => text("text"),
    }
}

#[tokio::test]
async fn no_method_of_the_api_takes_it() {
    let server = Server::with(&[KEY]);
    let key = KEY.split_once('=').unwrap().1;
    let socket = server.visitor().open(None).await;
    let document: Value = server.visitor().get("/gateway/api/openapi.json").await.json().await.unwrap();
    let call = async |path: &str, body: String| {
        let request = server.visitor().request("POST", path).bearer_auth(key).header("content-type", "application/json");
        read(request.body(body).send().await.unwrap()).await
    };
    let mut cases = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
        let Some(properties) = schema["properties"].as_object() else { continue };
        for tried in properties.keys() {
            let values = properties.keys().filter(|name| *name == tried || schema["required"].to_string().contains(*name));
            let params: Map<String, Value> = values
                .map(|name| {
                    let (with, without) = values_of(name, &socket.client_id);
                    (name.clone(), if name == tried { with } else { without })
                })
                .collect();
            let body = Value::Object(params).to_string();
            let answer = call(path, body.clone()).await;
            check(&format!("{path} {body}"), &answer);
            cases += 1;
        }
    }
    assert!(cases > 50, "{cases}");
    for name in ["send\\u0000ToAll", "\\u0000"] {
        let body = format!(r#"{{"calls":[{{"method":"{name}","params":{{}}}}]}}"#);
        check(name, &call("/gateway/api/batch", body).await);
    }
    let wrong = server.visitor().request("POST", "/gateway/api/getAllClientCount").bearer_auth("roomcast_%00").body("{}");
    check("key", &read(wrong.send().await.unwrap()).await);
    assert_eq!(server.errors(), [""; 0]);
}

/// No argument of a program can hold it: that leaves the password, which is hashed.
#[tokio::test]
async fn a_password_with_it_is_a_password_of_its_own() {
    let server = Server::with(&["limits.per_ip=off"]);
    printed(&run(&server, &["user", "add", "ming"], "correct\0horse\n"));
    let log_in = async |name: &str, password: &str| {
        server.visitor().post("/session/login", &[("name", name), ("password", password)]).await.status.as_u16()
    };
    assert_eq!(log_in("ming", "correct\0horse").await, 200);
    assert_eq!((log_in("ming", "correct").await, log_in("ming", "correcthorse").await), (401, 401));
    assert_eq!(log_in("mi\0ng", "correct\0horse").await, 200, "the cleaning of a name removes it");
    assert_eq!((server.errors(), stored(&server).await), (vec![], 0));
}
