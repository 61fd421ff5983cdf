//! PHP's door beside the others: the same people and sessions at every door. What it tells workers, what is bounded, and what
//! happens to it in a reload or a stop, stand in files of their own.

mod bounds;
mod handover;
mod workers;

use crate::support::{Server, Socket, read};
use crate::vectors::packet::{Packet, command, shown};
use crate::vectors::peers::{OFFLINE, Wire, is_anyone_online};
use serde_json::{Value, json};
use std::io::{Read, Write};

fn connection(socket: &Socket) -> u32 {
    u32::from_str_radix(&socket.client_id[12..], 16).unwrap()
}

fn packet(command: u8, connection: u32, ext: &[u8], body: &[u8]) -> Vec<u8> {
    Packet { ext: ext.to_vec(), ..Packet::new(command, connection, body) }.into_bytes()
}

/// Says it, and waits until it is carried out.
async fn command(wire: &mut Wire, packet: Vec<u8>) {
    wire.send(&[packet, is_anyone_online()].concat()).await;
    assert_eq!(shown(&wire.take(OFFLINE.len()).await), shown(OFFLINE));
}

async fn query(wire: &mut Wire, packet: Vec<u8>) -> String {
    wire.send(&packet).await;
    let length = u32::from_be_bytes(wire.take(4).await[..].try_into().expect("a reply"));
    String::from_utf8(wire.take(length as usize).await).unwrap()
}

/// A worker that hears of everyone who comes from here on.
async fn worker(server: &Server, name: &str) -> Wire {
    let mut wire = Wire::to(server.inner.into()).await;
    let hello = format!(r#"{{"worker_key":"{name}","secret_key":""}}"#);
    command(&mut wire, Packet::new(command::WORKER_CONNECT, 0, hello.as_bytes()).into_bytes()).await;
    wire
}

async fn event(wire: &mut Wire) -> (u8, u32, String) {
    let packet = wire.packet().await;
    (packet.command(), packet.connection(), String::from_utf8(packet.body).unwrap())
}

async fn came(wire: &mut Wire, socket: &Socket) {
    for told in [command::ON_CONNECT, command::ON_WEBSOCKET_CONNECT] {
        let (command, connection_id, _) = event(wire).await;
        assert_eq!((command, connection_id), (told, connection(socket)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn php_and_the_chat_meet() {
    let server = Server::start();
    let ming = server.guest("阿明").await;
    let (mut page, mut old_page) = (ming.enter(Some("roomcast.v1")).await, server.visitor().open(None).await);
    let mut php = Wire::to(server.inner.into()).await;
    // The group that `bind` joined.
    command(&mut php, packet(command::JOIN_GROUP, connection(&old_page), b"1", b"")).await;
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, b"1", b"")).await, "i:2;");
    assert_eq!(ming.say("大家好").await.status, 200);
    for socket in [&mut page, &mut old_page] {
        let said = socket.push_of("message").await;
        assert_eq!((&said["text"], &said["message"]), (&json!("大家好"), &json!("阿明 : 大家好")));
    }
    // Both dialects of what PHP pushes.
    let group = br#"{"group":["1"],"exclude":null}"#;
    for (body, flag, v1, plain) in [
        ("hello", 1, json!({"type": "data", "data": "hello"}), json!("hello")),
        (r#"{"type":"gift","n":1}"#, 1, json!({"type": "gift", "n": 1}), json!({"type": "gift", "n": 1})),
        ("a:1:{i:0;s:1:\"x\";}", 0, json!({"type": "data", "data": ["x"]}), json!(["x"])),
    ] {
        let mut message = Packet { ext: group.to_vec(), ..Packet::new(command::SEND_TO_GROUP, 0, body.as_bytes()) };
        message.head[21] = flag;
        command(&mut php, message.into_bytes()).await;
        // Who comes and goes is told besides.
        let heard = loop {
            match page.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((heard, old_page.push().await), (v1, plain), "{body}");
    }
    // A farewell, and then the end: with its reason where the page understands one.
    for (socket, farewell, code) in
        [(&mut page, json!({"type": "data", "data": "bye"}), 4500), (&mut old_page, json!("bye"), 1006)]
    {
        let client = connection(socket);
        command(&mut php, packet(command::KICK, client, b"", b"bye")).await;
        // It is nobody at once, whatever its stream still takes.
        assert_eq!(query(&mut php, packet(command::IS_ONLINE, client, b"", b"")).await, "i:0;");
        let heard = loop {
            match socket.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((heard, socket.close_code().await), (farewell, code));
    }
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, b"1", b"")).await, "i:0;");
}

async fn api(server: &Server, method: &str, params: Value) -> Value {
    let request = server.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth("secret").json(&params);
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_the_same_at_both_doors() {
    let server = Server::with(&["gateway.api_key=secret"]);
    let socket = server.visitor().open(None).await;
    let (id, client) = (socket.client_id.clone(), connection(&socket));
    let mut php = Wire::to(server.inner.into()).await;
    let kept = || packet(command::GET_SESSION, client, b"", b"");
    api(&server, "setSession", json!({"client_id": id, "session": {"name": "张", "tags": [1, "b"], "7": null}})).await;
    assert_eq!(query(&mut php, kept()).await, "a:3:{s:4:\"name\";s:3:\"张\";s:4:\"tags\";a:2:{i:0;i:1;i:1;s:1:\"b\";}i:7;N;}");
    command(&mut php, packet(command::UPDATE_SESSION, client, b"a:1:{s:4:\"tags\";a:1:{i:1;d:2.5;}}", b"")).await;
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"name": "张", "tags": [1, 2.5], "7": null}));
    // What PHP serialized may come through the other door, too.
    api(&server, "setSocketSession", json!({"client_id": id, "session": "a:1:{i:0;b:1;}"})).await;
    assert_eq!(query(&mut php, kept()).await, "a:1:{i:0;b:1;}");
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"0": true}));
    let object = "a:1:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}}";
    command(&mut php, packet(command::SET_SESSION, client, object.as_bytes(), b"")).await;
    api(&server, "updateSession", json!({"client_id": id, "session": {"seen": true}})).await;
    let expected = "a:2:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}s:4:\"seen\";b:1;}";
    assert_eq!(query(&mut php, kept()).await, expected);
    let seen = api(&server, "getAllClientSessions", json!({})).await;
    assert_eq!(seen[&id], json!({"o": {"__PHP_Incomplete_Class_Name": "User", "id": 5}, "seen": true}));
    // What is no array is kept as it is, and merged with nothing.
    command(&mut php, packet(command::SET_SESSION, client, b"anything", b"")).await;
    command(&mut php, packet(command::UPDATE_SESSION, client, b"a:0:{}", b"")).await;
    assert_eq!(query(&mut php, kept()).await, "anything");
    // Too long: it stays what it was.
    command(&mut php, packet(command::SET_SESSION, client, &vec![b'x'; 1024 * 1024 + 1], b"")).await;
    assert_eq!(query(&mut php, kept()).await, "anything");
    command(&mut php, packet(command::SET_SESSION, client, b"", b"")).await;
    assert_eq!(query(&mut php, kept()).await, "a:0:{}");
}

