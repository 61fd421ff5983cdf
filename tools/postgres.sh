#!/usr/bin/env bash
# A throw-away PostgreSQL server for `make queries` and `make bench`. It listens on a socket in its folder and on no port.
#
#   tools/postgres.sh start FOLDER    makes the folder and the server; prints the database's URL
#   tools/postgres.sh stop FOLDER     stops the server and removes the folder
set -euo pipefail
programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
export PATH="$PATH:$programs"
command -v initdb >/dev/null || { echo "roomcast: PostgreSQL is missing. Install it with: apt-get install postgresql" >&2; exit 1; }

# PostgreSQL refuses root, so for root its programs run as its own user.
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start() {
    local folder=$1
    mkdir -p "$folder" && chmod 700 "$folder"
    folder=$(cd "$folder" && pwd)
    # Its user enters the folders above.
    chmod 711 "$(dirname "$folder")"
    [ "$(id -u)" != 0 ] || chown postgres: "$folder"
    cd "$(dirname "$folder")" # initdb asks for a working folder that its user may enter
    as_postgres initdb --pgdata "$folder" --username roomcast --auth trust --encoding UTF8 --no-locale --no-sync >/dev/null
    as_postgres pg_ctl --pgdata "$folder" --wait --silent --log "$folder/log" \
        --options "-c listen_addresses='' -c unix_socket_directories='$folder'" start >/dev/null
    echo "postgres:///postgres?host=$folder&user=roomcast"
}

stop() {
    [ ! -f "$1/postmaster.pid" ] || (cd "$1/.." && as_postgres pg_ctl --pgdata "$1" --mode immediate --silent stop)
    rm -rf "$1"
}

"$1" "$2"
