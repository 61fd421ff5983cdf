//! Requests to Register: any line is parsed, rejected or malformed, without a panic.

#[path = "../../src/server/gatewayworker/register/request.rs"]
mod request;

use request::RegisterRequest;

/// Parses a line with the wrong key, and with the right one.
pub fn check(bytes: &[u8]) {
    // No key matches: only `ping` needs none.
    let request = RegisterRequest::read(bytes, |_| false);
    assert!(matches!(request, RegisterRequest::Ping | RegisterRequest::Rejected | RegisterRequest::Malformed));
    let _ = RegisterRequest::read(bytes, |_| true);
}
