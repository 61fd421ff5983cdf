#!/usr/bin/env bash
# Odd bytes at the decoders of PHP's door, a minute for each: the inner protocol's packets, Register's lines, unserialize.
# What it finds is kept in fuzz/artifacts; put it into fuzz/corpus, which `make test` replays, once it is mended.
#
#   tools/fuzz.sh [seconds]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "roomcast: cargo-fuzz is missing. Install it with:  cargo install cargo-fuzz --locked" >&2
    exit 1
fi
for target in packet register_line unserialize; do
    # Inputs it comes up with stay out of the repository: the corpus is chosen by hand. No sanitizer: those want a nightly Rust,
    # and there is no unsafe code here for them to watch.
    found=$(mktemp -d)
    cargo fuzz run --sanitizer none "$target" "$found" "corpus/$target" -- -max_total_time="${1:-60}" -max_len=4096 -rss_limit_mb=1024
    rm -rf "$found"
done
