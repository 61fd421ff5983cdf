//! The tests' own tools: private PostgreSQL instances and broken links.

use crate::support::postgres::{Postgres, Stop};
use crate::support::proxy::{Link, Proxy};
use crate::support::{DEADLINE, eventually};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_database_belongs_to_a_plain_role() {
    let Some(database) = Postgres::shared() else { return };
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let plain: bool = sqlx::query_scalar(
        "SELECT NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication) FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert!(plain);
    sqlx::query("CREATE SCHEMA roomcast").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let wrong = database.url().replace(database.password(), "wrong");
    assert!(PgConnection::connect(&wrong).await.is_err(), "the password counts");
}

#[tokio::test]
async fn an_instance_is_killed_restarted_and_promoted() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let timeline = || postgres.sql("postgres", "SELECT timeline_id FROM pg_control_checkpoint()");
    database.sql("CREATE TABLE kept AS SELECT 1 AS n");
    postgres.kill();
    assert!(PgConnection::connect(&database.url()).await.is_err());
    postgres.start();
    postgres.stop(Stop::Immediate);
    postgres.start();
    assert_eq!((database.sql("SELECT n FROM kept"), timeline()), ("1".into(), "1".into()));
    postgres.restart_as_standby();
    assert_eq!(database.sql("SELECT pg_is_in_recovery()"), "t");
    postgres.promote();
    database.sql("INSERT INTO kept VALUES (2)");
    assert_eq!(database.sql("SELECT pg_is_in_recovery()"), "f");
    eventually("the checkpoint names the timeline", async || timeline() == "2").await;
}

/// A server that returns each byte.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn echoes(stream: &mut TcpStream, byte: u8) -> bool {
    stream.write_all(&[byte]).await.unwrap();
    timeout(DEADLINE, stream.read_u8()).await.is_ok_and(|read| read.unwrap() == byte)
}

/// Sends a byte that does not come back, at least not soon.
async fn is_silent(stream: &mut TcpStream, byte: u8) -> bool {
    stream.write_all(&[byte]).await.unwrap();
    timeout(SHORT, stream.read_u8()).await.is_err()
}

/// Whether a new connection is reset, perhaps before it is seen to be open.
async fn is_reset(proxy: &Proxy) -> bool {
    let connected = async { TcpStream::connect(proxy.address).await?.read_u8().await };
    timeout(DEADLINE, connected).await.unwrap().is_err()
}

#[tokio::test]
async fn a_link_is_delayed_swallowed_and_cut() {
    let proxy = Proxy::to(echo().await);
    let connect = || async { TcpStream::connect(proxy.address).await.unwrap() };
    let (mut first, mut second) = (connect().await, connect().await);
    assert!(echoes(&mut first, 1).await && echoes(&mut second, 2).await);
    proxy.set(Link::Delay(SHORT));
    assert!(is_silent(&mut second, 3).await, "it takes twice the delay");
    assert_eq!(second.read_u8().await.unwrap(), 3);
    proxy.set(Link::HalfOpen);
    assert!(is_silent(&mut first, 4).await);
    proxy.set(Link::Forward);
    assert!(is_silent(&mut first, 5).await, "the stream has a hole");
    assert!(echoes(&mut second, 6).await);
    proxy.set(Link::BlackHole);
    let mut third = connect().await;
    assert!(is_silent(&mut second, 7).await && is_silent(&mut third, 8).await);
    proxy.reset();
    for mut stream in [first, second, third] {
        let error = timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(echoes(&mut connect().await, 9).await);
    proxy.set(Link::Cut);
    assert!(is_reset(&proxy).await);
}

#[tokio::test]
async fn an_address_moves_to_another_target() {
    let proxy = Proxy::to("127.0.0.1:1".parse().unwrap());
    assert!(is_reset(&proxy).await);
    proxy.retarget(echo().await);
    assert!(echoes(&mut TcpStream::connect(proxy.address).await.unwrap(), 1).await);
}
