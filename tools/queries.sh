#!/usr/bin/env bash
# Regenerates .sqlx, the checked form of every query, from the migrations of both stores. Needs no sqlx-cli: the macros write
# the files. The macros check against one database at a time, so there is a pass per store. In a pass the queries of the other
# store do not compile, which is expected; the check at the end is without a database and must succeed.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sqlite3 >/dev/null || { echo "roomcast: sqlite3 is missing. Install it with: apt-get install sqlite3" >&2; exit 1; }
command -v psql >/dev/null || { echo "roomcast: psql is missing. Install it with: apt-get install postgresql" >&2; exit 1; }

work=$(mktemp -d)
trap 'tools/postgres.sh stop "$work/cluster"; rm -rf "$work"' EXIT
mkdir "$work/sqlite" "$work/postgres"

# check DATABASE_URL FOLDER: lets the macros check against the database and write their files into the folder.
check() {
    touch src/lib.rs
    DATABASE_URL=$1 SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$2 cargo check --lib --no-default-features --features ssr 2>"$2.log" || true
    if ! compgen -G "$2/query-*.json" >/dev/null; then
        echo "roomcast: no query could be checked:" >&2
        tail -n 20 "$2.log" >&2
        exit 1
    fi
}

cat src/server/storage/sqlite/migrations/*.sql | sqlite3 "$work/schema.db"
check "sqlite://$work/schema.db" "$work/sqlite"

url=$(tools/postgres.sh start "$work/cluster")
{ echo "CREATE SCHEMA roomcast;"; cat src/server/storage/postgres/migrations/*.sql; } |
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 "$url"
check "$url" "$work/postgres"

# Of a pass only the files of its own store count: another text may be valid in its database by chance.
rm -rf .sqlx && mkdir .sqlx
grep -lF '"db_name": "SQLite"' "$work"/sqlite/query-*.json | xargs -r -I{} cp {} .sqlx/
grep -lE '^  "query": .*roomcast\.' "$work"/postgres/query-*.json | xargs -r -I{} cp {} .sqlx/
touch src/lib.rs
if ! SQLX_OFFLINE=true cargo check --lib --no-default-features --features ssr; then
    echo "roomcast: a query is wrong. PostgreSQL's and SQLite's answers:" >&2
    grep -h -A1 "error returned from database" "$work/sqlite.log" "$work/postgres.log" | sort | uniq -c >&2 || true
    exit 1
fi
files=(.sqlx/*)
echo "roomcast: .sqlx holds ${#files[@]} queries"
