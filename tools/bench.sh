#!/usr/bin/env bash
# Prints the figures that benches/RESULTS.md keeps. Nothing here is asserted: machines differ. Three minutes, and then the
# gateway beside its peers, 40 minutes a round: BENCH="--quick" takes five, BENCH="--rounds 3 --only idle,room" what it names.
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

echo "# sends"
rustc --edition 2024 -O -o target/bench-send benches/send.rs
for _ in 1 2 3; do
    folder=$(mktemp -d)
    $binary --addr 127.0.0.1:0 --data-dir "$folder" --set chat.cooldown_ms=0 --set limits.per_ip=off >"$folder/said" 2>/dev/null &
    server=$!
    until grep -q 'Open it' "$folder/said"; do sleep 0.05; done
    target/bench-send "$(sed -n 's/.*listening on \([0-9.:]*\),.*/\1/p' "$folder/said")" 10
    kill "$server" && wait "$server" || true
    rm -rf "$folder"
done

echo "# page"
node benches/page.mjs $binary

echo "# gateway"
# shellcheck disable=SC2086 # words
node benches/gateway/run.mjs ${BENCH:---rounds 1}
