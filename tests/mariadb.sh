#!/bin/sh
# Runs a private MariaDB in a folder of its own, for as long as standard input stays open.
#
#   tests/mariadb.sh run [PORT]   prints `ready mysql://root@localhost/?socket=…` (or `…@127.0.0.1:PORT/`) when it answers;
#                                 stops the server and removes its folder when standard input is closed
#   tests/mariadb.sh find         exit status 0 if a server program is installed (Debian: apt-get install mariadb-server)
#
# A test starts it with a pipe: however the test ends, the pipe closes and nothing is left behind.
set -eu

# Debian keeps the server in a folder that is on root's PATH only
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec"

find_server() {
    command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null
}

run() {
    port="${1:-}"
    # a socket's path must be short, so not under a long TMPDIR
    dir="$(mktemp -d /tmp/countersign-mariadb.XXXXXX)"
    server=""
    finish() {
        if [ -n "$server" ]; then
            kill "$server" 2>/dev/null || true
            wait "$server" 2>/dev/null || true
        fi
        rm -rf "$dir"
    }
    trap finish EXIT
    trap 'exit 1' INT TERM HUP

    user=""
    [ "$(id -u)" != 0 ] || user="--user=root"
    # shellcheck disable=SC2086 # one optional word
    mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db \
        $user >"$dir/install.log" 2>&1 || { cat "$dir/install.log" >&2; exit 1; }

    if [ -n "$port" ]; then
        net="--bind-address=127.0.0.1 --port=$port"
        url="mysql://root@127.0.0.1:$port/"
    else
        net="--skip-networking"
        url="mysql://root@localhost/?socket=$dir/s"
    fi
    # shellcheck disable=SC2086
    mariadbd --no-defaults $user --datadir="$dir/data" --socket="$dir/s" --pid-file="$dir/pid" $net \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=32M >"$dir/server.log" 2>&1 </dev/null &
    server=$!

    tries=0
    until mariadb-admin --no-defaults --user=root --socket="$dir/s" ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
            cat "$dir/server.log" >&2
            exit 1
        fi
        sleep 0.1
    done
    echo "ready $url"
    cat >/dev/null
}

case "${1:-}" in
    run) shift; run "$@" ;;
    find) find_server ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
