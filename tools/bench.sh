#!/usr/bin/env bash
# Prints the measurements that benches/RESULTS.md records. Nothing is asserted, since machines differ. Takes 12 minutes, then 40
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

echo "# sends, three times alone and three times while 600 guests a second arrive"
rustc --edition 2024 -O -o target/bench-send benches/send.rs
for guests in 0 0 0 600 600 600; do
    folder=$(mktemp -d)
    $binary --addr 127.0.0.1:0 --data-dir "$folder" --set chat.cooldown_ms=0 --set limits.per_ip=off >"$folder/stdout" 2>/dev/null &
    server=$!
    until grep -q 'Open it' "$folder/stdout"; do sleep 0.05; done
    target/bench-send "$(sed -n 's/.*listening on \([0-9.:]*\),.*/\1/p' "$folder/stdout")" 10 $guests
    kill "$server"
    wait "$server" || true
    rm -rf "$folder"
done

echo "# loads of a hostile client"
node benches/loads.mjs $binary

echo "# page"
node benches/page.mjs $binary

echo "# gateway"
# shellcheck disable=SC2086 # BENCH is split into words on purpose
node benches/gateway/run.mjs ${BENCH:---rounds 1}
