#!/usr/bin/env bash
# Fails if a build without a change compiles Roomcast or writes a file of the site again. Run after `make build`.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

touch "$work/before"
started=$SECONDS
tools/build.sh 2>"$work/output" || { cat "$work/output" >&2; exit 1; }
if grep 'Compiling roomcast ' "$work/output" >&2; then
    echo "roomcast: a build without a change compiled the crate again" >&2
    exit 1
fi
written=$(find target/site -newer "$work/before")
if [ -n "$written" ]; then
    printf 'roomcast: a build without a change wrote these again:\n%s\n' "$written" >&2
    exit 1
fi
echo "a build without a change took $((SECONDS - started)) s and built nothing"
