//! A real server of the real binary, and people who use it as browsers do.

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, SocketAddrV4};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message as Frame, client::IntoClientRequest, protocol::CloseFrame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Nothing here takes this long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Server {
    child: Child,
    pub base: String,
    pub owner_link: Option<String>,
    pub data: TempDir,
    /// PHP's addresses.
    pub register: SocketAddr,
    pub inner: SocketAddrV4,
    settings: Vec<String>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// `settings` are `table.key=value`, as after `--set`.
    pub fn with(settings: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        let settings: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
        let Spawned { child, base, owner_link, register, inner } = spawn(&data, "127.0.0.1:0", &settings, false, None);
        Self { child, base, owner_link, data, register, inner, settings }
    }

    /// A server that gets no more than `count` file descriptors.
    pub fn with_open_files(count: u64, settings: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        let settings: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
        let Spawned { child, base, owner_link, register, inner } = spawn(&data, "127.0.0.1:0", &settings, false, Some(count));
        Self { child, base, owner_link, data, register, inner, settings }
    }

    /// A server that outlives writes beyond a file size limit, as if the disk were full.
    pub fn with_file_size_signal_ignored() -> Self {
        let data = TempDir::new().unwrap();
        let Spawned { child, base, owner_link, register, inner } = spawn(&data, "127.0.0.1:0", &[], true, None);
        Self { child, base, owner_link, data, register, inner, settings: vec![] }
    }

    pub fn address(&self) -> &str {
        self.base.split_once("://").unwrap().1
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: our own child, not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port, as after a crash.
    pub fn start_again(&mut self) {
        let address = self.address().to_owned();
        let Spawned { child, base, owner_link, register, inner } = spawn(&self.data, &address, &self.settings, false, None);
        (self.child, self.base, self.owner_link, self.register, self.inner) = (child, base, owner_link, register, inner);
    }

    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the server did not end")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap()
    }

    /// Lines at ERROR; a person's bad input makes none.
    pub fn errors(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains("\"level\":\"ERROR\"")).map(str::to_owned).collect()
    }

    pub fn visitor(&self) -> Person {
        Person::new(&self.base)
    }

    pub async fn guest(&self, nickname: &str) -> Person {
        let mut person = self.visitor();
        let answer = person.post("/session/guest", &[("nickname", nickname)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        person.uid = answer.body["uid"].as_str().unwrap().to_owned();
        person
    }

    /// The owner, through the console's one-time link: host of room 1.
    pub async fn owner(&self) -> Person {
        let link = self.owner_link.as_ref().expect("a server without owner prints the link");
        let mut person = self.visitor();
        let form = [("name", "owner"), ("password", "correct horse"), ("nickname", "小鱼"), ("owner", link)];
        let answer = person.post("/session/register", &form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        person.uid = answer.body["uid"].as_str().unwrap().to_owned();
        person
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A successor, if there was one.
        if let Ok(mut control) = std::os::unix::net::UnixStream::connect(self.data.path().join("data/roomcast.sock")) {
            use std::io::{Read, Write};
            let _ = control.write_all(b"{\"request\":\"stop\",\"slowly\":false}\n");
            let _ = control.read_to_end(&mut Vec::new());
        }
    }
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
    command.env_clear();
    command
}

/// What a server says of itself.
struct Spawned {
    child: Child,
    base: String,
    owner_link: Option<String>,
    register: SocketAddr,
    inner: SocketAddrV4,
}

fn spawn(data: &TempDir, address: &str, settings: &[String], ignore_file_size_signal: bool, open_files: Option<u64>) -> Spawned {
    let log = std::fs::File::options().create(true).append(true).open(data.path().join("log")).unwrap();
    let mut command = binary();
    // Away from the repository's own Leptos.toml.
    command.current_dir(data.path()).args(["--addr", address]).arg("--data-dir").arg(data.path().join("data"));
    // Servers of tests run side by side.
    for setting in ["gateway.lan_addr=127.0.0.1:0", "gateway.register_addr=127.0.0.1:0"]
        .into_iter()
        .chain(settings.iter().map(String::as_str))
    {
        command.args(["--set", setting]);
    }
    if ignore_file_size_signal {
        use std::os::unix::process::CommandExt;
        // SAFETY: signal() is async-signal-safe, and nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                Ok(())
            })
        };
    }
    if let Some(count) = open_files {
        use std::os::unix::process::CommandExt;
        let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
        // SAFETY: setrlimit() is async-signal-safe, and nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        };
    }
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    // The address, the owner's link while there is no owner, PHP's addresses, and what to do next.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said: Vec<String> = Vec::new();
    for line in lines {
        let last = line.starts_with("Open it");
        said.push(line);
        if last {
            break;
        }
    }
    let after = |words: &str| {
        said.iter().find_map(|line| line.split(words).nth(1)).map(|rest| rest.split([',', ' ', ')']).next().unwrap().to_owned())
    };
    let address =
        after("listening on ").unwrap_or_else(|| panic!("{}", std::fs::read_to_string(data.path().join("log")).unwrap()));
    let scheme = if settings.iter().any(|setting| setting.starts_with("web.tls_cert")) { "https" } else { "http" };
    let (base, owner_link) = (format!("{scheme}://{address}"), after("?owner="));
    let of_php = |words: &str| after(words).unwrap_or_else(|| "127.0.0.1:1".into());
    let (register, inner) = (of_php("this node at "), of_php("inner address "));
    Spawned { child, base, owner_link, register: register.parse().unwrap(), inner: inner.parse().unwrap() }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A browser profile: one cookie jar.
