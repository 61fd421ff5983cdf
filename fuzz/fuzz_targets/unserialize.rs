//! The fuzz target of `checks/unserialize.rs`.
#![no_main]

#[path = "../checks/unserialize.rs"]
mod unserialize;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| unserialize::check(bytes));
