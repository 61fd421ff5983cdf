#!/usr/bin/env bash
# Builds the release binary with the site embedded: target/release/roomcast. A step without changes does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(tools/setup.sh build)
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
say "building the pages (first time about 2 minutes)"
PATH=$tools:$PATH node tools/site.mjs
say "building the server (first time about 5 minutes)"
cargo build --release --no-default-features --features ssr
