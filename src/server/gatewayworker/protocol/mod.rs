//! The wire format of the inner protocol: packets, command numbers and message bodies. No I/O happens here.

pub(super) mod body;
pub(super) mod opcode;
pub(super) mod packet;
pub(super) mod reject;
