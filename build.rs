//! Names the files, beside code, that the server binary carries: the migrations and, in a release build, the site.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The wasm build carries neither. If it watched the site, each site made of it would make cargo build it again.
    if env::var_os("CARGO_FEATURE_SSR").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=src/server/storage/sqlite/migrations");
    println!("cargo:rerun-if-changed=src/server/storage/postgres/migrations");
    // A development build reads the site's files from the folder at run time.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rerun-if-changed=target/site");
    }
}
