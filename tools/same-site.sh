#!/usr/bin/env bash
# tools/site.mjs and cargo-leptos must make the same site from the same settings: same files, same bytes.
# Wants cargo-leptos, wasm-bindgen and wasm-opt on PATH (`make same-site`).
set -euo pipefail
cd "$(dirname "$0")/.."
node tools/site.mjs
ours=target/site
theirs=$(mktemp -d)
trap 'rm -rf "$theirs"' EXIT

LEPTOS_SITE_ROOT=$theirs cargo leptos build --release --frontend-only --js-minify=false
# swc, which cargo-leptos would minify with, is not ours: the same terser for both.
node tools/minify.mjs "$theirs/pkg/roomcast.js"
# Declarations for editors are cargo-leptos' alone, and reach no browser.
list() { (cd "$1" && find . -type f ! -name '*.br' ! -name '*.gz' ! -name '*.d.ts' | sort); }
if ! diff <(list $ours) <(list "$theirs"); then
    echo "roomcast: the two sites hold different files" >&2
    exit 1
fi
list $ours | while read -r file; do
    cmp "$ours/$file" "$theirs/$file" || { echo "roomcast: $file differs between tools/site.mjs and cargo-leptos" >&2; exit 1; }
done
echo "same site: $(list $ours | wc -l) files, byte for byte"
