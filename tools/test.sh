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

# The second run passes over tests by name: those about SQLite's file, and those that choose their stores, which the first run
# made. `tests/server/sqlite_only.txt` has a name and a reason per line.
if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1; then
    store=postgres
    # Debian keeps NATS among the programs of the administrator.
    if PATH=$PATH:/usr/sbin command -v nats-server >/dev/null 2>&1; then store=cluster; fi
    say "the server's tests once more, on PostgreSQL, with NATS if it is installed: $store (about 4 minutes)"
    skipped=()
    while read -r name reason; do
        printf '    passed over: %s (%s)\n' "$name" "$reason" >&2
        skipped+=(--skip "$name")
    done < <(grep -v '^#' tests/server/sqlite_only.txt)
    ROOMCAST_TEST_STORE=$store cargo test --no-default-features --features ssr --test server -- "${skipped[@]}"
else
    say "SKIPPED: the server's tests on PostgreSQL, which is not installed (\`apt-get install postgresql\`)"
fi

say "end-to-end tests in Chromium, on one node and on two (about 12 minutes)"
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
