#!/usr/bin/env bash
# Writes the locked requirements anew from pyproject.toml: hashes of every wheel (x86_64 and aarch64, Python 3.11 to 3.13), no index address.
# Wants `uv` on PATH. Usage: requirements/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --only-binary :all: \
        --no-header --no-annotate "$@"
}
compile "$@" requirements/build.in -o requirements/build.txt
compile "$@" pyproject.toml -o requirements/runtime.txt
compile "$@" pyproject.toml -c requirements/runtime.txt --extra demo -o requirements/demo.txt
compile "$@" pyproject.toml -c requirements/demo.txt -c requirements/build.txt --extra demo --group dev -o requirements/dev.txt
# Tools that do not live in the project's environment. esphome wants a paho that comes without a wheel.
compile "$@" requirements/fuzz.in -o requirements/fuzz.txt
uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate "$@" \
    requirements/esphome.in -o requirements/esphome.txt
if grep -nE '://|^-' requirements/*.txt; then
    echo "an address or an option stands in the lock" >&2
    exit 1
fi
