//! Encodes the events of a client for a worker (protocol.md, 7).

use super::query_string;
use crate::server::gateway::{ClientSession, ConnectionEvent, EventKind, Handshake};
use crate::server::gatewayworker::protocol::opcode::{ON_CLOSE, ON_CONNECT, ON_MESSAGE, ON_WEBSOCKET_CONNECT};
use crate::server::gatewayworker::protocol::packet::{PLAIN, WorkerPacket};
use crate::server::php::{Key, Serializer};
use bytes::BytesMut;
use indexmap::IndexMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// Appends the packets of an event: two for a handshake, else one. `lan_addr` is the node's address in client ids,
/// `gateway_port` the port that browsers connect to.
pub(super) fn write_event(event: &ConnectionEvent, lan_addr: SocketAddrV4, gateway_port: u16, out: &mut BytesMut) {
    let client = match event.address.to_canonical() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let session = event.session.as_ref().map(ClientSession::to_serialized).unwrap_or_default();
    let mut send = |command, flag, body: &[u8]| {
        WorkerPacket {
            command,
            local: lan_addr,
            client: SocketAddrV4::new(client, event.port),
            connection: event.client.connection,
            flag,
            gateway_port,
            ext: &session,
            body,
        }
        .write(out);
    };
    match &event.kind {
        EventKind::Connected(handshake) => {
            send(ON_CONNECT, PLAIN, b"");
            send(ON_WEBSOCKET_CONNECT, 0, &handshake_array(handshake, event.address, event.port, gateway_port));
        }
        EventKind::Message(message) => send(ON_MESSAGE, PLAIN, message),
        EventKind::Disconnected => send(ON_CLOSE, PLAIN, b""),
    }
}

/// Serializes the request of a handshake: `['get' => …, 'server' => …, 'cookie' => …]`.
fn handshake_array(handshake: &Handshake, address: IpAddr, port: u16, gateway_port: u16) -> Vec<u8> {
    let query = handshake.path_and_query().split_once('?').map_or("", |(_, query)| query);
    // PHP joins the values of a repeated header.
    let mut headers: IndexMap<&str, Vec<u8>> = IndexMap::new();
    for (name, value) in handshake.headers() {
        let seen = headers.entry(name).and_modify(|seen| seen.push(b','));
        seen.or_default().extend_from_slice(value);
    }
    let header = |name: &str| headers.get(name).map(Vec::as_slice);

    let mut out = Serializer::default();
    out.array(3);
    out.text(b"get");
    query_string::write(query, &mut out);
    out.text(b"server");
    out.array(9 + headers.len());
    for (name, value) in [
        ("QUERY_STRING", query.as_bytes()),
        ("REQUEST_METHOD", b"GET"),
        ("REQUEST_URI", handshake.path_and_query().as_bytes()),
        ("SERVER_PROTOCOL", b"HTTP/1.1"),
        ("SERVER_NAME", header("host").unwrap_or_default()),
    ] {
        out.text(name.as_bytes());
        out.text(value);
    }
    out.text(b"CONTENT_TYPE");
    match header("content-type") {
        Some(value) => out.text(value),
        None => out.null(),
    }
    out.text(b"REMOTE_ADDR");
    out.text(address.to_canonical().to_string().as_bytes());
    for (name, port) in [("REMOTE_PORT", port), ("SERVER_PORT", gateway_port)] {
        out.text(name.as_bytes());
        out.int(port.into());
    }
    for (name, value) in &headers {
        out.text(format!("HTTP_{}", name.to_uppercase().replace('-', "_")).as_bytes());
        out.text(value);
    }
    out.end();
    out.text(b"cookie");
    cookies(header("cookie").unwrap_or_default(), &mut out);
    out.end();
    out.into_bytes()
}

/// Appends the array of a `Cookie` header. Values are not decoded, as in GatewayWorker.
fn cookies(line: &[u8], out: &mut Serializer) {
    let mut cookies: IndexMap<Key<'_>, &[u8]> = IndexMap::new();
    for cookie in line.split(|byte| *byte == b';') {
        if let Some(at) = cookie.iter().position(|byte| *byte == b'=') {
            cookies.insert(Key::of(cookie[..at].trim_ascii()), &cookie[at + 1..]);
        }
    }
    out.array(cookies.len());
    for (name, value) in cookies {
        out.key(name);
        out.text(value);
    }
    out.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_serialized_as_gatewayworker_serializes_it() {
        let headers =
            [("host", "127.0.0.1:28282"), ("x-twice", "a"), ("x-twice", "b"), ("cookie", "sid=42; name=%E5%BC%A0; odd; 7=x")];
        let headers = headers.map(|(name, value)| (name, value.as_bytes().into()));
        let handshake = Handshake::new("/ws?token=abc&x=1", headers);
        let text = handshake_array(&handshake, [127, 0, 0, 1].into(), 38032, 28282);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            concat!(
                r#"a:3:{s:3:"get";a:2:{s:5:"token";s:3:"abc";s:1:"x";s:1:"1";}s:6:"server";a:12:{s:12:"QUERY_STRING";"#,
                r#"s:13:"token=abc&x=1";s:14:"REQUEST_METHOD";s:3:"GET";s:11:"REQUEST_URI";s:17:"/ws?token=abc&x=1";"#,
                r#"s:15:"SERVER_PROTOCOL";s:8:"HTTP/1.1";s:11:"SERVER_NAME";s:15:"127.0.0.1:28282";s:12:"CONTENT_TYPE";N;"#,
                r#"s:11:"REMOTE_ADDR";s:9:"127.0.0.1";s:11:"REMOTE_PORT";i:38032;s:11:"SERVER_PORT";i:28282;"#,
                r#"s:9:"HTTP_HOST";s:15:"127.0.0.1:28282";s:12:"HTTP_X_TWICE";s:3:"a,b";s:11:"HTTP_COOKIE";"#,
                r#"s:32:"sid=42; name=%E5%BC%A0; odd; 7=x";}s:6:"cookie";a:3:{s:3:"sid";s:2:"42";s:4:"name";s:9:"%E5%BC%A0";i:7;s:1:"x";}}"#,
            )
        );
    }
}
