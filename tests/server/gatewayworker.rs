//! The server for PHP, together with the chat and the HTTP API: they share clients and sessions. Workers, limits, and reload and
//! stop are in files of their own.

mod bounds;
mod handover;
mod sessions;
mod stand_ins;
mod told;
mod workers;

use crate::support::{Server, Socket, read};
use crate::vectors::packet::{Packet, command, shown};
use crate::vectors::peers::{OFFLINE, Wire, is_anyone_online};
use serde_json::{Value, json};
use std::io::{Read, Write};

pub fn connection(socket: &Socket) -> u32 {
    u32::from_str_radix(&socket.client_id[12..], 16).unwrap()
}

pub fn packet(command: u8, connection: u32, ext: &[u8], body: &[u8]) -> Vec<u8> {
    Packet { ext: ext.to_vec(), ..Packet::new(command, connection, body) }.into_bytes()
}

/// Sends a command, and waits until it is carried out.
pub async fn command(wire: &mut Wire, packet: Vec<u8>) {
    wire.send(&[packet, is_anyone_online()].concat()).await;
    assert_eq!(shown(&wire.take(OFFLINE.len()).await), shown(OFFLINE));
}

pub async fn query(wire: &mut Wire, packet: Vec<u8>) -> String {
    wire.send(&packet).await;
    let length = u32::from_be_bytes(wire.take(4).await[..].try_into().expect("a reply"));
    String::from_utf8(wire.take(length as usize).await).unwrap()
}

