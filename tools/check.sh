#!/usr/bin/env bash
# Runs every check that does not run the program: layout, lints, documentation, spelling, types.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
python=$(tools/setup.sh check)
node=end2end/node_modules/.bin

say "scripts: bash and shellcheck"
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
for script in "${scripts[@]}"; do bash -n "$script"; done
# tools/setup.sh has reported it if it is missing.
if command -v shellcheck >/dev/null; then shellcheck "${scripts[@]}"; fi

say "TypeScript and JavaScript: tsc and biome"
(cd end2end && node_modules/.bin/tsc --noEmit)
"$node/biome" lint --error-on-warnings

if [ -n "$python" ]; then
    say "spelling: codespell"
    git ls-files -z -- ':!*package-lock.json' ':!*Cargo.lock' ':!*.svg' ':!*.png' ':!*vectors.json' ':!fuzz/corpus' |
        xargs -0 "$python/codespell"
fi

say "Rust: rustfmt, clippy and rustdoc (first time about 3 minutes)"
cargo fmt --check
for apart in fuzz benches/gateway; do cargo fmt --check --manifest-path "$apart/Cargo.toml"; done
# The `echo` feature enables an example, so that all targets are checked.
cargo clippy --quiet --all-targets --no-default-features --features ssr,echo -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --document-private-items --no-default-features --features ssr
