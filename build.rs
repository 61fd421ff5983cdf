//! Cargo is told what the binary holds beside code: the site's files and the migrations.

fn main() {
    println!("cargo:rerun-if-changed=src/server/storage/migrations");
    // Embedded in release builds only; in development they are read from the folder.
    println!("cargo:rerun-if-changed=target/site/pkg");
}
