#!/usr/bin/env bash
# Checks that tools/site.mjs and cargo-leptos build the same site from the same settings, byte for byte.
# Needs cargo-leptos, wasm-bindgen and wasm-opt on PATH (`make same-site`).
set -euo pipefail
cd "$(dirname "$0")/.."
node tools/site.mjs
ours=target/site
theirs=$(mktemp -d)
trap 'rm -rf "$theirs"' EXIT

LEPTOS_SITE_ROOT=$theirs cargo leptos build --release --frontend-only --js-minify=false
node tools/lean.mjs "$theirs/pkg/roomcast.js" "$theirs/pkg/roomcast.wasm"
# cargo-leptos would minify with swc; use the same terser for both.
for script in "$theirs/pkg/roomcast.js" "$theirs"/*.js; do node tools/minify.mjs "$script"; done
# Only cargo-leptos writes declarations for editors; browsers never load them.
list() { (cd "$1" && find . -type f ! -name '*.br' ! -name '*.gz' ! -name '*.d.ts' | sort); }
if ! diff <(list $ours) <(list "$theirs"); then
    echo "roomcast: the two sites have different files" >&2
    exit 1
fi
list $ours | while read -r file; do
    cmp "$ours/$file" "$theirs/$file" || { echo "roomcast: $file differs between tools/site.mjs and cargo-leptos" >&2; exit 1; }
done
echo "same site: $(list $ours | wc -l) files, byte for byte"
