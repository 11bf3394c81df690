#!/usr/bin/env bash
# Set up .venv with the package and the extras named in $1, in the exact versions of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
extras="${1:-}"

say() { echo "setup: $*" >&2; }

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

can_make_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; } # Debian and Ubuntu ship venv without pip

find_python() { # the versions tested here first, and one that needs nothing installed before one that does
    local name candidate=""
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        fits "$name" || continue
        if can_make_venvs "$name"; then
            echo "$name"
            return
        fi
        candidate="${candidate:-$name}"
    done
    if [ -z "$candidate" ]; then
        say "No Python 3.11 or newer found. Install one, for example: sudo apt-get install python3.11 python3.11-venv"
        return 1
    fi
    install_venv_module "$candidate" || return # not -e, which does not hold in $(find_python)
    echo "$candidate"
}

install_venv_module() {
    local package
    package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $package with apt-get"
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "$package"; } >&2 || true
    fi
    can_make_venvs "$1" && return
    say "$1 can't make virtual environments. Run: sudo apt-get update && sudo apt-get install $package"
    return 1
}

if ! fits .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python="$(find_python)"
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet)
say "installing into .venv (some minutes the first time)"
# By itself and first, so that a CPU build that pip knows of is taken: what comes later would ask for the newest.
"${pip[@]}" "$(grep '^torch==' constraints.txt)"
"${pip[@]}" --constraint constraints.txt --editable ".${extras:+[$extras]}"
touch .venv/.app
if [ -n "$extras" ]; then touch .venv/.test; fi
