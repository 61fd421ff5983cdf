//! Requests to Register: any line is parsed, rejected or malformed, without a panic.

#[path = "../../src/server/gatewayworker/register/request.rs"]
mod request;

use request::Request;

/// Parses a line with the wrong key, and with the right one.
pub fn check(bytes: &[u8]) {
    // No key matches: only `ping` needs none.
    let request = Request::read(bytes, |_| false);
    assert!(matches!(request, Request::Ping | Request::Rejected | Request::Malformed));
    let _ = Request::read(bytes, |_| true);
}
