//! Every route of the server: the router's own list, how each is called, and a walk that calls all of them. A new route fails
//! `every_route_of_the_router_is_listed` until it is listed here.

use super::{Answer, Person, Server, read};
use leptos::server_fn::axum::server_fn_paths;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How a route is called.
enum Call {
    /// A page or another GET; its path, and its query.
    Get(&'static str),
    /// A form, with the names of its fields.
    Form(&'static [&'static str]),
    /// A JSON request of a back end to every method of openapi.json.
    Api,
    /// A batch of one call of a back end.
    Batch,
    /// The handshake of a socket.
    Socket,
}

use Call::{Api, Batch, Form, Get, Socket};

/// Every route: method, path as the router has it, and the call. Forms that end the session come last.
const ROUTES: &[(&str, &str, Call)] = &[
    ("GET", "/", Get("/?page=1&q={room}")),
    ("GET", "/sign-in", Get("/sign-in?tab=register")),
    ("GET", "/account", Get("/account")),
    ("GET", "/rooms/:room", Get("/rooms/{room}")),
    ("GET", "/rooms/:room/moderate", Get("/rooms/{room}/moderate")),
    ("GET", "/rooms/:room/messages/:seq", Get("/rooms/{room}/messages/{seq}")),
    ("GET", "/healthz", Get("/healthz")),
    ("GET", "/readyz", Get("/readyz")),
    ("GET", "/metrics", Get("/metrics")),
    ("GET", "/ws", Socket),
    ("GET", "/ws/", Socket),
    ("GET", "/gateway/api/openapi.json", Get("/gateway/api/openapi.json")),
    ("POST", "/gateway/api/{method}", Api),
    ("POST", "/gateway/api/batch", Batch),
    ("GET", "/gateway/mod/log", Get("/gateway/mod/log?room={room}")),
    ("GET", "/gateway/mod/person", Get("/gateway/mod/person?room={room}&user={user}")),
    ("GET", "/gateway/mod/restraints", Get("/gateway/mod/restraints?room={room}")),
    ("GET", "/gateway/mod/reports", Get("/gateway/mod/reports?room={room}")),
    ("POST", "/page/lobby", Form(&["page", "query"])),
    ("POST", "/page/room", Form(&["room"])),
    ("POST", "/page/message", Form(&["room", "seq"])),
    ("POST", "/page/moderation", Form(&["room"])),
    ("POST", "/page/sign-in", Form(&[])),
    ("POST", "/page/account", Form(&[])),
    ("POST", "/gateway/bind", Form(&["client_id", "room", "since", "rev"])),
    ("POST", "/gateway/history", Form(&["room", "before"])),
    ("POST", "/gateway/send", Form(&["room", "message", "re"])),
    ("POST", "/gateway/rooms", Form(&["title"])),
    ("POST", "/gateway/retract", Form(&["room", "seq"])),
    ("POST", "/gateway/report", Form(&["room", "seq", "reason"])),
    ("POST", "/gateway/acknowledge", Form(&["case"])),
    ("POST", "/gateway/mod/remove", Form(&["room", "seq"])),
    ("POST", "/gateway/mod/purge", Form(&["room", "user"])),
    ("POST", "/gateway/mod/undo", Form(&["action"])),
    ("POST", "/gateway/mod/timeout", Form(&["room", "user", "seconds"])),
    ("POST", "/gateway/mod/ban", Form(&["room", "user"])),
    ("POST", "/gateway/mod/lift", Form(&["case"])),
    ("POST", "/gateway/mod/warn", Form(&["room", "user", "reason"])),
    ("POST", "/gateway/mod/note", Form(&["room", "user", "text"])),
    ("POST", "/gateway/mod/unnote", Form(&["room", "note"])),
    ("POST", "/gateway/mod/pin", Form(&["room", "seq"])),
    ("POST", "/gateway/mod/unpin", Form(&["room"])),
    ("POST", "/gateway/mod/mode", Form(&["room", "slow_ms"])),
    ("POST", "/gateway/mod/title", Form(&["room", "title"])),
    ("POST", "/gateway/mod/role", Form(&["room", "user", "role"])),
    ("POST", "/gateway/mod/settle", Form(&["room", "seq"])),
    ("POST", "/gateway/mod/erase", Form(&["room", "seq"])),
    ("POST", "/session/preferences", Form(&["lang"])),
    ("POST", "/session/password", Form(&["current", "password"])),
    ("POST", "/session/guest", Form(&["nickname"])),
    ("POST", "/session/login", Form(&["name", "password"])),
    ("POST", "/session/register", Form(&["name", "password"])),
    ("POST", "/session/end", Form(&["id"])),
    ("POST", "/session/end-others", Form(&[])),
    ("POST", "/session/logout", Form(&[])),
];

/// One answer of the walk.
pub struct Seen {
    /// Method and path.
    pub route: String,
    pub status: u16,
    /// Headers and body, as text.
    pub text: String,
    /// The route answers the staff of a room, or a key with the scope mod.read, which may read removed texts.
    pub is_of_staff: bool,
}

