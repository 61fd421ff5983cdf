//! Every owner of a socket with every kind of request.

use super::*;
use Claim::{Own, Refused, TakeOver};

const A: SocketOwner = SocketOwner([1; 32]);
const B: SocketOwner = SocketOwner([2; 32]);
const V: Visitor = Visitor([3; 32]);
const W: Visitor = Visitor([4; 32]);

fn of(session: Option<SocketOwner>, visitor: Option<Visitor>) -> Credentials {
    Credentials { session, visitor, has_bearer: false }
}

#[test]
fn p1_bind_takes_a_socket_of_its_own_owner() {
    let bearer = Credentials { has_bearer: true, ..Credentials::default() };
    let requests = [
        of(None, None),
        bearer,
        of(None, Some(V)),
        of(None, Some(W)),
        of(Some(A), None),
        of(Some(A), Some(V)),
        of(Some(B), Some(V)),
    ];
    let sockets = [
        // Opened with nothing: by a request with nothing.
        (of(None, None), [Own, Refused, Refused, Refused, Refused, Refused, Refused]),
        // Opened with a bearer token: by nobody.
        (bearer, [Refused; 7]),
        // Of a visitor: by the same visitor, and a session of the same visitor takes it over.
        (of(None, Some(V)), [Refused, Refused, Own, Refused, Refused, TakeOver(A), TakeOver(B)]),
        // Of a session, with or without a visitor cookie: by this session.
        (of(Some(A), None), [Refused, Refused, Refused, Refused, Own, Own, Refused]),
        (of(Some(A), Some(V)), [Refused, Refused, Refused, Refused, Own, Own, Refused]),
        (of(Some(A), Some(W)), [Refused, Refused, Refused, Refused, Own, Own, Refused]),
    ];
    for (socket, expected) in sockets {
        for (request, expected) in requests.into_iter().zip(expected) {
            assert_eq!(request.claim(&socket, false), expected, "{request:?} binds {socket:?}");
            // A gift of a back end matters for a socket of nobody only.
            let given = if socket.is_nobody() { Refused } else { expected };
            assert_eq!(request.claim(&socket, true), given, "{request:?} binds {socket:?}, which was given something");
        }
    }
}