/// PHP opens a connection for each call, and expects one call to be done before the next: also where the node was busy
/// elsewhere while many came.
#[tokio::test(flavor = "multi_thread")]
async fn calls_on_connections_of_their_own_are_carried_out_in_the_order_in_which_they_came() {
    const CALLS: usize = 1000;
    let server = Server::start();
    let mut client = server.visitor().open(None).await;
    let mut number = 0;
    for paused in [true, false, true, false] {
        if paused {
            server.signal(libc::SIGSTOP);
        }
        for _ in 0..CALLS / 2 {
            let group = format!("g{number}");
            let ext = json!({"group": [group], "exclude": null}).to_string();
            for call in [
                packet(command::JOIN_GROUP, connection(&client), group.as_bytes(), b""),
                packet(command::SEND_TO_GROUP, 0, ext.as_bytes(), group.as_bytes()),
            ] {
                std::net::TcpStream::connect(server.inner).unwrap().write_all(&call).unwrap();
            }
            number += 1;
        }
        server.signal(libc::SIGCONT);
        for heard in number - CALLS / 2..number {
            assert_eq!(client.push().await, json!(format!("g{heard}")));
        }
    }
    // Also what is asked on another than it was said on, where both are kept.
    let [mut says, mut asks] = [(); 2].map(|()| std::net::TcpStream::connect(server.inner).unwrap());
    for kept in [&says, &asks] {
        kept.set_nodelay(true).unwrap();
    }
    for number in 0..CALLS {
        let group = format!("kept {number}");
        says.write_all(&packet(command::JOIN_GROUP, connection(&client), group.as_bytes(), b"")).unwrap();
        asks.write_all(&packet(command::COUNT_OF_GROUP, 0, group.as_bytes(), b"")).unwrap();
        let mut reply = [0; 8];
        asks.read_exact(&mut reply).unwrap();
        assert_eq!(shown(&reply), shown(b"\0\0\0\x04i:1;"), "{group}");
    }
    // And where much was said at once.
    for round in 0..6 {
        let said: Vec<u8> = (0..2000)
            .flat_map(|number| packet(command::JOIN_GROUP, connection(&client), format!("{round} {number}").as_bytes(), b""))
            .collect();
        std::net::TcpStream::connect(server.inner).unwrap().write_all(&said).unwrap();
        let mut asks = std::net::TcpStream::connect(server.inner).unwrap();
        asks.write_all(&packet(command::COUNT_OF_GROUP, 0, format!("{round} 1999").as_bytes(), b"")).unwrap();
        let mut reply = [0; 8];
        asks.read_exact(&mut reply).unwrap();
        assert_eq!(shown(&reply), shown(b"\0\0\0\x04i:1;"), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_at_once_is_carried_out() {
    let server = Server::start();
    let client = server.visitor().open(None).await;
    let mut php = Wire::to(server.inner.into()).await;
    let each = |code: u8, numbers: std::ops::Range<usize>| -> Vec<u8> {
        numbers.flat_map(|number| packet(code, connection(&client), format!("g{number}").as_bytes(), b"")).collect()
    };
    for round in 0..20 {
        let count = 300 + 337 * round;
        command(&mut php, each(command::JOIN_GROUP, 0..count)).await;
        let groups = query(&mut php, packet(command::GROUPS, 0, b"", b"")).await;
        assert!(groups.starts_with(&format!("a:{count}:")), "{round}");
        command(&mut php, each(command::LEAVE_GROUP, 0..count)).await;
        assert_eq!(query(&mut php, packet(command::GROUPS, 0, b"", b"")).await, "a:0:{}", "{round}");
    }
}
