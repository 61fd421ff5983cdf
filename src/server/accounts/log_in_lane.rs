//! The turns of one account as plain data: at most [`BURST`] at once and then one every [`TURN_MS`], given to the log-in with
//! the lowest rank. The caller passes the time, in milliseconds.

/// Turns that an account has saved when nobody logged in for five minutes.
pub(super) const BURST: u32 = 60;
/// Time per turn, in milliseconds.
pub(super) const TURN_MS: u64 = 5_000;
/// Time in which all turns are saved.
const FULL_MS: u64 = BURST as u64 * TURN_MS;
/// Log-ins that wait for a turn of one account. A further one takes the place of one whose network has tried more often, or is
/// refused.
const MAX_WAITING: usize = 16;
/// A log line per account and this time, while its log-ins wait.
const WARN_EVERY_MS: u64 = 60_000;

/// The turns of one account, and the log-ins that wait for one.
pub(super) struct Lane {
    /// When the lane is full again, in the milliseconds of the caller: a turn moves it by [`TURN_MS`].
    full_at: u64,
    /// Rank and number, in no order.
    waiting: Vec<(u32, u64)>,
    next_number: u64,
    warned_at: Option<u64>,
}

/// Result of [`Lane::join`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// The log-in has a turn.
    Turn,
    /// It waits under a number. `warn`: the operator has not been told for a minute.
    Waiting { number: u64, warn: bool },
    /// Too many others wait.
    Refused,
}

/// Result of [`Lane::poll`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Poll {
    /// The log-in has a turn, and waits no longer.
    Turn,
    /// Ask again after this time.
    Wait { ms: u64 },
    /// Another log-in took its place.
    Evicted,
}

impl Lane {
    /// A lane with all turns saved.
    pub(super) fn new(now: u64) -> Self {
        Self { full_at: now, waiting: vec![], next_number: 0, warned_at: None }
    }

    /// Takes a turn, or a place among the log-ins that wait. With the same number of waiting ones as [`MAX_WAITING`], the last of
    /// the highest rank is evicted, if that rank is higher.
    pub(super) fn join(&mut self, rank: u32, now: u64) -> Joined {
        if self.waiting.is_empty() && self.take_turn(now) {
            return Joined::Turn;
        }
        if self.waiting.len() >= MAX_WAITING {
            let last = self.waiting.iter().copied().max().filter(|(worst, _)| *worst > rank);
            let Some(last) = last else { return Joined::Refused };
            self.waiting.retain(|waiting| *waiting != last);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push((rank, number));
        let warn = self.warned_at.is_none_or(|at| now >= at + WARN_EVERY_MS);
        if warn {
            self.warned_at = Some(now);
        }
        Joined::Waiting { number, warn }
    }

    /// Takes the turn if it is due and this log-in is next.
    pub(super) fn poll(&mut self, number: u64, now: u64) -> Poll {
        let Some(own) = self.waiting.iter().copied().find(|(_, waiting)| *waiting == number) else { return Poll::Evicted };
        let is_next = self.waiting.iter().min() == Some(&own);
        if is_next && self.take_turn(now) {
            self.waiting.retain(|waiting| *waiting != own);
            return Poll::Turn;
        }
        // The next turn; after that, a moment in which the log-in that is next takes it.
        let until_turn = (self.full_at + TURN_MS).saturating_sub(now + FULL_MS);
        Poll::Wait { ms: until_turn.max(if is_next { 1 } else { 50 }) }
    }

    /// Gives no turn before `at`.
    pub(super) fn postpone(&mut self, at: u64) {
        self.full_at = self.full_at.max(at + FULL_MS - TURN_MS);
    }

    /// Removes a log-in that no longer waits.
    pub(super) fn leave(&mut self, number: u64) {
        self.waiting.retain(|(_, waiting)| *waiting != number);
    }

    /// Returns true if no log-in waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take_turn(&mut self, now: u64) -> bool {
        let full_at = self.full_at.max(now) + TURN_MS;
        let has_turn = full_at <= now + FULL_MS;
        if has_turn {
            self.full_at = full_at;
        }
        has_turn
    }

    /// Returns true if the lane is as a new one.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        self.is_empty() && self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_MS: u64 = 24 * 3600 * 1000;

    /// Takes all saved turns.
    fn emptied(now: u64) -> Lane {
        let mut lane = Lane::new(now);
        for _ in 0..BURST {
            assert_eq!(lane.join(9, now), Joined::Turn);
        }
        lane
    }

    fn waiting(joined: Joined) -> u64 {
        match joined {
            Joined::Waiting { number, .. } => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn f7_a_fresh_network_is_next_whatever_waits() {
        let mut lane = emptied(0);
        let guessing: Vec<_> = (0..MAX_WAITING).map(|_| waiting(lane.join(5, 0))).collect();
        assert_eq!(lane.join(5, 0), Joined::Refused);
        let owner = waiting(lane.join(0, 1_000));
        assert_eq!(lane.poll(*guessing.last().unwrap(), 1_000), Poll::Evicted, "the newest of those with the most attempts");
        assert_eq!(lane.poll(owner, 1_000), Poll::Wait { ms: TURN_MS - 1_000 });
        assert_eq!(lane.poll(guessing[0], TURN_MS), Poll::Wait { ms: 50 }, "not before the owner");
        assert_eq!(lane.poll(owner, TURN_MS), Poll::Turn);
        assert_eq!(lane.poll(guessing[0], 2 * TURN_MS), Poll::Turn);
    }

    proptest! {
        #[test]
        fn f7_the_guesses_of_a_day_are_bounded(steps in prop::collection::vec((0..600_000_u64, 0..20_u32), 1..2_000)) {
            let (mut lane, mut now, mut turns, mut last) = (Lane::new(0), 0, 0_u64, None);
            for (step, rank) in steps {
                now += step;
                if now > DAY_MS {
                    break;
                }
                turns += u64::from(lane.join(rank, now) == Joined::Turn);
                if let Some(number) = last.take() {
                    turns += u64::from(lane.poll(number, now) == Poll::Turn);
                }
                last = lane.waiting.iter().min().map(|(_, number)| *number);
                prop_assert!(lane.waiting.len() <= MAX_WAITING);
            }
            prop_assert!(turns <= u64::from(BURST) + now / TURN_MS);
        }
    }

    #[test]
    fn a_turn_that_another_node_took_is_waited_for() {
        let mut lane = Lane::new(0);
        assert_eq!(lane.join(0, 0), Joined::Turn);
        lane.postpone(3_000);
        let next = waiting(lane.join(0, 10));
        assert_eq!(lane.poll(next, 10), Poll::Wait { ms: 2_990 });
        assert_eq!(lane.poll(next, 3_000), Poll::Turn);
        assert!(matches!(lane.join(0, 3_000), Joined::Waiting { .. }), "the saved turns are gone");
    }

    #[test]
    fn f7_a_flood_gets_the_documented_number_of_guesses() {
        let (mut lane, mut turns) = (Lane::new(0), 0);
        for now in (0..DAY_MS).step_by(500) {
            turns += u64::from(lane.join(3, now) == Joined::Turn);
            if let Some((_, number)) = lane.waiting.iter().min().copied() {
                turns += u64::from(lane.poll(number, now) == Poll::Turn);
            }
        }
        assert!((17_300..=17_340).contains(&turns), "{turns}");
    }
}
