//! Changes by one node hold on the others: ended sessions, roles, restraints, rooms, keys, limits of log-ins, forms, and the work
//! that one node does.

use crate::moderation_doors::account;
use crate::operating::KEY;
use crate::support::cluster::Cluster;
use crate::support::proxy::Link;
use crate::support::{Answer, Person, Place, Server, Socket, eventually, read};
use std::process::Output;
use std::time::{Duration, Instant};

/// The longest time that news take without NATS, with some for a busy machine.
const NEWS: Duration = Duration::from_millis(3_500);

/// The owner registers where the link was printed.
async fn owner(cluster: &Cluster) -> Person {
    cluster.nodes.iter().find(|node| node.owner_link.is_some()).expect("no link").owner().await
}

fn done(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Runs `roomcast` beside a node.
fn command(place: &Place, line: &str) -> Output {
    let output = place.command().args(line.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_has_no_socket_anywhere_while_nats_is_down() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let here = account(&cluster.nodes[0], "ming").await;
    let there = here.at(&cluster.nodes[1]);
    let mut socket = there.open_bound(Some("roomcast.v1")).await;
    done(&there.send("hello").await);
    cluster.nats.stop();
    let ended = Instant::now();
    done(&here.post("/session/logout", &[]).await);
    assert_eq!(socket.close_code().await, 4501);
    assert!(ended.elapsed() < NEWS, "{:?}", ended.elapsed());
    // Another session of the person goes on, until the operator ends all.
    let other = cluster.nodes[0].visitor();
    done(&other.post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await);
    let mut socket = other.at(&cluster.nodes[1]).open_bound(Some("roomcast.v1")).await;
    let ended = Instant::now();
    command(&cluster.nodes[0], "user sign-out ming");
    assert_eq!(socket.close_code().await, 4501);
    assert!(ended.elapsed() < NEWS, "{:?}", ended.elapsed());
    let again = other.at(&cluster.nodes[1]).send("may I?").await;
    assert_eq!(again.status, 401, "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_restraints_reach_the_pages_of_other_nodes() {
    let Some(cluster) = Cluster::with(2, &["chat.cooldown_ms=0"]).await else { return };
    let owner = owner(&cluster).await.at(&cluster.nodes[0]);
    let helper = account(&cluster.nodes[1], "helper").await;
    let viewer = account(&cluster.nodes[1], "viewer").await;
    let mut staff = helper.open_bound(Some("roomcast.v1")).await;
    let mut page = viewer.open_bound(Some("roomcast.v1")).await;
    let role = async |role: &str| {
        let form = [("room", "1"), ("user", helper.uid.as_str()), ("role", role)];
        done(&owner.post("/gateway/mod/role", &form).await);
    };
    role("moderator").await;
    let sent = owner.send("a message").await;
    done(&sent);
    let seq = sent.body["seq"].to_string();
    let note = async || {
        let form = [("room", "1"), ("user", viewer.uid.as_str()), ("text", "a note")];
        done(&owner.post("/gateway/mod/note", &form).await);
    };
    // The socket was open before; it joins the staff, and hears of acts on the other node.
    let granted = Instant::now();
    while !hears(&mut staff, &note).await {
        assert!(granted.elapsed() < NEWS, "a moderator's open page is told nothing");
    }
    let form = [("room", "1"), ("user", viewer.uid.as_str()), ("seconds", "60")];
    done(&owner.post("/gateway/mod/timeout", &form).await);
    let you = page.push_of("you").await;
    assert_eq!(you["restraint"]["kind"], "timeout", "{you}");
    let report = [("room", "1"), ("seq", seq.as_str()), ("reason", "spam")];
    done(&account(&cluster.nodes[0], "reporter").await.post("/gateway/report", &report).await);
    assert_eq!(staff.push_of("report").await["seq"], sent.body["seq"]);
    role("none").await;
    let revoked = Instant::now();
    while hears(&mut staff, &note).await {
        assert!(revoked.elapsed() < NEWS, "a former moderator is told of acts");
    }
}

/// Whether the socket is told of an act soon: at once, if it is.
async fn hears(staff: &mut Socket, act: &impl AsyncFn()) -> bool {
    act().await;
    let told = async { while staff.push_of("action").await["verb"] != "note" {} };
    tokio::time::timeout(Duration::from_millis(400), told).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_keys_change_everywhere() {
    // With a key of the configuration the API stays on when the other one is removed.
    let Some(cluster) = Cluster::with(2, &[KEY]).await else { return };
    let [here, there] = &cluster.nodes[..] else { panic!() };
    let title = async |node: &Server| node.visitor().get("/rooms/1").await.text().await.unwrap();
    assert!(title(there).await.contains("直播间 1"));
    command(here, "room title 1 潮汐");
    eventually("the title is another one", async || title(there).await.contains("潮汐")).await;

    let secret = String::from_utf8(command(here, "key add shop --scope query").stdout).unwrap();
    let secret = secret.split_whitespace().find(|word| word.starts_with("roomcast_")).unwrap().to_owned();
    let ask = async || {
        let request = there.visitor().request("POST", "/gateway/api/getAllClientCount").bearer_auth(&secret);
        read(request.json(&serde_json::json!({})).send().await.unwrap()).await.status
    };
    eventually("the key is known", async || ask().await == 200).await;
    let removed = Instant::now();
    command(here, "key remove shop");
    eventually("the key is refused", async || ask().await == 401).await;
    assert!(removed.elapsed() < NEWS, "sooner than by its age in the cache: {:?}", removed.elapsed());

    let mut socket = there.guest("Ming").await.open_bound(Some("roomcast.v1")).await;
    let deleted = Instant::now();
    command(here, "room delete 1 --yes");
    assert_eq!(socket.close_code().await, 4500);
    assert!(deleted.elapsed() < NEWS, "{:?}", deleted.elapsed());
    eventually("its rows are gone", async || cluster.database.sql("SELECT count(*) FROM roomcast.rooms") == "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_a_password_are_counted_over_all_nodes() {
    let Some(cluster) = Cluster::start(2).await else { return };
    account(&cluster.nodes[0], "ming").await;
    let guess = async |node: &Server| {
        let form = [("name", "ming"), ("password", "a wrong guess")];
        node.visitor().post("/session/login", &form).await.status.as_u16()
    };
    let mut answers = Vec::new();
    for n in 0..24 {
        answers.push(guess(&cluster.nodes[n % 2]).await);
    }
    let checked = answers.iter().filter(|status| **status == 401).count();
    assert!((10..=14).contains(&checked), "10, and one each 6 s: {answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_a_killed_node_is_taken_over_within_5_s() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    let holders = "SELECT count(*) || ' ' || count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1919902818 \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("one node has all jobs", async || cluster.database.sql(holders) == "4 1").await;
    cluster.nodes[0].kill();
    let killed = Instant::now();
    eventually("the other one has them", async || cluster.database.sql(holders) == "4 1").await;
    cluster.database.sql("UPDATE roomcast.rooms SET deleted_at = 1");
    eventually("it removes the room", async || cluster.database.sql("SELECT count(*) FROM roomcast.rooms") == "0").await;
    assert!(killed.elapsed() < Duration::from_secs(7), "5 s, and some for the work: {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_loses_its_jobs() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let holder = "SELECT string_agg(DISTINCT pid::text, ' ') FROM pg_locks WHERE locktype = 'advisory' AND classid = 1919902818 \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("a node has the jobs", async || !cluster.database.sql(holder).is_empty()).await;
    let before = cluster.database.sql(holder);
    cluster.nodes[0].signal(libc::SIGSTOP);
    let paused = Instant::now();
    eventually("another one has them", async || !matches!(cluster.database.sql(holder), now if now == before || now.is_empty()))
        .await;
    cluster.nodes[0].signal(libc::SIGCONT);
    assert!(paused.elapsed() < Duration::from_secs(8), "{:?}", paused.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_form_comes_back_from_another_node() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let here = cluster.nodes[0].guest("Ming").await;
    let there = here.at(&cluster.nodes[1]);
    let long = "很".repeat(600);
    let request = here.request("POST", "/gateway/send").header("accept", "text/html");
    let answer = read(request.form(&[("room", "1"), ("message", long.as_str())]).send().await.unwrap()).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = async || there.get("/rooms/1").await.text().await.unwrap();
    assert!(page().await.contains(&long), "the text is there");
    assert!(!page().await.contains(&long), "once");
    // Without cookies its key stands in the address.
    let bare = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("{}/session/guest", cluster.nodes[0].base);
    let request = bare.post(url).header("accept", "text/html").form(&[("nickname", "[host]"), ("next", "/rooms/1")]);
    let target = request.send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let page = bare.get(format!("{}{target}", cluster.nodes[1].base)).header("accept", "text/html");
    assert!(page.send().await.unwrap().text().await.unwrap().contains("[host]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_cannot_be_followed_are_passed_over() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let [here, there] = &cluster.nodes[..] else { panic!() };
    let (ming, mei) = (account(here, "ming").await, account(here, "mei").await);
    let mut sockets = Vec::new();
    for person in [&ming, &mei] {
        sockets.push(person.at(there).open_bound(Some("roomcast.v1")).await);
    }
    // A kind that no version has, as a broken copy of a database could hold.
    cluster.database.sql(&format!(
        "ALTER TABLE roomcast.restraints DROP CONSTRAINT restraints_kind_check;
        INSERT INTO roomcast.restraints (id, room, uid, kind, since, reason, by_uid)
        VALUES (gen_random_uuid(), '1', '{}', 'exile', 0, '', 'x')",
        ming.uid
    ));
    let passed_over = "roomcast_news_total{outcome=\"passed_over\"}";
    eventually("the row is passed over", async || there.metric(passed_over).await == Some(1.0)).await;
    eventually("it is logged", async || there.log().contains("news cannot be followed and are passed over")).await;
    let followed = "roomcast_news_total{outcome=\"followed\"}";
    let before = there.metric(followed).await.unwrap_or_default();
    let ended = Instant::now();
    done(&mei.post("/session/logout", &[]).await);
    assert_eq!(sockets[1].close_code().await, 4501, "later news are followed");
    assert!(ended.elapsed() < NEWS, "{:?}", ended.elapsed());
    eventually("they are counted", async || there.metric(followed).await > Some(before)).await;
    assert_eq!(there.metric(passed_over).await, Some(1.0), "once");
}

/// A node of a later version writes news of its own kind: older ones ask the store about everything, once for many.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_news_settle_everything_once() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let [here, there] = &cluster.nodes[..] else { panic!() };
    let mei = account(here, "mei").await;
    let mut socket = mei.at(there).open_bound(Some("roomcast.v1")).await;
    // The session ends without a row of its own.
    cluster.database.sql(
        "BEGIN; ALTER TABLE roomcast.sessions DISABLE TRIGGER USER; DELETE FROM roomcast.sessions;
        ALTER TABLE roomcast.sessions ENABLE TRIGGER USER;
        SELECT roomcast.tell('of_a_later_version', '{}') FROM generate_series(1, 40); COMMIT",
    );
    assert_eq!(socket.close_code().await, 4501);
    let unknown = "roomcast_news_total{outcome=\"unknown\"}";
    eventually("they are counted", async || there.metric(unknown).await == Some(40.0)).await;
    let settled = "roomcast_news_settled_total{why=\"unknown\"}";
    assert_eq!(there.metric(settled).await, Some(1.0));
    // Another database answers, whose news have lower ids.
    cluster.database.sql("TRUNCATE roomcast.news RESTART IDENTITY");
    let missing = "roomcast_news_settled_total{why=\"missing\"}";
    eventually("news are missing", async || there.metric(missing).await >= Some(1.0)).await;
    cluster.database.sql("SELECT roomcast.tell('of_a_later_version', '{}')");
    eventually("unknown news are settled there, too", async || there.metric(settled).await == Some(2.0)).await;
}

/// A later version knows more roles: on this one such a person is none of the staff, and other news are followed.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_this_version_does_not_know_is_none() {
    let Some(cluster) = Cluster::with(2, &["chat.cooldown_ms=0"]).await else { return };
    let owner = owner(&cluster).await.at(&cluster.nodes[0]);
    let helper = account(&cluster.nodes[1], "helper").await;
    let mut staff = helper.open_bound(Some("roomcast.v1")).await;
    let form = [("room", "1"), ("user", helper.uid.as_str()), ("role", "moderator")];
    done(&owner.post("/gateway/mod/role", &form).await);
    let note = async || {
        let form = [("room", "1"), ("user", owner.uid.as_str()), ("text", "a note")];
        done(&owner.post("/gateway/mod/note", &form).await);
    };
    let granted = Instant::now();
    while !hears(&mut staff, &note).await {
        assert!(granted.elapsed() < NEWS, "a moderator's open page is told nothing");
    }
    cluster
        .database
        .sql("ALTER TABLE roomcast.roles DROP CONSTRAINT roles_role_check; UPDATE roomcast.roles SET role = 'editor'");
    let changed = Instant::now();
    while hears(&mut staff, &note).await {
        assert!(changed.elapsed() < NEWS, "a person without a known role is told of acts");
    }
    assert_eq!(cluster.nodes[1].metric("roomcast_news_total{outcome=\"passed_over\"}").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_through_a_node_that_does_not_know_of_a_sign_out_binds_nothing() {
    let Some(cluster) = Cluster::with(2, &["cluster.answer_within_ms=10000"]).await else { return };
    let [stale, owner] = &cluster.nodes[..] else { panic!() };
    // The page's socket was opened before its person signed in.
    let person = owner.visitor();
    person.get("/rooms/1").await;
    let mut socket = person.open(Some("roomcast.v1")).await;
    done(&person.post("/session/guest", &[("nickname", "Ming")]).await);
    let elsewhere = person.at(stale);
    assert!(elsewhere.get("/rooms/1").await.text().await.unwrap().contains("Ming"), "the node keeps the session in memory");
    stale.postgres.set(Link::BlackHole);
    let cookie = person.cookie().unwrap();
    done(&person.post("/session/logout", &[]).await);
    cookie.split("; ").for_each(|cookie| elsewhere.set_cookie(cookie));
    let answer = elsewhere.bind(&socket, &[]).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &serde_json::json!("not_signed_in")), "{}", answer.body);
    assert_eq!(socket.close_code().await, 4501);
    stale.postgres.reset();
}
