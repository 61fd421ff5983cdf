#!/usr/bin/env bash
# Runs third-party conformance tests: Autobahn's WebSocket cases (with kosoku) against an echo server on the gateway's decoder and
# encoder, and schemathesis, which generates requests from the OpenAPI description, against the API. Takes about two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

python=$(tools/setup.sh python)
[ -n "$python" ] || exit 0
cargo build --no-default-features --features ssr,echo --bin roomcast --example echo

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
# Prints the listen address that the server wrote to its output.
address() {
    for _ in {1..200}; do
        sed -n 's/.*listening on \([0-9.:]*\).*/\1/p' "$1" | grep . && return
        sleep 0.05
    done
    echo "roomcast: no listen address after 10 s:" >&2
    cat "$1" >&2
    return 1
}

say "WebSocket: Autobahn's cases except compression, which Roomcast does not negotiate (10 seconds)"
target/debug/examples/echo >"$work/echo" 2>&1 &
at=$(address "$work/echo")
"$python/python" -B tools/python/autobahn.py "$at"

say "API: schemathesis with all checks (a minute)"
ROOMCAST_API_KEY=conformance target/debug/roomcast --addr 127.0.0.1:0 --data-dir "$work/data" --set limits.per_ip=off \
    >"$work/server" 2>&1 &
at=$(address "$work/server")
export SCHEMATHESIS_HOOKS=$PWD/tools/python/hooks.py
settings=$PWD/tools/python/schemathesis.toml
# schemathesis writes its findings to the working directory.
cd "$work"
if ! "$python/schemathesis" --config-file "$settings" --no-color run --header "Authorization: Bearer conformance" --max-examples 200 --seed 1 \
    --generation-database none "http://$at/gateway/api/openapi.json"; then
    tail -n 20 "$work/server" >&2
    exit 1
fi
