//! The wire format of the inner protocol: packets, command numbers and message bodies. No I/O happens here.

pub mod body;
pub mod opcode;
pub mod packet;
pub mod reject;
