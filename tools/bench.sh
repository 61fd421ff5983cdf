#!/usr/bin/env bash
# Prints the measurements that benches/RESULTS.md records. Nothing is asserted, since machines differ. Takes 17 minutes, then 40
# minutes per round of the gateway benchmark. BENCH holds its options: BENCH="--quick" (five minutes),
# BENCH="--rounds 3 --only idle,room" (the named scenarios).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test >/dev/null
binary=target/release/roomcast

echo "# size of the site as brotli"
total=0
for file in target/site/pkg/roomcast.{wasm,js,css}.br; do
    size=$(stat -c %s "$file")
    total=$((total + size))
    printf '%-32s %8d bytes\n' "${file##*/}" "$size"
done
printf '%-32s %8d bytes\n' sum $total

# on STORE COMMAND: a server on an empty store, and the command beside it. `address`, `owner` and `folder` are set for it.
on() {
    local server url='' store=$1
    shift
    folder=$(mktemp -d)
    if [ "$store" = postgres ]; then
        url=$(tools/postgres.sh start "$folder/postgres")
    fi
    export ROOMCAST_STORAGE_URL=$url
    $binary --addr 127.0.0.1:0 --data-dir "$folder/data" --set chat.cooldown_ms=0 --set limits.per_ip=off >"$folder/stdout" 2>/dev/null &
    server=$!
    until grep -q 'Open it' "$folder/stdout"; do sleep 0.05; done
    address=$(sed -n 's/.*listening on \([0-9.:]*\),.*/\1/p' "$folder/stdout")
    owner=$(sed -n 's/.*owner=\([^ ]*\).*/\1/p' "$folder/stdout" | head -1)
    echo -n "$store: "
    "$@"
    kill "$server"
    wait "$server" || true
    if [ "$store" = postgres ]; then
        tools/postgres.sh stop "$folder/postgres"
    fi
    unset ROOMCAST_STORAGE_URL
    rm -rf "$folder"
}

# sends GUESTS ROOMS: ten seconds of sends.
sends() {
    for _ in $(seq 2 "$2"); do $binary room add Room --data-dir "$folder/data" >/dev/null; done
    target/bench-send "$address" 10 "$1" "$2"
}

# moderation WHAT SECONDS COUNT: see benches/moderation.rs.
moderation() {
    target/bench-moderation "$1" "$address" "$owner" "$2" "$3"
}

echo "# sends on both stores in turns: one room, 200 rooms, and one room while 600 guests a second arrive; and the disk"
rustc --edition 2024 -O -o target/bench-send benches/send.rs
for _ in 1 2 3; do
    target/bench-send disk "${TMPDIR:-/tmp}"
    for load in "0 1" "0 200" "600 1"; do
        # shellcheck disable=SC2086 # two arguments
        for store in sqlite postgres; do on $store sends $load; done
    done
done

echo "# sends with 1,000 restraints and two modes in force, and without, in turns; sends while 100,000 messages are purged"
rustc --edition 2024 -O -o target/bench-moderation benches/moderation.rs
for _ in 1 2 3; do
    for store in sqlite postgres; do
        for restraints in 0 1000; do on $store moderation sends 10 $restraints; done
    done
done
for store in sqlite postgres; do on $store moderation purge 20 100000; done

echo "# loads of a hostile client"
node benches/loads.mjs $binary

echo "# page"
node benches/page.mjs $binary

echo "# gateway"
# shellcheck disable=SC2086 # BENCH is split into words on purpose
node benches/gateway/run.mjs ${BENCH:---rounds 1}
