//! Log-ins under attack, and the end of sessions: nobody keeps the owner out, and an ended session ends everywhere.

use crate::command_line::{printed, run};
use crate::support::{Answer, DEADLINE, Person, Server, eventually, read};
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Adds the account `ming` by command.
fn add_ming(server: &Server) {
    printed(&run(server, &["user", "add", "ming"], "correct horse\n"));
}

async fn log_in(person: &Person, name: &str, password: &str) -> Answer {
    person.post("/session/login", &[("name", name), ("password", password)]).await
}

/// Logs in as `ming` from an address that the proxy reports.
async fn log_in_from(person: &Person, address: &str, password: &str) -> Answer {
    let form = [("name", "ming"), ("password", password)];
    let request = person.request("POST", "/session/login").header("x-forwarded-for", address).form(&form);
    read(request.send().await.unwrap()).await
}

async fn ming(server: &Server) -> Person {
    let mut ming = server.visitor();
    let answer = log_in(&ming, "ming", "correct horse").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    ming.uid = answer.body["uid"].as_str().unwrap().to_owned();
    ming
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_sign_out_by_command_ends_sessions_and_sockets_at_once() {
    let server = Server::start();
    add_ming(&server);
    for (command, input) in [("sign-out", ""), ("password", "correct horse\n")] {
        let ming = ming(&server).await;
        // The look-up of the session is cached from here on.
        let (mut bound, mut unbound) = (ming.open_bound(None).await, ming.open(None).await);
        printed(&run(&server, &["user", command, "ming"], input));
        let fresh = ming.open(None).await;
        let bind = ming.bind(&fresh, &[]).await;
        assert_eq!((bind.status.as_u16(), &bind.body["code"]), (200, &json!("")), "{command}: a reader, as without a cookie");
        assert_eq!(ming.send("stolen").await.status, 401, "{command}");
        assert_eq!((bound.close_code().await, unbound.close_code().await), (4501, 4501), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_no_socket_survives_a_sign_out_that_it_raced() {
    let server = Server::with(&["gateway.api_key=k", "limits.per_ip=off"]);
    add_ming(&server);
    for round in 0..5 {
        let ming = ming(&server).await;
        let opening = (0..30).map(|_| {
            let ming = ming.clone();
            tokio::spawn(async move {
                let socket = ming.try_open(None, None).await.ok()?;
                ming.bind(&socket, &[]).await;
                Some(socket)
            })
        });
        let opening: Vec<_> = opening.collect();
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        printed(&run(&server, &["user", "sign-out", "ming"], ""));
        let _sockets = join_all(opening).await;
        eventually("no socket of ming is left", async || {
            let request = server.visitor().request("POST", "/gateway/api/isUidOnline").bearer_auth("k");
            read(request.json(&json!({"uid": ming.uid})).send().await.unwrap()).await.body["result"] != json!(true)
        })
        .await;
    }
}

/// Sends the header of a form and returns the connection, which waits for the body.
async fn begin_form(server: &Server, path: &str, cookie: &str, bytes: usize) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {bytes}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_request_whose_body_comes_after_the_sign_out_is_refused() {
    let server = Server::with(&["gateway.api_key=k"]);
    add_ming(&server);
    let ming = ming(&server).await;
    let (mut socket, cookie) = (ming.open(None).await, ming.cookie().unwrap());
    let bodies = [
        ("/gateway/send", "room=1&message=late".to_owned()),
        ("/gateway/bind", format!("room=1&client_id={}", socket.client_id)),
        ("/gateway/rooms", "title=late".to_owned()),
        ("/session/password", "current=correct+horse&password=another+horse".to_owned()),
        ("/session/guest", "nickname=late".to_owned()),
        ("/session/register", "name=late&password=correct+horse".to_owned()),
    ];
    let mut begun = Vec::new();
    for (path, body) in &bodies {
        begun.push(begin_form(&server, path, &cookie, body.len()).await);
    }
    // The server has read the header when it has looked the session up; a request on a later connection shows that.
    assert_eq!(ming.post("/page/account", &[]).await.status, 200);
    printed(&run(&server, &["user", "sign-out", "ming"], ""));
    for (mut stream, (path, body)) in begun.into_iter().zip(&bodies) {
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    assert_eq!(socket.close_code().await, 4501);
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_database_that_cannot_be_read_tells_nobody_that_the_session_ended() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let body = "room=1&message=late";
    let mut begun = begin_form(&server, "/gateway/send", &person.cookie().unwrap(), body.len()).await;
    // The server has looked the session up, as above. The new nickname removes it from the cache after that.
    assert_eq!(person.post("/gateway/history", &[("room", "1"), ("before", "1"), ("limit", "1")]).await.status, 200);
    assert_eq!(person.post("/session/guest", &[("nickname", "阿亮")]).await.status, 200);
    server.sql("ALTER TABLE {}sessions RENAME TO unreadable").await;
    begun.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, begun.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    server.sql("ALTER TABLE {}unreadable RENAME TO sessions").await;
    assert_eq!(person.send("later").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_log_in_that_waits_does_not_survive_a_change_of_the_password() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.0/8"]);
    add_ming(&server);
    let delayed = async |count: usize| {
        let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
        metrics.contains(&format!("roomcast_log_ins_delayed_total {count}\n"))
    };
    // Log-ins of other networks use the saved turns up; the password is changed while a further one waits for its turn.
    let guesses: Vec<_> = (0..61)
        .map(|n| {
            let visitor = server.visitor();
            tokio::spawn(async move { log_in_from(&visitor, &format!("203.0.{n}.1"), "wrong horse").await })
        })
        .collect();
    eventually("the turns are used up", async || delayed(1).await).await;
    let visitor = server.visitor();
    let waiting = tokio::spawn(async move { log_in_from(&visitor, "192.0.2.7", "correct horse").await });
    eventually("the log-in waits", async || delayed(2).await).await;
    printed(&run(&server, &["user", "password", "ming"], "another horse\n"));
    assert_eq!(waiting.await.unwrap().status, 401);
    join_all(guesses).await;
    assert!(!server.log().contains("ming"), "the log has no name that a person typed");
}

#[tokio::test]
async fn f9_a_log_in_that_fails_leaves_the_earlier_session() {
    let server = Server::start();
    add_ming(&server);
    let ming = ming(&server).await;
    server.refuse("INSERT", "sessions").await;
    assert_eq!(log_in(&ming, "ming", "correct horse").await.status, 500);
    assert_eq!(ming.send("still here").await.status, 200);
}

#[tokio::test]
async fn f9_a_change_of_the_password_happens_as_a_whole_or_not_at_all() {
    let server = Server::start();
    add_ming(&server);
    let (desk, phone) = (ming(&server).await, ming(&server).await);
    for table in ["devices", "sessions"] {
        server.refuse("DELETE", table).await;
        let form = [("current", "correct horse"), ("password", "another horse")];
        assert_eq!(desk.post("/session/password", &form).await.status, 500, "{table}");
        server.allow("DELETE", table).await;
        assert_eq!(phone.post("/page/account", &[]).await.status, 200, "{table}");
        assert_eq!(log_in(&server.visitor(), "ming", "correct horse").await.status, 200, "{table}");
    }
}

#[tokio::test]
async fn f9_a_command_reports_a_server_that_did_not_end_the_sessions() {
    let mut server = Server::start();
    add_ming(&server);
    server.kill();
    // In the place of a server that cannot write its database, and of one that ends during the request.
    let path = server.data.path().join("data/roomcast.sock");
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let answers = ["{\"answer\":\"not_done\",\"why\":\"disk full\"}\n", "", "{\"answer\":\"not_done\",\"why\":\"disk full\"}\n"];
    let serving = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut line).unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        }
    });
    for (command, input) in [("sign-out", ""), ("sign-out", ""), ("password", "another horse\n")] {
        let output = run(&server, &["user", command, "ming"], input);
        assert!(!output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
    }
    serving.join().unwrap();
    // The socket's file without a server is that of a server that was killed.
    printed(&run(&server, &["user", "sign-out", "ming"], ""));
}

#[tokio::test]
async fn f8_guesses_at_the_own_password_count_as_sign_ins_of_the_address() {
    let server = Server::with(&["limits.sign_in_burst=3", "limits.sign_in_a_minute=1"]);
    add_ming(&server);
    let ming = ming(&server).await;
    for status in [422, 422, 429] {
        let form = [("current", "wrong horse"), ("password", "another horse")];
        assert_eq!(ming.post("/session/password", &form).await.status, status);
    }
}

#[tokio::test]
async fn f7_a_planted_device_cookie_does_not_become_a_device_of_the_account() {
    let server = Server::start();
    add_ming(&server);
    let (victim, planted) = (server.visitor(), format!("roomcast_device={}", "ab".repeat(32)));
    victim.set_cookie(&planted);
    assert_eq!(log_in(&victim, "ming", "correct horse").await.status, 200);
    let cookie = victim.cookie().unwrap();
    assert!(cookie.contains("roomcast_device=") && !cookie.contains(&planted), "{cookie}");
}

#[tokio::test]
async fn f15_a_database_that_cannot_be_written_signs_nobody_out() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    server.sql("UPDATE {}sessions SET used_at = used_at - 172800000").await;
    let lock = server.lock().await;
    assert_eq!(person.get("/rooms/1").await.status(), 200);
    let socket = person.open(None).await;
    assert_eq!(person.bind(&socket, &[]).await.status, 200);
    lock.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_strangers_who_guess_from_120_addresses_do_not_keep_the_owner_out() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.0/8"]);
    add_ming(&server);
    let device = server.visitor();
    assert_eq!(log_in_from(&device, "198.51.100.1", "correct horse").await.status, 200);
    // 120 addresses in networks of their own use the saved turns up, and then keep the lane full.
    let attack: Vec<_> = (0..40)
        .map(|n| {
            let stranger = server.visitor();
            tokio::spawn(async move {
                for turn in 0.. {
                    log_in_from(&stranger, &format!("203.0.{}.{}", n * 3 + turn % 3, n % 7), "wrong horse").await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        })
        .collect();
    eventually("log-ins wait", async || server.log().contains("log-ins wait for their turn")).await;
    for address in ["192.0.2.7", "2001:db8:7::1"] {
        let (owner, started) = (server.visitor(), Instant::now());
        let answer = log_in_from(&owner, address, "correct horse").await;
        assert_eq!(answer.status, 200, "{} after {:?}", answer.body, started.elapsed());
        assert!(started.elapsed() < DEADLINE);
    }
    let answer = log_in_from(&device, "203.0.1.1", "correct horse").await;
    assert_eq!(answer.status, 200, "a device that signed in before does not wait, not even at an address that guesses");
    attack.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn f7_a_device_that_signed_in_before_has_limits_of_its_own() {
    let server = Server::with(&["limits.sign_in_burst=3", "limits.sign_in_a_minute=1"]);
    add_ming(&server);
    let device = ming(&server).await;
    let cookie = device.cookie().unwrap();
    assert!(cookie.contains("roomcast_device="), "{cookie}");
    for status in [401, 401, 429, 429] {
        assert_eq!(log_in(&server.visitor(), "ming", "wrong horse").await.status, status);
    }
    assert_eq!(log_in(&server.visitor(), "ming", "correct horse").await.status, 429, "the address has used up its log-ins");
    assert_eq!(log_in(&device, "ming", "correct horse").await.status, 200);
    printed(&run(&server, &["user", "add", "lena"], "correct horse\n"));
    assert_eq!(log_in(&device, "lena", "correct horse").await.status, 429, "only for its own accounts");
    for _ in 0..20 {
        log_in(&device, "ming", "wrong horse").await;
    }
    assert_eq!(log_in(&device, "ming", "correct horse").await.status, 429, "and not without a limit");
}

/// Threads of the server that hash passwords.
fn hashing_threads(server: &Server) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().filter_map(Result::ok);
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "password")).count()
}

/// Peak of the server's resident memory, in KiB.
fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_log_ins_of_clients_that_hang_up_use_two_threads_and_two_blocks_of_memory() {
    let server = Server::with(&["limits.per_ip=off"]);
    assert_eq!(log_in(&server.visitor(), "nobody", "wrong horse").await.status, 401);
    let before = peak_kib(&server);
    for n in 0..60 {
        let body = format!("name=user{n}&password=wrong+horse");
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let head = format!(
            "POST /session/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            server.address(),
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(4)).await;
        drop(stream);
        assert!(hashing_threads(&server) <= 2);
    }
    assert_eq!(log_in(&server.visitor(), "nobody", "wrong horse").await.status, 401, "the next client is served");
    let grown = peak_kib(&server) - before;
    assert!(grown < 100 * 1024, "{grown} KiB more than before; two blocks are 38 MiB, one of them was there");
}