#[derive(Clone)]
pub struct Person {
    client: Client,
    base: String,
    pub uid: String,
    cookies: std::sync::Arc<reqwest::cookie::Jar>,
}

impl Person {
    fn new(base: &str) -> Self {
        let cookies = std::sync::Arc::new(reqwest::cookie::Jar::default());
        let client = Client::builder()
            .cookie_provider(cookies.clone())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self { client, base: base.to_owned(), uid: String::new(), cookies }
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("{}{path}", self.base))
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        read(self.request("POST", path).form(form).send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path).header("accept", "text/html").send().await.unwrap()
    }

    pub async fn say(&self, message: &str) -> Answer {
        self.post("/gateway/send", &[("room", "1"), ("message", message)]).await
    }

    /// `None`: no answer came.
    pub async fn try_say(&self, message: &str, nonce: &str) -> Option<Answer> {
        let form = [("room", "1"), ("message", message), ("nonce", nonce)];
        let response = self.request("POST", "/gateway/send").form(&form).send().await.ok()?;
        Some(read(response).await)
    }

    pub async fn bind(&self, socket: &Socket, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("client_id", socket.client_id.as_str()), ("room", "1")];
        form.extend(more);
        self.post("/gateway/bind", &form).await
    }

    pub fn cookie(&self) -> Option<String> {
        use reqwest::cookie::CookieStore;
        self.cookies.cookies(&self.base.parse().unwrap()).and_then(|value| value.to_str().map(str::to_owned).ok())
    }

    pub fn set_cookie(&self, cookie: &str) {
        self.cookies.add_cookie_str(cookie, &self.base.parse().unwrap());
    }

    pub async fn open(&self, protocol: Option<&str>) -> Socket {
        self.try_open(protocol, None).await.expect("the socket opens")
    }

    /// A socket that is bound to room 1.
    pub async fn enter(&self, protocol: Option<&str>) -> Socket {
        let socket = self.open(protocol).await;
        let answer = self.bind(&socket, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        socket
    }

    pub async fn try_open(&self, protocol: Option<&str>, origin: Option<&str>) -> Result<Socket, StatusCode> {
        let mut request = format!("{}/ws", self.base.replace("http", "ws")).into_client_request().unwrap();
        let mut header = |name: &str, value: &str| {
            request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        if let Some(cookie) = self.cookie() {
            header("cookie", &cookie);
        }
        if let Some(protocol) = protocol {
            header("sec-websocket-protocol", protocol);
        }
        if let Some(origin) = origin {
            header("origin", origin);
        }
        let stream = match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => stream,
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => return Err(answer.status()),
            Err(error) => panic!("{error}"),
        };
        let mut socket = Socket { stream, client_id: String::new() };
        let init = socket.push().await;
        assert_eq!(init["type"], "init", "{init}");
        socket.client_id = init["client_id"].as_str().unwrap().to_owned();
        Ok(socket)
    }
}

pub async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

pub struct Socket {
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub client_id: String,
}

impl Socket {
    /// The next push, whatever it is.
    pub async fn push(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.stream.next())
                .await
                .expect("nothing was pushed")
                .expect("the socket ended")
                .expect("the socket broke")
            {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap_or(Value::String(text.to_string())),
                Frame::Ping(_) | Frame::Pong(_) => {}
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// The next push of a type; others are passed over.
    pub async fn push_of(&mut self, kind: &str) -> Value {
        loop {
            let push = self.push().await;
            if push["type"] == kind {
                return push;
            }
        }
    }

    pub async fn send(&mut self, frame: Frame) {
        // The server may have closed already: what it said is read next.
        let _ = self.stream.send(frame).await;
    }

    /// Everything until the close frame, and its code.
    pub async fn close_code(&mut self) -> u16 {
        self.close().await.0
    }

    /// The same, and its reason.
    pub async fn close(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("the socket was not closed") {
                Some(Ok(Frame::Close(Some(CloseFrame { code, reason })))) => return (code.into(), reason.to_string()),
                Some(Ok(Frame::Close(None))) => return (1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (1006, String::new()),
            }
        }
    }
}
