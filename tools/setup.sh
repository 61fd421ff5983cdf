#!/usr/bin/env bash
# Installs the build's tools into a per-user cache, keyed by version. The user's own tools are left alone, and a second clone uses
# the same cache. Prints the folders for PATH.
#
#   tools/setup.sh build    wasm target, wasm-bindgen, wasm-opt, lightningcss   (first time about 2 minutes on two cores)
#   tools/setup.sh watch    build, and cargo-leptos                             (first time about 8 minutes more)
#   tools/setup.sh test     build, and the npm packages, Chromium, PHP, nginx, PostgreSQL and NATS for the tests
#   tools/setup.sh check    the linters: tsc, biome, shellcheck, codespell
#   tools/setup.sh audit    cargo-deny                                          (first time about 3 minutes)
#   tools/setup.sh python   kosoku and schemathesis; prints nothing if Python or its venv is missing
#
# PHP, nginx, PostgreSQL, NATS, shellcheck and Python are optional. As root on Debian they are installed. Otherwise a line names the
# skipped tests; with CI=true the setup fails instead.
set -euo pipefail
cd "$(dirname "$0")/.."

wasm_bindgen=0.2.126 # must equal the version of the crate in Cargo.toml
cargo_leptos=0.3.10  # the lock file of 0.3.11 needs a newer rustc
cargo_deny=0.20.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/roomcast/tools

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
need() {
    command -v "$1" >/dev/null 2>&1 && return
    printf 'roomcast: %s is missing. Install it with:\n    %s\n' "$1" "$2" >&2
    exit 1
}

prerequisites() {
    need rustup "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    need cc "apt-get install build-essential   (or your system's C compiler)"
    need node "apt-get install nodejs npm   (Node 20 or newer)"
    need npm "apt-get install npm"
    local major
    major=$(node -p 'process.versions.node.split(".")[0]')
    if [ "$major" -lt 20 ]; then
        echo "roomcast: Node $major is too old. Install Node 20 or newer: https://nodejs.org" >&2
        exit 1
    fi
}

toolchain() {
    # The channel is the one of rust-toolchain.toml.
    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    if ! rustup run "$channel" rustc --version >/dev/null 2>&1; then
        say "installing Rust $channel (a minute or two)"
        rustup toolchain install "$channel" --profile minimal --component clippy,rustfmt >&2
    fi
    if ! rustup target list --installed --toolchain "$channel" | grep -qx wasm32-unknown-unknown; then
        say "adding the wasm target (seconds)"
        rustup target add --toolchain "$channel" wasm32-unknown-unknown >&2
    fi
}

# Lightly optimised, a tool builds in half the time; it runs only a few times per build.
cargo_tool() {
    local name=$1 version=$2 minutes=$3 home=$cache/$1-$2
    [ -x "$home/bin/$4" ] && return
    say "building $name $version (about $minutes minutes on two cores, once per user)"
    mkdir -p "$cache"
    local building
    building=$(mktemp -d "$cache/building.XXXXXX")
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_TARGET_DIR=$building/target \
        cargo install "$name@$version" --locked --quiet --root "$building/root" >&2
    rm -rf "$home" && mv "$building/root" "$home"
    rm -rf "$building"
}

node_tools() {
    local key home
    key=$(cat tools/node/package.json tools/node/package-lock.json | cksum | cut -d' ' -f1)
    home=$cache/node-$key
    if [ ! -d "$home/node_modules" ]; then
        say "installing wasm-opt and lightningcss (half a minute, once per user)"
        mkdir -p "$cache"
        local building
        building=$(mktemp -d "$cache/building.XXXXXX")
        cp tools/node/package.json tools/node/package-lock.json "$building"
        npm ci --prefix "$building" --no-audit --no-fund --loglevel=error >&2
        rm -rf "$home" && mv "$building" "$home"
    fi
    echo "$home/node_modules/.bin"
}

end_to_end() {
    local key
    key=end2end/node_modules/.roomcast-$(cksum <end2end/package-lock.json | cut -d' ' -f1)
    [ -e "$key" ] && return
    say "installing the npm packages of the end-to-end tests and of the linters (half a minute)"
    # The browser is found or installed below; Playwright's own is the last choice.
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --prefix end2end --no-audit --no-fund --loglevel=error >&2
    touch "$key"
}

browser() {
    for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        [ -n "$browser" ] && command -v "$browser" >/dev/null 2>&1 && return
    done
    debian chromium fonts-noto-cjk fonts-noto-color-emoji && return
    say "installing Playwright's Chromium (a minute)"
    npx --prefix end2end playwright install chromium >&2
}

# Installs Debian packages. Fails for other users than root and on other systems.
debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return
    say "installing Debian's $* (a minute at most)"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends "$@" >/dev/null
}

