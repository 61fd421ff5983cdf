#!/usr/bin/env bash
# Runs every test: Rust tests and house rules, end-to-end tests of the release binary in Chromium, conformance tests.
# Called by `make test` after the build.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

say "a build without a change (seconds)"
tools/rebuild-check.sh

say "Rust tests and house rules (first time about 5 minutes to build)"
tools/setup.sh test >/dev/null
cargo test --no-default-features --features ssr

say "end-to-end tests in Chromium (about 20 minutes)"
npm test --prefix end2end

# Compare with the site of cargo-leptos only if it is installed: building it takes 8 minutes.
if compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/roomcast/tools/cargo-leptos-*" >/dev/null; then
    say "comparing with the site of cargo-leptos (about 2 minutes)"
    PATH="$(tools/setup.sh watch):$PATH" tools/same-site.sh
else
    say "SKIPPED: comparison with the site of cargo-leptos, which is not in the tools' cache (\`make same-site\`)"
fi

say "conformance tests of the socket and of the API (about 2 minutes)"
tools/conformance.sh