/// The routes of the router: pages, server functions, and the routes of its source.
pub fn of_router() -> BTreeSet<String> {
    let pages = leptos_axum::generate_route_list(roomcast::app::App);
    let pages = pages.iter().map(|page| format!("GET {}", page.path().replace('{', ":").replace('}', "")));
    let functions = server_fn_paths().map(|(path, method)| format!("{method} {path}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/web");
    pages.chain(functions).chain(in_source(&source)).collect()
}

fn listed() -> BTreeSet<String> {
    ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
}

/// The literals of `.route("path", method(…))` in the files of a folder.
fn in_source(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(in_source(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for other in [".route_service(", ".nest(", ".nest_service("] {
            assert!(!text.contains(other), "{}: {other} is not read here", path.display());
        }
        for call in text.split(".route(").skip(1) {
            let mut words = call.split(['"', '(']).map(|word| word.trim_matches([',', ' ', '\n']));
            let (Some(""), Some(route), Some(method)) = (words.next(), words.next(), words.next()) else {
                panic!("{}: .route({}", path.display(), call.lines().next().unwrap())
            };
            found.insert(format!("{} {route}", method.to_uppercase()));
        }
    }
    found
}

/// The values of fields by name: `room`, `seq`, `user`, and so on.
pub type Values = BTreeMap<&'static str, String>;

/// Values for a message of a person in room 1. A caller changes those that it needs.
pub fn values(seq: u64, user: &str) -> Values {
    let id = "0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77";
    let seq = seq.to_string();
    let pairs = [
        ("room", "1"),
        ("seq", &seq),
        ("re", &seq),
        ("before", "1000000"),
        ("since", "0"),
        ("rev", "0"),
        ("user", user),
        ("uid", user),
        ("group", "1"),
        ("client_id", "7f0000010b5400000001"),
        ("action", id),
        ("case", id),
        ("note", id),
        ("id", id),
        ("seconds", "60"),
        ("reason", "spam"),
        ("text", "a note"),
        ("title", "a title"),
        ("role", "vip"),
        ("slow_ms", "0"),
        ("message", "a message of the walk"),
        ("page", "1"),
        ("query", "1"),
        ("lang", "en"),
        ("nickname", "Walker"),
        ("name", "walker"),
        ("password", "correct horse battery"),
        ("current", "not this one"),
    ];
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// Calls every route as `person`, the methods of the API with `key`, and returns all answers.
pub async fn walk(server: &Server, person: &Person, key: &str, values: &Values) -> Vec<Seen> {
    let mut seen = Vec::new();
    for (method, path, call) in ROUTES {
        let route = format!("{method} {path}");
        match call {
            Get(path) => {
                let path =
                    values.iter().fold(path.to_string(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
                for accept in ["text/html", "application/json"] {
                    let request = person.request("GET", &path).header("accept", accept);
                    seen.push(answer(&route, read(request.send().await.unwrap()).await, path.contains("/mod")));
                }
            }
            Form(names) => {
                let form: Vec<_> = names.iter().map(|name| (*name, values[*name].as_str())).collect();
                let is_of_staff = path.contains("/mod") || path.contains("/page/mod");
                seen.push(answer(&route, person.post(path, &form).await, is_of_staff));
            }
            Api => seen.extend(methods(server, key, values).await),
            Batch => {
                let calls = json!({"calls": [{"method": "chat.history", "params": {"room": values["room"]}}]});
                seen.push(answer(&route, api(server, key, "batch", &calls).await, false));
            }
            Socket => {
                let mut socket = person.open(Some("roomcast.v1")).await;
                let bound = person.bind(&socket, &[("since", "0"), ("rev", "0")]).await;
                seen.push(answer("POST /gateway/bind", bound, false));
                socket.send(tokio_tungstenite::tungstenite::Message::Close(None)).await;
            }
        }
    }
    seen
}

fn answer(route: &str, answer: Answer, is_of_staff: bool) -> Seen {
    let text = format!("{:?}\n{}", answer.headers, answer.body);
    Seen { route: route.to_owned(), status: answer.status.as_u16(), text, is_of_staff }
}

async fn api(server: &Server, key: &str, method: &str, body: &Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{}/gateway/api/{method}", server.base)).bearer_auth(key);
    read(request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap()).await
}

/// Calls every method of openapi.json with its required fields.
async fn methods(server: &Server, key: &str, values: &Values) -> Vec<Seen> {
    let document: Value = server.visitor().get("/gateway/api/openapi.json").await.json().await.unwrap();
    let mut seen = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let method = path.rsplit('/').next().unwrap();
        // A closed room would hide the answers of later calls.
        if matches!(method, "batch" | "mod.mode") {
            continue;
        }
        let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let fields: Map<String, Value> = required
            .iter()
            .map(|name| {
                let name = name.as_str().unwrap();
                (name.to_owned(), field(name, values))
            })
            .collect();
        let is_of_staff = item["post"]["x-scope"] == "mod.read";
        seen.push(answer(&format!("POST {path}"), api(server, key, method, &fields.into()).await, is_of_staff));
    }
    seen
}

/// The value of a method's field.
fn field(name: &str, values: &Values) -> Value {
    match name {
        "seq" | "seconds" => values[name].parse::<u64>().unwrap().into(),
        "uids" => json!([values["user"]]),
        "groups" => json!([values["room"]]),
        "session" => "{}".into(),
        name => {
            values.get(name).unwrap_or_else(|| panic!("tests/server/support/routes.rs has no value of {name}")).as_str().into()
        }
    }
}

#[tokio::test]
async fn every_route_of_the_router_is_listed() {
    let (router, listed) = (of_router(), listed());
    assert!(router.len() > 40 && router.contains("POST /gateway/send"), "the router's list was not found: {router:?}");
    let missing: Vec<_> = router.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&router).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not in tests/server/support/routes.rs: {missing:#?}\nno route: {stale:#?}");
}