/// A worker that receives the events of all clients.
async fn worker(server: &Server, name: &str) -> Wire {
    let mut wire = Wire::to(server.inner.into()).await;
    let hello = format!(r#"{{"worker_key":"{name}","secret_key":""}}"#);
    wire.send(&Packet::new(command::WORKER_CONNECT, 0, hello.as_bytes()).into_bytes()).await;
    // It is connected when a command behind it on another connection is carried out.
    command(&mut Wire::to(server.inner.into()).await, vec![]).await;
    wire
}

async fn event(wire: &mut Wire) -> (u8, u32, String) {
    let packet = wire.packet().await;
    (packet.command(), packet.connection(), String::from_utf8(packet.body).unwrap())
}

async fn connected(wire: &mut Wire, socket: &Socket) {
    for expected in [command::ON_CONNECT, command::ON_WEBSOCKET_CONNECT] {
        let (command, connection_id, _) = event(wire).await;
        assert_eq!((command, connection_id), (expected, connection(socket)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn php_and_the_chat_share_clients_and_groups() {
    let server = Server::start();
    let ming = server.guest("阿明").await;
    let (mut page, mut old_page) = (ming.open_bound(Some("roomcast.v1")).await, server.visitor().open(None).await);
    let mut php = Wire::to(server.inner.into()).await;
    // The group that `bind` joined.
    command(&mut php, packet(command::JOIN_GROUP, connection(&old_page), b"1", b"")).await;
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, b"1", b"")).await, "i:2;");
    assert_eq!(ming.send("大家好").await.status, 200);
    for socket in [&mut page, &mut old_page] {
        let message = socket.push_of("message").await;
        assert_eq!((&message["text"], &message["message"]), (&json!("大家好"), &json!("阿明 : 大家好")));
    }
    // Messages of PHP arrive in both dialects.
    let group = br#"{"group":["1"],"exclude":null}"#;
    for (body, flag, v1, plain) in [
        ("hello", 1, json!({"type": "data", "data": "hello"}), json!("hello")),
        (r#"{"type":"gift","n":1}"#, 1, json!({"type": "gift", "n": 1}), json!({"type": "gift", "n": 1})),
        ("a:1:{i:0;s:1:\"x\";}", 0, json!({"type": "data", "data": ["x"]}), json!(["x"])),
    ] {
        let mut message = Packet { ext: group.to_vec(), ..Packet::new(command::SEND_TO_GROUP, 0, body.as_bytes()) };
        message.head[21] = flag;
        command(&mut php, message.into_bytes()).await;
        // Pushes of the online count are skipped.
        let received = loop {
            match page.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((received, old_page.push().await), (v1, plain), "{body}");
    }
    // A kick sends a last message, and closes; dialect v1 receives a close code.
    for (socket, farewell, code) in
        [(&mut page, json!({"type": "data", "data": "bye"}), 4500), (&mut old_page, json!("bye"), 1006)]
    {
        let client = connection(socket);
        command(&mut php, packet(command::KICK, client, b"", b"bye")).await;
        // The client is offline at once, while its stream is drained.
        assert_eq!(query(&mut php, packet(command::IS_ONLINE, client, b"", b"")).await, "i:0;");
        let received = loop {
            match socket.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((received, socket.close_code().await), (farewell, code));
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
async fn php_and_the_http_api_share_sessions() {
    let server = Server::with(&["gateway.api_key=secret"]);
    let socket = server.visitor().open(None).await;
    let (id, client) = (socket.client_id.clone(), connection(&socket));
    let mut php = Wire::to(server.inner.into()).await;
    let get_session = || packet(command::GET_SESSION, client, b"", b"");
    api(&server, "setSession", json!({"client_id": id, "session": {"name": "张", "tags": [1, "b"], "7": null}})).await;
    assert_eq!(
        query(&mut php, get_session()).await,
        "a:3:{s:4:\"name\";s:3:\"张\";s:4:\"tags\";a:2:{i:0;i:1;i:1;s:1:\"b\";}i:7;N;}"
    );
    command(&mut php, packet(command::UPDATE_SESSION, client, b"a:1:{s:4:\"tags\";a:1:{i:1;d:2.5;}}", b"")).await;
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"name": "张", "tags": [1, 2.5], "7": null}));
    // The HTTP API accepts serialized sessions, too.
    api(&server, "setSocketSession", json!({"client_id": id, "session": "a:1:{i:0;b:1;}"})).await;
    assert_eq!(query(&mut php, get_session()).await, "a:1:{i:0;b:1;}");
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"0": true}));
    let object = "a:1:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}}";
    command(&mut php, packet(command::SET_SESSION, client, object.as_bytes(), b"")).await;
    api(&server, "updateSession", json!({"client_id": id, "session": {"seen": true}})).await;
    let expected = "a:2:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}s:4:\"seen\";b:1;}";
    assert_eq!(query(&mut php, get_session()).await, expected);
    let seen = api(&server, "getAllClientSessions", json!({})).await;
    assert_eq!(seen[&id], json!({"o": {"__PHP_Incomplete_Class_Name": "User", "id": 5}, "seen": true}));
    // A session that is not an array is stored unchanged, and not merged.
    command(&mut php, packet(command::SET_SESSION, client, b"anything", b"")).await;
    command(&mut php, packet(command::UPDATE_SESSION, client, b"a:0:{}", b"")).await;
    assert_eq!(query(&mut php, get_session()).await, "anything");
    // A session that is too long leaves the stored one unchanged.
    command(&mut php, packet(command::SET_SESSION, client, &vec![b'x'; 1024 * 1024 + 1], b"")).await;
    assert_eq!(query(&mut php, get_session()).await, "anything");
    command(&mut php, packet(command::SET_SESSION, client, b"", b"")).await;
    assert_eq!(query(&mut php, get_session()).await, "a:0:{}");
}

/// PHP opens a connection for each call, and expects one call to be done before the next, also if many calls arrived while the
/// node was paused.
#[tokio::test(flavor = "multi_thread")]
async fn calls_on_different_connections_are_carried_out_in_the_order_in_which_they_arrived() {
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
        for expected in number - CALLS / 2..number {
            assert_eq!(client.push().await, json!(format!("g{expected}")));
        }
    }
    // The same with a query on one persistent connection after a command on another.
    let [mut commands, mut queries] = [(); 2].map(|()| std::net::TcpStream::connect(server.inner).unwrap());
    for persistent in [&commands, &queries] {
        persistent.set_nodelay(true).unwrap();
    }
    for number in 0..CALLS {
        let group = format!("kept {number}");
        commands.write_all(&packet(command::JOIN_GROUP, connection(&client), group.as_bytes(), b"")).unwrap();
        queries.write_all(&packet(command::COUNT_OF_GROUP, 0, group.as_bytes(), b"")).unwrap();
        let mut reply = [0; 8];
        queries.read_exact(&mut reply).unwrap();
        assert_eq!(shown(&reply), shown(b"\0\0\0\x04i:1;"), "{group}");
    }
    // The same after many commands in one write.
    for round in 0..6 {
        let commands: Vec<u8> = (0..2000)
            .flat_map(|number| packet(command::JOIN_GROUP, connection(&client), format!("{round} {number}").as_bytes(), b""))
            .collect();
        std::net::TcpStream::connect(server.inner).unwrap().write_all(&commands).unwrap();
        let mut query = std::net::TcpStream::connect(server.inner).unwrap();
        query.write_all(&packet(command::COUNT_OF_GROUP, 0, format!("{round} 1999").as_bytes(), b"")).unwrap();
        let mut reply = [0; 8];
        query.read_exact(&mut reply).unwrap();
        assert_eq!(shown(&reply), shown(b"\0\0\0\x04i:1;"), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_in_one_write_are_all_carried_out() {
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
