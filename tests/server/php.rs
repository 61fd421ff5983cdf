//! PHP itself, if it is installed: every call of GatewayClient, from our own PHP code, and values compared with PHP's.

use crate::support::{Server, Socket};
use futures_util::StreamExt;
use roomcast::server::php::{Document, Serializer, replace_recursive};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Bytes of a result, at most.
const MAX: usize = 1 << 30;

/// Runs a script, and returns whether it succeeded and its lines of JSON. `None` if PHP is not installed; `make test` warns
/// of it.
fn php(script: &str, arguments: &[&str]) -> Option<(bool, Vec<Value>)> {
    let script = format!("{}/tests/php/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = match Command::new("php").args(["-d", "memory_limit=1G", &script]).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    Some((output.status.success(), lines))
}

/// The messages that a socket receives, until it closes or `count` have arrived.
async fn texts(socket: &mut Socket, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match tokio::time::timeout(Duration::from_secs(20), socket.stream.next()).await.expect("nothing was sent") {
            Some(Ok(Frame::Text(text))) => texts.push(text.to_string()),
            Some(Ok(Frame::Binary(bytes))) => texts.push(format!("{bytes:?}")),
            Some(Ok(Frame::Close(frame))) => texts.push(format!("a close frame: {frame:?}")),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
    texts
}

async fn every_call(settings: &[&str], secret: &[&str]) {
    let server = Server::with(settings);
    let visitor = server.visitor();
    let (a, b) = (visitor.open(None).await, visitor.open(None).await);
    each_call_of(server.register, a, b, secret).await;
    assert_eq!(server.errors(), [""; 0]);
}

/// Makes every call through a Register, against the only two sockets. `more` are further arguments of the script.
pub async fn each_call_of(register: SocketAddr, mut a: Socket, mut b: Socket, more: &[&str]) {
    let ids = [a.client_id.clone(), b.client_id.clone()];
    let arguments: Vec<String> =
        [register.to_string()].into_iter().chain(ids).chain(more.iter().map(|more| more.to_string())).collect();
    let called =
        tokio::task::spawn_blocking(move || php("client.php", &arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let Some((succeeded, checks)) = called.await.unwrap() else { return };
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] != true).collect();
    assert!(succeeded && failed.is_empty() && checks.len() >= 52, "{} checks: {failed:#?}", checks.len());

    let long = "b".repeat(70_000);
    let at_a = [
        "to all",
        "to A",
        "not to B",
        "A less B",
        r#"{"type":"array","text":"中\/文"}"#,
        "raw",
        "42",
        "1.5",
        "1",
        "",
        "null",
        "",
        &long,
    ];
    let at_a = at_a.into_iter().chain(["to u1", "to uids", "to uids", "to room", "to 42", "to \"42\"", "to groups", "to groups"]);
    let at_a: Vec<_> = at_a.chain(["room less B", r#"{"a":1,"b":[]}"#, "bye A"]).collect();
    // The connection closes behind them, without a close frame.
    assert_eq!(texts(&mut a, usize::MAX).await, at_a);
    let at_b = [
        "to all",
        "not to A",
        r#"{"type":"array","text":"中\/文"}"#,
        "raw",
        "to 1001",
        "to \"1001\"",
        "to uids",
        "to room",
        "to odd",
    ];
    let at_b = at_b.into_iter().chain(["to groups", "room less A", "b\"\\xff\\0\"", r#"{"a":1,"b":[]}"#]);
    let at_b: Vec<_> = at_b.chain(std::iter::repeat_n("burst", 20)).collect();
    assert_eq!(texts(&mut b, at_b.len()).await, at_b);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_gateway_client_works() {
    every_call(&[], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_gateway_client_works_with_a_key() {
    every_call(&["gateway.secret_key=schlüssel/42"], &["schlüssel/42"]).await;
}

fn bytes(hex: &Value) -> Option<Vec<u8>> {
    let hex = hex.as_str()?;
    Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}

#[test]
fn values_are_read_and_written_as_php_does() {
    let Some((succeeded, lines)) = php("values.php", &["1000", "20261124"]) else { return };
    assert!(succeeded);
    let (mut floats, mut values, mut merged, mut json) = (0, 0, 0, 0);
    for line in &lines {
        for (bits, text) in line["floats"].as_object().into_iter().flatten() {
            let mut out = Serializer::default();
            out.float(f64::from_bits(u64::from_str_radix(bits, 16).unwrap()));
            assert_eq!(shown(&out.into_bytes()), text.as_str().unwrap(), "{bits}");
            floats += 1;
        }
        let Some(text) = bytes(&line["serialized"]) else { continue };
        values += 1;
        let document = Document::read(&text).unwrap_or_else(|error| panic!("{error}: {}", shown(&text)));
        let ours = document.to_json(MAX).ok().map(String::into_bytes);
        let theirs = bytes(&line["json"]);
        assert_eq!(ours.as_deref().map(shown), theirs.as_deref().map(shown), "{}", shown(&text));
        json += usize::from(theirs.is_some());
        let Some(other) = bytes(&line["merge_with"]) else { continue };
        let ours = replace_recursive(&text, &other, MAX).ok();
        let theirs = bytes(&line["merged"]);
        if ours != theirs {
            // Shows the first difference; the values are long.
            let [ours, theirs] = [&ours, &theirs].map(|text| text.as_deref().map(shown).unwrap_or_default());
            let at = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(120);
            let window = |text: &str| text.chars().skip(at).take(240).collect::<String>();
            panic!("{} + {}\nours   …{}\ntheirs …{}", shown(&text), shown(&other), window(&ours), window(&theirs));
        }
        merged += usize::from(theirs.is_some());
        // Merging with an empty array changes nothing.
        if let Ok(again) = replace_recursive(&text, b"a:0:{}", MAX) {
            assert_eq!(shown(&again), shown(&text));
        }
    }
    assert!(
        values == 1000 && floats > 400 && merged > 300 && json > 300,
        "{values} values, {floats} floats, {merged} merged, {json} in JSON"
    );
}
