//! Session tokens that are looked up: over the limits of requests, only those that were valid lately. A look-up of an unknown
//! token is a query that no cache saves, so a client that is over its limit with such tokens gets none for a second.

use super::rate_limit::Exhausted;
use super::request_context::RequestContext;
use crate::domain::refusal::Refusal;
use moka::sync::Cache;
use std::time::{Duration, Instant};

/// Time for which a client that was over a limit gets no look-ups of tokens that are not known.
const CLOSED_FOR: Duration = Duration::from_secs(1);
/// Clients that were over a limit, at most; beyond it some are let in early.
const MAX_CLOSED: u64 = 100_000;
/// A valid token is known for this long after its last request.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Known tokens, at most.
const MAX_KNOWN: u64 = 100_000;

/// The tokens that were valid lately, and the clients that were over a limit with an unknown one.
pub struct UnknownTokens {
    known: Cache<[u8; 32], ()>,
    /// The value is the end of the second.
    closed: Cache<Exhausted, Instant>,
}

impl Default for UnknownTokens {
    fn default() -> Self {
        Self {
            known: Cache::builder().max_capacity(MAX_KNOWN).time_to_idle(KNOWN_FOR).build(),
            closed: Cache::builder().max_capacity(MAX_CLOSED).time_to_live(CLOSED_FOR).build(),
        }
    }
}

impl UnknownTokens {
    /// Refuses the look-up of a token that is not known, of a client that was over a limit within the last second.
    pub(crate) fn check(&self, token_hash: &[u8; 32], context: &RequestContext, now: Instant) -> Result<(), Refusal> {
        let ends = Exhausted::of(context).into_iter().flatten().filter_map(|limit| self.closed.get(&limit));
        match ends.max().filter(|end| *end > now) {
            Some(end) if self.known.get(token_hash).is_none() => {
                Err(Refusal::TooFast { retry_after_ms: (end - now).as_millis().max(1) as u64 })
            }
            _ => Ok(()),
        }
    }

    /// Records that the token is valid, or that it is not.
    pub(crate) fn found(&self, token_hash: [u8; 32], is_valid: bool) {
        if !is_valid {
            self.known.invalidate(&token_hash);
        } else if self.known.get(&token_hash).is_none() {
            self.known.insert(token_hash, ());
        }
    }

    /// Records at `now` that a client with an unknown token is over this limit.
    pub(crate) fn over_limit(&self, limit: Exhausted, now: Instant) {
        self.closed.insert(limit, now + CLOSED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::LimitsSettings;
    use crate::server::web::middleware::cookies::CookieNames;
    use crate::server::web::rate_limit::{RateLimits, RequestKind};

    fn context(address: [u16; 8], visitor: Option<u8>) -> RequestContext {
        RequestContext {
            client_addr: address.into(),
            behind_untrusted_proxy: false,
            has_bearer: false,
            cookies: CookieNames { is_https: false, reads_old: false },
            preferences: Default::default(),
            session: None,
            session_token: None,
            refusal: None,
            visitor: visitor.map(|byte| [byte; 32]),
        }
    }

    const OWN: [u16; 8] = [0x2001, 0xdb8, 1, 1, 0, 0, 0, 1];
    const NEIGHBOUR: [u16; 8] = [0x2001, 0xdb8, 1, 2, 0, 0, 0, 1];

    /// Sends requests with unknown tokens until one is over a limit.
    fn exhaust(limits: &RateLimits, tokens: &UnknownTokens, context: &RequestContext, now: Instant) {
        while limits.check(RequestKind::Request, context).is_ok() {}
        tokens.over_limit(limits.exhausted(context), now);
    }

    #[test]
    fn f17_over_the_limit_no_unknown_token_is_looked_up_for_a_second() {
        let settings = LimitsSettings { request_burst: 5, request_a_minute: 1, ..LimitsSettings::default() };
        let (limits, tokens, now) = (RateLimits::new(&settings, false), UnknownTokens::default(), Instant::now());
        let (known, unknown) = ([1; 32], [2; 32]);
        tokens.found(known, true);
        exhaust(&limits, &tokens, &context(OWN, Some(9)), now);
        for visitor in [None, Some(9), Some(8)] {
            let own = context(OWN, visitor);
            assert_eq!(tokens.check(&unknown, &own, now).err(), Some(Refusal::TooFast { retry_after_ms: 1_000 }));
            assert!(tokens.check(&known, &own, now).is_ok(), "a session of the same address goes on");
            assert!(tokens.check(&unknown, &context(NEIGHBOUR, visitor), now).is_ok(), "and so do its neighbours");
            assert!(tokens.check(&unknown, &own, now + CLOSED_FOR).is_ok());
        }
        tokens.found(known, false);
        assert!(tokens.check(&known, &context(OWN, None), now).is_err(), "it has ended");
    }

    #[test]
    fn f17_a_visitor_over_its_limit_closes_nothing_to_others_of_its_address() {
        let settings = LimitsSettings { visitor_burst: 5, visitor_a_minute: 1, ..LimitsSettings::default() };
        let (limits, tokens, now) = (RateLimits::new(&settings, false), UnknownTokens::default(), Instant::now());
        exhaust(&limits, &tokens, &context(OWN, Some(9)), now);
        let of = |visitor| tokens.check(&[2; 32], &context(OWN, visitor), now).is_ok();
        assert_eq!((of(Some(9)), of(Some(8)), of(None)), (false, true, true));
        exhaust(&limits, &tokens, &context(OWN, None), now);
        assert_eq!((of(Some(8)), of(None)), (true, false));
    }
}
