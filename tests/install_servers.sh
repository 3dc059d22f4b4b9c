#!/usr/bin/env bash
# Installs the real servers and tools that the tests start, where they are missing; `make test` runs it first.
#
# As root: through apt, with service starts refused meanwhile by a policy-rc.d (one that exists is left alone, ours is removed).
# Otherwise: prints the one line to run and exits 2. Nothing that is missing is ever passed over in silence.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
POLICY=${POLICY_RC_D:-/usr/sbin/policy-rc.d} # elsewhere only in the test of this script
EXAMPLES=/usr/share/doc/libmodbus-dev/examples

missing=()
want_program() { command -v "$1" >/dev/null 2>&1 || missing+=("${2:-$1}"); }
want_file() { [ -e "$1" ] || missing+=("$2"); }

look() {
    missing=()
    want_program mosquitto
    want_program mosquitto_pub mosquitto-clients
    want_program influxd influxdb
    want_program victoria-metrics
    want_program node nodejs
    want_program npm
    want_program gcc
    want_file /usr/include/stdio.h libc6-dev
    want_program pkg-config
    pkg-config --exists libmodbus 2>/dev/null || missing+=(libmodbus-dev)
    want_program socat
    want_program mbpoll
    want_program chromium
    ldconfig -p 2>/dev/null | grep 'libatomic\.so\.1' >/dev/null || missing+=(libatomic1) # playwright's driver wants it
    want_program systemd-analyze systemd
    want_program udevadm udev
    want_program setpriv util-linux
    want_file /usr/share/fonts/truetype/wqy/wqy-zenhei.ttc fonts-wqy-zenhei
}

apt_install() {
    local remove_policy=no
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod 755 "$POLICY"
        remove_policy=yes
    fi
    # shellcheck disable=SC2064
    trap "[ $remove_policy = no ] || rm -f $POLICY" EXIT
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" </dev/null
    [ $remove_policy = no ] || rm -f "$POLICY"
    trap - EXIT
}

look
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "The tests want real servers that are not here. Run this line, then again what you ran:" >&2
        echo "    sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 2
    fi
    echo "installing for the tests: ${missing[*]}"
    apt_install "${missing[@]}"
    look
    if [ ${#missing[@]} -gt 0 ]; then
        echo "apt reported success, but these are still missing: ${missing[*]}" >&2
        exit 1
    fi
fi

mkdir -p .tools
# Slim images drop /usr/share/doc: then the examples come out of the package itself.
if [ ! -e "$EXAMPLES/unit-test-server.c" ] && [ ! -e ".tools/libmodbus-dev$EXAMPLES/unit-test-server.c" ]; then
    (cd .tools && apt-get download -qq libmodbus-dev && dpkg-deb -x libmodbus-dev_*.deb libmodbus-dev && rm -f libmodbus-dev_*.deb)
fi

# prism, from the lock; again only when the lock changes.
lock_hash=$(sha256sum tests/servers/prism_tool/package-lock.json | cut -d' ' -f1)
if [ "$(cat .tools/prism/.stamp 2>/dev/null || true)" != "$lock_hash" ]; then
    rm -rf .tools/prism
    mkdir -p .tools/prism
    cp tests/servers/prism_tool/package.json tests/servers/prism_tool/package-lock.json .tools/prism/
    echo "installing for the tests: prism (npm)"
    (cd .tools/prism && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null)
    echo "$lock_hash" >.tools/prism/.stamp
fi
echo "the servers for the tests are here"
