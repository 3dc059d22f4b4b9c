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
    want_program strace
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

# What npm and a Python of its own bring, from locks; again only when a lock changes.
hash_of() { sha256sum "$1" | cut -d' ' -f1; }
is_here() { [ "$(cat ".tools/$1/.stamp" 2>/dev/null || true)" = "$2" ]; }
npm_tool() { # NAME FOLDER: a package.json with its lock
    local hash
    hash=$(hash_of "$2/package-lock.json")
    is_here "$1" "$hash" && return
    rm -rf ".tools/$1"
    mkdir -p ".tools/$1"
    cp "$2/package.json" "$2/package-lock.json" ".tools/$1/"
    echo "installing for the tests: $1 (npm)"
    (cd ".tools/$1" && npm ci --omit=optional --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null)
    echo "$hash" >".tools/$1/.stamp"
}
npm_tool prism tests/servers/prism_tool
npm_tool modbus-serial tests/servers/modbus_serial_tool

# esphome judges firmware_configs/esphome; it pins an older paho than we use, hence an environment of its own.
lock_hash=$(hash_of requirements/esphome.txt)
if ! is_here esphome "$lock_hash"; then
    rm -rf .tools/esphome
    echo "installing for the tests: esphome (an environment of its own)"
    "${PYTHON:-python3}" -m venv .tools/esphome
    .tools/esphome/bin/python -m pip --disable-pip-version-check install --quiet --no-input --require-hashes -r requirements/esphome.txt
    echo "$lock_hash" >.tools/esphome/.stamp
fi
echo "the servers for the tests are here"
