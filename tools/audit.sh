#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, bans, duplicates, sources, and advisories if their database is reachable.
#
#   tools/audit.sh            builds cargo-deny if it is missing
#   tools/audit.sh --cached   does nothing if it is missing, for CI
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

if [ "${1:-}" = --cached ] && ! compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/roomcast/tools/cargo-deny-*" >/dev/null; then
    say "SKIPPED: audit of the dependencies. cargo-deny is not in the tools' cache (\`make audit\` builds it, 3 minutes)"
    exit 0
fi
PATH=$(tools/setup.sh audit):$PATH
export PATH
say "dependencies: licences, bans, duplicates, sources"
cargo deny check --hide-inclusion-graph licenses bans sources
if cargo deny fetch db >/dev/null 2>&1; then
    say "dependencies: advisories"
    cargo deny check --disable-fetch advisories
else
    say "SKIPPED: advisories. Their database cannot be reached from here"
fi
