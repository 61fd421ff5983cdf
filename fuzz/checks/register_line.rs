//! Register's lines: whatever is said is understood or refused.

#[path = "../../src/server/gatewayworker/register/request.rs"]
mod request;

use request::Request;

pub fn check(bytes: &[u8]) {
    // Nobody knows the key: only who needs none gets further.
    let request = Request::read(bytes, |_| false);
    assert!(matches!(request, Request::Ping | Request::Rejected | Request::Malformed));
    let _ = Request::read(bytes, |_| true);
}
