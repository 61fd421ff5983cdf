//! A TCP proxy that breaks links: between a server and its database, or between a client and a server. It runs on a thread of its own,
//! so that a test that blocks does not stop it. At most 512 connections at a time; none lives longer than two minutes.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Connections at a time; more wait in the backlog.
const MOST: usize = 512;
/// The longest life of a connection.
const LIFE: Duration = Duration::from_secs(120);
/// The limit of one write and of connecting.
const WITHIN: Duration = Duration::from_secs(20);

/// The proxy's treatment of its connections, of those that are open too. A connection that lost a byte stays a black hole until a
/// cut: its stream has a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// Forwards both directions.
    Forward,
    /// Forwards each piece after a delay.
    Delay(Duration),
    /// Forwards so many bytes a second in each direction of a connection.
    Throttle(u32),
    /// Accepts connections and swallows the bytes of both directions.
    BlackHole,
    /// Forwards requests and swallows answers.
    HalfOpen,
    /// Resets every connection, also new ones.
    Cut,
}

#[derive(Clone, Copy)]
struct Control {
    link: Link,
    target: SocketAddr,
    is_running: bool,
}

pub struct Proxy {
    pub address: SocketAddr,
    control: watch::Sender<Control>,
    open: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback address, which forwards to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (control, changes) = watch::channel(Control { link: Link::Forward, target, is_running: true });
        let open = Arc::new(AtomicUsize::new(0));
        let count = open.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, changes, count));
        });
        Self { address, control, open, thread: Some(thread) }
    }

    /// Sets the treatment of all connections, now and from now on.
    pub fn set(&self, link: Link) {
        self.control.send_modify(|control| control.link = link);
    }

    /// Resets the connections that are open, and forwards new ones.
    pub fn reset(&self) {
        self.set(Link::Cut);
        let deadline = std::time::Instant::now() + WITHIN;
        while self.open() > 0 {
            assert!(std::time::Instant::now() < deadline, "{} connections are not reset", self.open());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.set(Link::Forward);
    }

    /// Forwards new connections to `target`, as an address that moves at a fail-over.
    pub fn retarget(&self, target: SocketAddr) {
        self.control.send_modify(|control| control.target = target);
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.send_modify(|control| (control.link, control.is_running) = (Link::Cut, false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, mut changes: watch::Receiver<Control>, open: Arc<AtomicUsize>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let permits = Arc::new(Semaphore::new(MOST));
    loop {
        let permit = permits.clone().acquire_owned().await.unwrap();
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = changes.wait_for(|control| !control.is_running) => return,
        };
        let Ok((client, _)) = client else { continue };
        let (changes, open) = (changes.clone(), open.clone());
        open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _ = timeout(LIFE, carry(client, changes)).await;
            open.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
}

/// Carries one connection until its ends close it, or a cut resets both.
async fn carry(mut client: TcpStream, changes: watch::Receiver<Control>) {
    let mut server = None;
    let mut of_cut = changes.clone();
    let cut = async {
        if of_cut.wait_for(|control| control.link == Link::Cut).await.is_err() {
            pending::<()>().await;
        }
    };
    let was_closed = tokio::select! {
        () = cut => false,
        was_closed = forward(&mut client, &mut server, changes) => was_closed,
    };
    if !was_closed {
        for stream in [Some(client), server].into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Returns whether both ends closed the connection. False: the target does not answer.
async fn forward(client: &mut TcpStream, server: &mut Option<TcpStream>, changes: watch::Receiver<Control>) -> bool {
    let Control { link, target, .. } = *changes.borrow();
    if link == Link::BlackHole {
        swallow(client).await;
        return true;
    }
    let Ok(Ok(connected)) = timeout(WITHIN, TcpStream::connect(target)).await else { return false };
    let server = server.insert(connected);
    let (_, _) = (server.set_nodelay(true), client.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let answers = changes.clone();
    tokio::join!(pump(from_client, to_server, changes, false), pump(from_server, to_client, answers, true));
    true
}

/// Reads until the peer closes.
async fn swallow(mut from: impl AsyncRead + Unpin) {
    let mut bytes = vec![0; 16 * 1024];
    while matches!(from.read(&mut bytes).await, Ok(1..)) {}
}

/// Carries one direction. `is_answer`: from the server to the client.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    changes: watch::Receiver<Control>,
    is_answer: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        let link = changes.borrow().link;
        if link == Link::BlackHole || (link == Link::HalfOpen && is_answer) {
            // The close of a peer is not told either.
            swallow(from).await;
            return pending().await;
        }
        if count == 0 {
            let _ = timeout(WITHIN, to.shutdown()).await;
            return;
        }
        match link {
            Link::Delay(time) => sleep(time).await,
            Link::Throttle(bytes_a_second) => sleep(Duration::from_secs_f64(count as f64 / f64::from(bytes_a_second))).await,
            _ => {}
        }
        if !matches!(timeout(WITHIN, to.write_all(&bytes[..count])).await, Ok(Ok(()))) {
            return;
        }
    }
}
