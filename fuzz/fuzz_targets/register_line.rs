//! The fuzz target of `checks/register_line.rs`.
#![no_main]

#[path = "../checks/register_line.rs"]
mod register_line;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| register_line::check(bytes));
