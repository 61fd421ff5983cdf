#!/usr/bin/env bash
# Regenerates .sqlx, the checked form of every query, from the migrations of both stores. Needs no sqlx-cli: the macros write
# the files. The macros check against one database at a time, so there is a pass per store. In a pass the queries of the other
# store do not compile, which is expected; the check at the end is without a database and must succeed.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sqlite3 >/dev/null || { echo "roomcast: sqlite3 is missing. Install it with: apt-get install sqlite3" >&2; exit 1; }
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
export PATH="$PATH${programs:+:$programs}"
command -v initdb >/dev/null || { echo "roomcast: PostgreSQL is missing. Install it with: apt-get install postgresql" >&2; exit 1; }

# PostgreSQL refuses root, so for root its programs run as its own user.
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

work=$(mktemp -d)
cluster=$work/cluster
clean_up() {
    [ ! -f "$cluster/postmaster.pid" ] || as_postgres pg_ctl --pgdata "$cluster" --mode immediate --silent stop || true
    rm -rf "$work"
}
trap clean_up EXIT
chmod 711 "$work"
mkdir "$cluster" "$work/sqlite" "$work/postgres" && chmod 700 "$cluster"
[ "$(id -u)" != 0 ] || chown postgres: "$cluster"

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

cd "$work" # initdb asks for a working folder that its user may enter
as_postgres initdb --pgdata "$cluster" --username roomcast --auth trust --encoding UTF8 --no-locale --no-sync >/dev/null
as_postgres pg_ctl --pgdata "$cluster" --wait --silent --log "$cluster/log" \
    --options "-c listen_addresses='' -c unix_socket_directories='$cluster' -c fsync=off" start
cd "$OLDPWD"
{ echo "CREATE SCHEMA roomcast;"; cat src/server/storage/postgres/migrations/*.sql; } |
    psql --quiet --no-psqlrc --host "$cluster" --username roomcast --dbname postgres --set ON_ERROR_STOP=1
check "postgres:///postgres?host=$cluster&user=roomcast" "$work/postgres"

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
echo "roomcast: .sqlx holds $(ls .sqlx | wc -l) queries"
