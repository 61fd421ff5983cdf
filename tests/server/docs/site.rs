//! A site behind the balancers of docs/cluster.md: a node from the documented variables, and beside it a stand-in for a node of a
//! newer version.

use super::balancers::{documented, program};
use super::is_installed;
use crate::support::cluster::Cluster;
use crate::support::postgres::free_port;
use crate::support::{DEADLINE, eventually};
use reqwest::{Client, StatusCode};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A balancer's process, ended with the value.
struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        // SAFETY: the child has not been waited for, so its pid is not reused.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) };
        let _ = self.0.wait();
    }
}

/// A stand-in for a node of the newer version: it has the file, and answers every request with 200. Counts the POSTs.
async fn newer_node() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, posts) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let counted = posts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                let read = stream.read(&mut request).await.unwrap_or(0);
                counted.fetch_add(usize::from(request[..read].starts_with(b"POST")), Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nnewer").await;
            });
        }
    });
    (address, posts)
}

/// Starts a balancer with a file of the document, whose nodes are these two. Returns its port.
async fn start(name: &str, folder: &Path, nodes: [&str; 2]) -> (Balancer, u16) {
    let port = free_port();
    let info = if name == "nginx" { "nginx" } else { "haproxy" };
    let block = documented(info).into_iter().find(|block| block.text.contains("10.0.0.2:3000")).unwrap();
    let text = block.text.replace("10.0.0.1:3000", nodes[0]).replace("10.0.0.2:3000", nodes[1]);
    let here = folder.display();
    let mut command = Command::new(program(name));
    let file = folder.join(format!("{name}.conf"));
    let text = if name == "nginx" {
        // The tests' client speaks no TLS.
        let text = text.replace("listen 443 ssl", &format!("listen 127.0.0.1:{port}"));
        let text: String = text.split_inclusive('\n').filter(|line| !line.contains("ssl_certificate")).collect();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};\n"));
        command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&file);
        let http = format!("http {{\naccess_log off;\n{}{text}}}\n", kinds.concat());
        format!("daemon off;\nuser root;\npid {here}/pid;\nerror_log stderr;\nevents {{}}\n{http}")
    } else {
        command.arg("-f").arg(&file);
        text.replace("bind :443 ssl crt /etc/ssl/chat.pem", &format!("bind 127.0.0.1:{port}"))
    };
    std::fs::write(&file, text).unwrap();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let balancer = Balancer(child);
    eventually("the balancer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    (balancer, port)
}

fn browser(port: u16) -> (Client, String) {
    let client = Client::builder().timeout(DEADLINE).pool_max_idle_per_host(0);
    let client = client.redirect(reqwest::redirect::Policy::none());
    let client = client.resolve("chat.example.com", ([127, 0, 0, 1], port).into()).build().unwrap();
    (client, format!("http://chat.example.com:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_a_site_works_behind_each_documented_balancer() {
    let settings = ["web.public_url=https://chat.example.com", "web.trusted_proxies=127.0.0.1/32"];
    let Some(cluster) = Cluster::with(2, &settings).await else { return };
    let (newer, posts) = newer_node().await;
    for name in ["nginx", "haproxy"] {
        if !is_installed(&program(name), name) {
            continue;
        }
        let folder = tempfile::TempDir::new().unwrap();
        let (_balancer, port) = start(name, folder.path(), [cluster.nodes[0].address(), cluster.nodes[1].address()]).await;
        let (client, site) = browser(port);
        eventually("the site is there", async || {
            client.get(format!("{site}/rooms/1")).send().await.is_ok_and(|page| page.status() == StatusCode::OK)
        })
        .await;
        let socket = client.get(format!("{site}/ws")).header("connection", "upgrade").header("upgrade", "websocket");
        let socket = socket.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let socket = socket.send().await.unwrap();
        assert_eq!(socket.status(), StatusCode::SWITCHING_PROTOCOLS, "{name}");
        let mut init = [0; 64];
        let read = socket.upgrade().await.unwrap().read(&mut init).await.unwrap();
        assert!(String::from_utf8_lossy(&init[..read]).contains("\"init\""), "{name}");
        // Nobody has it.
        let nowhere = client.get(format!("{site}/v/0123456789ab/pkg/a.js")).send().await.unwrap();
        assert_eq!(nowhere.status(), StatusCode::NOT_FOUND, "{name}");
        assert_eq!(nowhere.headers()["cache-control"], "no-store", "{name}");
        drop(_balancer);

        let (_balancer, port) = start(name, folder.path(), [cluster.nodes[0].address(), &newer]).await;
        let (client, site) = browser(port);
        let before = posts.load(Ordering::Relaxed);
        for n in 0..12 {
            let file = client.get(format!("{site}/v/0123456789ab/pkg/{n}.js")).send().await.unwrap();
            assert_eq!((file.status(), &*file.text().await.unwrap()), (StatusCode::OK, "newer"), "{name}");
        }
        let mut refused = 0;
        for n in 0..12 {
            let post = client.post(format!("{site}/v/0123456789ab/pkg/{n}.js")).body("a").send().await.unwrap();
            refused += usize::from(post.status() != StatusCode::OK);
        }
        let arrived = posts.load(Ordering::Relaxed) - before;
        assert_eq!(refused + arrived, 12, "{name}: a POST that a node refused was repeated at the other");
    }
}