# missing COMMAND PACKAGE TESTS: reports the tests that are skipped without an optional program.
missing() {
    if [ "${CI:-}" = true ]; then
        echo "roomcast: $1 is missing, and CI skips no test. Install it with: apt-get install $2" >&2
        exit 1
    fi
    say "SKIPPED: $3. Needs $1: apt-get install $2"
}

# optional COMMAND PACKAGE TESTS: installs an optional program where it can.
optional() {
    command -v "$1" >/dev/null 2>&1 || { debian "$2" && command -v "$1" >/dev/null 2>&1; } || missing "$@"
}

# optional_service COMMAND PACKAGE TESTS: installs a server, and no service of it: the package starts one unless policy-rc.d forbids it,
# and enables it for the next boot.
optional_service() {
    local policy=/usr/sbin/policy-rc.d
    if ! command -v "$1" >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
        if debian "$2"; then systemctl disable "$1" >/dev/null 2>&1 || true; fi
        rm $policy
    fi
    optional "$@"
}

# Installs PostgreSQL, and no cluster of it: tests start private instances. Debian keeps its programs out of PATH.
has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1; }
optional_postgresql() {
    local common=/etc/postgresql-common/createcluster.conf
    # The package of the settings comes first: the server's package makes a cluster and starts it unless they forbid it.
    if ! has_postgresql && debian postgresql-common; then
        sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' $common
        debian postgresql || true
    fi
    has_postgresql || missing PostgreSQL postgresql "the tests on PostgreSQL"
}

# Debian keeps ensurepip in a package of its own, python3-venv.
has_venv() { python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

python_tools() {
    if ! has_venv && ! { debian python3-venv && has_venv; }; then
        missing "Python 3.10 with venv" python3-venv "spelling and conformance"
        return
    fi
    local home
    home=$cache/python-$(cksum <tools/python/requirements.txt | cut -d' ' -f1)
    if [ ! -e "$home/whole" ]; then
        say "installing codespell, kosoku and schemathesis (half a minute, once per user)"
        python3 -m venv --clear "$home" >&2
        "$home/bin/pip" install --quiet --disable-pip-version-check --requirement tools/python/requirements.txt >&2
        touch "$home/whole"
    fi
    echo "$home/bin"
}

prerequisites
toolchain
case "${1:-build}" in
check)
    end_to_end
    optional shellcheck shellcheck "lint of the shell scripts"
    python_tools
    exit
    ;;
python)
    python_tools
    exit
    ;;
audit)
    cargo_tool cargo-deny $cargo_deny 3 cargo-deny
    echo "$cache/cargo-deny-$cargo_deny/bin"
    exit
    ;;
esac
cargo_tool wasm-bindgen-cli $wasm_bindgen 2 wasm-bindgen
path=$(node_tools):$cache/wasm-bindgen-cli-$wasm_bindgen/bin
case "${1:-build}" in
build) ;;
watch)
    cargo_tool cargo-leptos $cargo_leptos 8 cargo-leptos
    path=$path:$cache/cargo-leptos-$cargo_leptos/bin
    ;;
test)
    end_to_end
    browser
    optional php php-cli "the tests that run PHP"
    optional_service nginx nginx-light "the tests of the nginx blocks in docs/"
    optional_service haproxy haproxy "the tests of the HAProxy blocks in docs/"
    python3 -c 'import yaml' 2>/dev/null || debian python3-yaml || missing python3-yaml python3-yaml "the test of the compose files in docs/"
    optional_postgresql
    optional_service nats-server nats-server "the tests of several nodes"
    optional curl curl "the documents' curl blocks"
    optional sqlite3 sqlite3 "the documents' sqlite3 blocks"
    ;;
*)
    echo "usage: tools/setup.sh build|watch|test|check|audit|python" >&2
    exit 2
    ;;
esac
echo "$path"
