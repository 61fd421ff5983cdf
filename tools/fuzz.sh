#!/usr/bin/env bash
# Fuzzes the decoders of the PHP gateway protocol, one minute each: packets of the inner protocol, lines of Register, unserialize.
# Crashing inputs are written to fuzz/artifacts. Once fixed, add them to fuzz/corpus, which `make test` replays.
#
#   tools/fuzz.sh [seconds]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "roomcast: cargo-fuzz is missing. Install it with:  cargo install cargo-fuzz --locked" >&2
    exit 1
fi
for target in packet register_line unserialize; do
    # Generated inputs stay out of the repository; the corpus is selected by hand. No sanitizer: sanitizers need a nightly Rust,
    # and these decoders have no unsafe code.
    found=$(mktemp -d)
    cargo fuzz run --sanitizer none "$target" "$found" "corpus/$target" -- -max_total_time="${1:-60}" -max_len=4096 -rss_limit_mb=1024
    rm -rf "$found"
done
