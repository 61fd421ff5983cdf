//! People who use the server as browsers do: cookies, forms, sockets.

use super::DEADLINE;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message as Frame, client::IntoClientRequest, protocol::CloseFrame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A response with its body read. A body that is no JSON is a string.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// An HTTP client with its own cookies, as a browser profile.
#[derive(Clone)]
pub struct Person {
    client: Client,
    base: String,
    pub uid: String,
    cookies: std::sync::Arc<reqwest::cookie::Jar>,
}

impl Person {
    pub fn new(base: &str) -> Self {
        let cookies = std::sync::Arc::new(reqwest::cookie::Jar::default());
        let client = Client::builder()
            .cookie_provider(cookies.clone())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self { client, base: base.to_owned(), uid: String::new(), cookies }
    }

    /// The same browser, at another node: cookies belong to a host, whatever its port.
    pub fn at(&self, node: &super::Server) -> Self {
        Self { base: node.base.clone(), ..self.clone() }
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

    /// Sends a message to room 1.
    pub async fn send(&self, message: &str) -> Answer {
        self.post("/gateway/send", &[("room", "1"), ("message", message)]).await
    }

    /// Sends a message with a nonce to room 1. Returns `None` if the connection failed.
    pub async fn try_send(&self, message: &str, nonce: &str) -> Option<Answer> {
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
        self.try_open(protocol, None).await.expect("the socket was refused")
    }

    /// Opens a socket and binds it to room 1.
    pub async fn open_bound(&self, protocol: Option<&str>) -> Socket {
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

/// A WebSocket, after its `init` push.
pub struct Socket {
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub client_id: String,
}

impl Socket {
    /// Returns the next push, as JSON if it is JSON.
    pub async fn push(&mut self) -> Value {
        loop {
            match timeout(DEADLINE, self.stream.next())
                .await
                .expect("nothing was pushed")
                .expect("the connection ended")
                .expect("reading failed")
            {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap_or(Value::String(text.to_string())),
                Frame::Ping(_) | Frame::Pong(_) => {}
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// Skips pushes until one has that type.
    pub async fn push_of(&mut self, kind: &str) -> Value {
        loop {
            let push = self.push().await;
            if push["type"] == kind {
                return push;
            }
        }
    }

    pub async fn send(&mut self, frame: Frame) {
        // An error means that the server has closed; its close frame can still be read.
        let _ = self.stream.send(frame).await;
    }

    /// Skips frames until the close frame and returns its code, or 1006 if the connection ends without one.
    pub async fn close_code(&mut self) -> u16 {
        self.close().await.0
    }

    /// As `close_code`, with the reason.
    pub async fn close(&mut self) -> (u16, String) {
        loop {
            match timeout(DEADLINE, self.stream.next()).await.expect("the socket was not closed") {
                Some(Ok(Frame::Close(Some(CloseFrame { code, reason })))) => return (code.into(), reason.to_string()),
                Some(Ok(Frame::Close(None))) => return (1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (1006, String::new()),
            }
        }
    }
}
