//! Tests the mailbox, which publishers and a shard share, under every interleaving of its steps. loom's locks replace those of
//! the standard library.

#![expect(unreachable_pub, reason = "a test program exports nothing")]

#[path = "../src/server/gateway/mailbox.rs"]
mod mailbox;

/// Replaces `src/server/gateway/sync.rs`, where the mailbox gets its lock.
mod sync {
    pub use loom::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use mailbox::{Mailbox, Posted};

/// Two publishers and a shard that sleeps until it is woken: no command is left without a wake-up, and the commands of each
/// publisher stay in order.
#[test]
fn the_first_command_of_an_empty_mailbox_wakes_the_shard_and_none_is_lost() {
    loom::model(|| {
        let (mailbox, wakeups) = (Arc::new(Mailbox::new()), Arc::new(AtomicUsize::new(0)));
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let (mailbox, wakeups) = (mailbox.clone(), wakeups.clone());
                thread::spawn(move || {
                    for number in 0..2 {
                        if mailbox.post((publisher, number)) == Posted::Wake {
                            wakeups.fetch_add(1, Ordering::Release);
                        }
                    }
                })
            })
            .collect();
        let (mut done, mut taken) = (Vec::new(), Vec::new());
        let mut poll = |seen: &mut usize| {
            // The wake-up is consumed before the mailbox is read, as epoll returns the event before the shard acts.
            let now = wakeups.load(Ordering::Acquire);
            if now != *seen {
                *seen = now;
                mailbox.take(&mut taken);
                done.append(&mut taken);
            }
        };
        let mut seen = 0;
        poll(&mut seen);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        poll(&mut seen);
        for publisher in 0..2 {
            let numbers: Vec<_> = done.iter().filter(|(of, _)| *of == publisher).map(|(_, number)| *number).collect();
            assert_eq!(numbers, [0, 1]);
        }
    });
}

#[test]
fn a_command_is_either_returned_by_close_or_rejected_after_it() {
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
