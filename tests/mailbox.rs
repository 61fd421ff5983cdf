//! The mailbox between threads and a shard, under every interleaving: loom's locks replace those of std.

#[path = "../src/server/gateway/mailbox.rs"]
mod mailbox;

/// Replaces `src/server/gateway/sync.rs`.
mod sync {
    pub use loom::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use mailbox::{Mailbox, Posted};

/// Two publishers and a shard that sleeps unless its bell was rung: no command waits for a bell that nobody rings, and
/// each publisher's commands stay in order.
#[test]
fn the_first_poster_wakes_the_shard_and_no_command_is_lost() {
    loom::model(|| {
        let (mailbox, waker) = (Arc::new(Mailbox::new()), Arc::new(AtomicUsize::new(0)));
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let (mailbox, waker) = (mailbox.clone(), waker.clone());
                thread::spawn(move || {
                    for number in 0..2 {
                        if mailbox.post((publisher, number)) == Posted::Wake {
                            waker.fetch_add(1, Ordering::Release);
                        }
                    }
                })
            })
            .collect();
        let (mut done, mut taken) = (Vec::new(), Vec::new());
        let mut look = |rung: &mut usize| {
            // The bell is heard before the mailbox is looked into, as epoll hands an event out before the shard acts.
            let now = waker.load(Ordering::Acquire);
            if now != *rung {
                *rung = now;
                mailbox.take(&mut taken);
                done.append(&mut taken);
            }
        };
        let mut rung = 0;
        look(&mut rung);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        look(&mut rung);
        for publisher in 0..2 {
            let numbers: Vec<_> = done.iter().filter(|(of, _)| *of == publisher).map(|(_, number)| *number).collect();
            assert_eq!(numbers, [0, 1]);
        }
    });
}

#[test]
fn nothing_is_taken_in_after_the_close_and_nothing_is_lost_before_it() {
    loom::model(|| {
        let mailbox = Arc::new(Mailbox::new());
        let publisher = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.post(1))
        };
        let handed_back = mailbox.close();
        let posted = publisher.join().unwrap();
        assert_eq!(handed_back.is_empty(), posted == Posted::Closed);
        assert_eq!(mailbox.post(2), Posted::Closed);
    });
}
