//! The inner protocol's wire format, without I/O: packets, their command numbers, and message bodies.

pub mod body;
pub mod opcode;
pub mod packet;
pub mod reject;
