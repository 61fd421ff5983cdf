#!/usr/bin/env bash
# A private PostgreSQL and a private NATS for the tests on several nodes. PostgreSQL listens on a socket in the folder and on no port, NATS
# on a free port of the loopback address.
#
#   PASSWORD=… end2end/services.sh FOLDER    prints the URLs, a line each
#
# Both run until standard input ends, also by the death of the process that holds its other end. Then the folder is removed.
set -euo pipefail
folder=$1
postgres=$(dirname "$0")/../tools/postgres.sh
export PATH="$PATH:/usr/sbin:/usr/local/bin"

end() {
    # bash reports a killed job at the next wait.
    [ -z "${nats:-}" ] || { kill -KILL "$nats" && wait "$nats"; } 2>/dev/null || true
    "$postgres" stop "$folder/postgres" || true
    rm -rf "$folder"
}
trap end EXIT
trap '' INT TERM HUP

nats-server --addr 127.0.0.1 --port -1 --user roomcast --pass "$PASSWORD" --ports_file_dir "$folder" \
    </dev/null >/dev/null 2>"$folder/nats.log" &
nats=$!
url=$("$postgres" start "$folder/postgres")
for _ in $(seq 200); do
    # The file has a line that ends once it is whole.
    port=$(sed -n 's/.*"nats": *\["nats:\/\/127\.0\.0\.1:\([0-9]*\)"\].*/\1/p' "$folder/nats-server_$nats.ports" 2>/dev/null) || true
    [ -z "$port" ] || break
    sleep 0.05
done
[ -n "$port" ] || { echo "NATS does not start:" >&2 && cat "$folder/nats.log" >&2 && exit 1; }
printf '%s\nnats://roomcast:%s@127.0.0.1:%s\n' "$url" "$PASSWORD" "$port"
cat >/dev/null
