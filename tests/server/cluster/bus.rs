//! The bus on a real NATS server, through a proxy that breaks its link.

use crate::support::nats::Nats;
use crate::support::proxy::{Link as Wire, Proxy};
use crate::support::{DEADLINE, eventually};
use bytes::Bytes;
use roomcast::server::bus::{Bus, Link, MAX_PAYLOAD, Subject, Subscription};
use roomcast::server::config::ClusterSettings;
use std::time::Duration;
use tokio::time::{Instant, timeout};

async fn bus(url: &str) -> Bus {
    Bus::connect(&ClusterSettings { nats: url.into(), ..ClusterSettings::default() }).await.unwrap()
}

async fn is(bus: &Bus, link: Link) {
    timeout(DEADLINE, bus.link().wait_for(|now| *now == link)).await.expect("the link does not change").unwrap();
}

async fn next(subscription: &mut Subscription) -> (String, Bytes) {
    let received = timeout(DEADLINE, subscription.next()).await.expect("nothing comes").expect("the bus is closed");
    (received.subject.to_string(), received.payload)
}

/// Waits until messages of `from` reach the subscription: NATS knows of the subscription then.
async fn is_heard(from: &Bus, subject: &str, by: &mut Subscription) {
    let mark = Bytes::from(uuid::Uuid::new_v4().to_string());
    let subject = Subject::from(subject);
    eventually("the subscription is heard", async || {
        from.publish(&subject, mark.clone());
        timeout(Duration::from_millis(50), async { while by.next().await.unwrap().payload != mark {} }).await.is_ok()
    })
    .await;
    while let Ok(Some(received)) = timeout(Duration::from_millis(100), by.next()).await {
        assert_eq!(received.payload, mark);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_other_nodes_of_its_cluster_and_not_its_sender() {
    let Some(nats) = Nats::start() else { return };
    let (one, two) = (bus(&nats.url()).await, bus(&nats.url()).await);
    let settings = ClusterSettings { nats: nats.url().as_str().into(), name: "other".into(), ..ClusterSettings::default() };
    let other = Bus::connect(&settings).await.unwrap();
    let mut at_one = one.subscribe(Subject::all_messages()).await;
    let mut at_two = two.subscribe(Subject::all_messages()).await;
    let mut at_other = other.subscribe(Subject::all_messages()).await;
    for bus in [&one, &two, &other] {
        is(bus, Link::Up).await;
    }
    is_heard(&one, "m.0.x", &mut at_two).await;
    let room = "song".parse().unwrap();
    for number in 0..1_000 {
        one.publish(&Subject::messages(&room), number.to_string().into());
    }
    for number in 0..1_000 {
        let (subject, payload) = next(&mut at_two).await;
        assert_eq!((subject.as_str(), payload), (Subject::messages(&room).as_str(), number.to_string().into()));
    }
    assert!(timeout(Duration::from_millis(200), at_one.next()).await.is_err(), "its own message");
    assert!(timeout(Duration::from_millis(1), at_other.next()).await.is_err(), "a message of another cluster");
    assert!(!format!("{settings:?}").contains(nats.password()));

    // Closing sends the queued messages, and ends the subscriptions.
    for number in 0..100 {
        one.publish(&Subject::from("m.1.last"), number.to_string().into());
    }
    one.close().await;
    assert!(at_one.next().await.is_none());
    for number in 0..100 {
        assert_eq!(next(&mut at_two).await.1, number.to_string());
    }
    one.publish(&Subject::from("m.1.last"), "after the end".into());
    one.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_while_nats_was_away_does_not_come_late() {
    let Some(nats) = Nats::start() else { return };
    let proxy = Proxy::to(nats.address());
    let (one, two) = (bus(&nats.url_at(proxy.address)).await, bus(&nats.url()).await);
    let (mut at_one, mut at_two) = (one.subscribe("x".into()).await, two.subscribe("x".into()).await);
    is_heard(&one, "x", &mut at_two).await;
    is_heard(&two, "x", &mut at_one).await;
    let lost = *one.losses().borrow();
    for cut in [Wire::Cut, Wire::BlackHole] {
        proxy.set(cut);
        is(&one, Link::Away).await;
        for number in 0..1_000 {
            one.publish(&"x".into(), format!("late {number}").into());
        }
        proxy.reset();
        is(&one, Link::Up).await;
        one.publish(&"x".into(), "in time".into());
        assert_eq!(next(&mut at_two).await.1, "in time");
        // The subscription is there again.
        is_heard(&two, "x", &mut at_one).await;
    }
    assert!(*one.losses().borrow() >= lost + 2, "a reconnect is a loss");
    nats.kill();
    is(&two, Link::Away).await;
    nats.run();
    is(&two, Link::Up).await;
    is_heard(&one, "x", &mut at_two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_never_waits_for_a_link_that_takes_nothing() {
    let Some(nats) = Nats::start() else { return };
    let proxy = Proxy::to(nats.address());
    let (one, two) = (bus(&nats.url_at(proxy.address)).await, bus(&nats.url()).await);
    let mut at_two = two.subscribe("x".into()).await;
    is_heard(&one, "x", &mut at_two).await;
    let lost = *one.losses().borrow();
    proxy.set(Wire::Throttle(1_000));
    let (start, payload) = (Instant::now(), Bytes::from(vec![b'x'; 16 * 1024]));
    for _ in 0..4_000 {
        one.publish(&"x".into(), payload.clone());
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(*one.losses().borrow() > lost + 1_000, "64 MB were kept");
    one.publish(&"x".into(), vec![0; MAX_PAYLOAD + 1].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_read_loses_the_newest_and_is_told() {
    let Some(nats) = Nats::start() else { return };
    let (one, two) = (bus(&nats.url()).await, bus(&nats.url()).await);
    let mut at_two = two.subscribe("x".into()).await;
    is_heard(&one, "x", &mut at_two).await;
    let mut witness = two.subscribe("witness".into()).await;
    let lost = *two.losses().borrow();
    for number in 0..70_000 {
        one.publish_in_turn(&"x".into(), number.to_string().into()).await;
    }
    is_heard(&one, "witness", &mut witness).await;
    assert!(*two.losses().borrow() > lost);
    let mut received = 0;
    while let Ok(Some(message)) = timeout(Duration::from_millis(200), at_two.next()).await {
        assert_eq!(message.payload, received.to_string(), "the oldest come, in their order");
        received += 1;
    }
    assert_eq!(received, 64 * 1024);
    is_heard(&one, "x", &mut at_two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_refuses_is_tried_again() {
    let Some(nats) = Nats::start() else { return };
    nats.stop();
    let (one, two) = (bus(&nats.url()).await, bus(&nats.url()).await);
    let stranger = bus(&nats.url().replace(nats.password(), "wrong")).await;
    let mut at_two = two.subscribe("x".into()).await;
    one.publish(&"x".into(), "too early".into());
    assert_eq!(*one.link().borrow(), Link::Away);
    nats.run();
    is(&one, Link::Up).await;
    is_heard(&one, "x", &mut at_two).await;
    assert_eq!(*stranger.link().borrow(), Link::Away);
    timeout(DEADLINE, stranger.close()).await.unwrap();
}
