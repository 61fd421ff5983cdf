#!/usr/bin/env bash
# Regenerates .sqlx, the checked form of every query, from the migrations. Needs no sqlx-cli: the macros write the files.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sqlite3 >/dev/null || { echo "roomcast: sqlite3 is missing. Install it with: apt-get install sqlite3" >&2; exit 1; }
database=$(mktemp -d)/schema.db
trap 'rm -rf "$(dirname "$database")"' EXIT
cat src/server/storage/sqlite/migrations/*.sql | sqlite3 "$database"
rm -rf .sqlx && mkdir .sqlx
touch src/lib.rs
DATABASE_URL="sqlite://$database" SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" cargo check --lib --features ssr
