#!/usr/bin/env bash
# Every test: Rust and the house rules first, then the real binary in a real browser, then other people's tests of the wire.
# Called by `make test`, after the build.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

say "a build without a change (seconds)"
tools/rebuild-check.sh

say "Rust tests and house rules (first time about 5 minutes to build)"
command -v php >/dev/null || say "PHP is not installed (Debian's php-cli): what is shown with it is passed over, three tests"
cargo test --no-default-features --features ssr

tools=$(tools/setup.sh test)
say "end-to-end tests in Chromium (about 3 minutes)"
npm test --prefix end2end

# Where cargo-leptos is at hand, its site must be ours; building it for this alone would cost every newcomer 8 minutes.
if compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/roomcast/tools/cargo-leptos-*" >/dev/null; then
    say "the site as cargo-leptos builds it (about 2 minutes)"
    PATH="$(tools/setup.sh watch):$PATH" tools/same-site.sh
else
    say "cargo-leptos is not in the tools' cache: \`make same-site\` would compare its site with ours"
fi

say "conformance of the socket and of the API (about 2 minutes)"
tools/conformance.sh
