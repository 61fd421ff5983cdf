//! A person of the benches over HTTP, and how latencies are printed. Used by `send.rs` and `moderation.rs`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A person with a kept-alive connection, one request at a time.
pub(crate) struct Person {
    reader: BufReader<TcpStream>,
    address: String,
    cookie: String,
    /// Its uid, once it has a session.
    pub(crate) uid: String,
}

impl Person {
    /// Connects without a session.
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("nodelay");
        Self { reader: BufReader::new(stream), address: address.into(), cookie: String::new(), uid: String::new() }
    }

    /// Signs a guest in.
    pub(crate) fn sign_in(address: &str, nickname: &str) -> Self {
        Self::connect(address).with_session("/session/guest", &format!("nickname={nickname}"))
    }

    /// Registers an account; with the token of the owner's link, the owner's.
    pub(crate) fn register(address: &str, name: &str, owner: Option<&str>) -> Self {
        let owner = owner.map(|token| format!("&owner={token}")).unwrap_or_default();
        let form = format!("name={name}&password=a-password-for-benches&nickname={name}{owner}");
        Self::connect(address).with_session("/session/register", &form)
    }

    /// Another connection of the same person.
    pub(crate) fn again(&self) -> Self {
        let (cookie, uid) = (self.cookie.clone(), self.uid.clone());
        Self { cookie, uid, ..Self::connect(&self.address) }
    }

    fn with_session(mut self, path: &str, form: &str) -> Self {
        let (status, head, body) = self.request(path, form);
        assert_eq!(status, 200, "{head}{body}");
        // The session comes before or after the visitor cookie.
        let cookies: Vec<_> = head.split("set-cookie: ").skip(1).filter_map(|rest| rest.split(';').next()).collect();
        self.cookie = format!("Cookie: {}\r\n", cookies.join("; "));
        self.uid = text_field(&body, "uid").unwrap_or_default();
        self
    }

    /// Posts a form and returns status and head.
    pub(crate) fn post(&mut self, path: &str, form: &str) -> (u16, String) {
        let (status, head, _) = self.request(path, form);
        (status, head)
    }

    /// Posts a form that is accepted, and returns the body.
    pub(crate) fn accepted(&mut self, path: &str, form: &str) -> String {
        let (status, head, body) = self.request(path, form);
        assert_eq!(status, 200, "{path} {form}: {head}{body}");
        body
    }

    /// Posts a form and returns status, head and body.
    pub(crate) fn request(&mut self, path: &str, form: &str) -> (u16, String, String) {
        let Self { reader, address, cookie, .. } = self;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\n{cookie}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        reader.get_mut().write_all(request.as_bytes()).expect("write");
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            assert_ne!(reader.read_line(&mut head).expect("read"), 0, "the server closed the connection");
            let line = &head[before..];
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }
}

/// Returns a text of a JSON object that has no escapes in it.
pub(crate) fn text_field(json: &str, name: &str) -> Option<String> {
    json.split(&format!("\"{name}\":\"")).nth(1)?.split('"').next().map(str::to_owned)
}

/// Prints count per second and latencies of requests that `took` so many microseconds.
pub(crate) fn print(name: &str, mut took: Vec<u32>, seconds: u64) {
    took.sort_unstable();
    let at = |share: f64| f64::from(took[((took.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{name}: {:.0}   p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms",
        took.len() as f64 / seconds as f64,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
