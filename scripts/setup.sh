#!/usr/bin/env bash
# Makes .venv match requirements/dev.lock and installs this folder into it, in place.
# A stamp with the locks' checksum is written last: the second time takes a moment, and a
# run that was interrupted starts again where the package cache left it.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.doggo-stamp
needed_mb=7500
log() { printf '%s\n' "$*" >&2; }
fail() { log "make: $*"; exit 1; }

checksum() { cat requirements/dev.lock requirements/setup.lock pyproject.toml scripts/setup.sh | cksum; }
wanted="$(checksum) $(pwd -P)"
is_ready() { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; }
is_ready && exit 0

mkdir -p "$venv"
if command -v flock >/dev/null; then # two targets at once set up one after the other
    exec 9<scripts/setup.sh
    flock 9
    is_ready && exit 0
fi

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }
if [ ! -f "$stamp" ]; then
    log "Setting up .venv: about 7 GB on disk (torch with its CUDA libraries is most of it), once."
    free=$(free_mb "$venv")
    [ "$free" -ge "$needed_mb" ] || fail "not enough disk: $(pwd) has $free MB free and the set-up needs $needed_mb; free some space and run the same command again"
fi

python=$(scripts/find_python.sh)
if ! "$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    log "Using $python ($("$python" -c 'import platform; print(platform.python_version())'))"
    # Debian splits ensurepip off: without it, a pip outside the environment installs into it.
    "$python" -m venv --clear "$venv" >/dev/null 2>&1 ||
        "$python" -m venv --clear --without-pip "$venv" ||
        fail "$python cannot make a virtual environment; install its venv module (Debian: apt-get install python3-venv)"
fi
rm -f "$stamp"

pip() {
    # `uv pip sync` removed it, since the lock does not name it: bring it back where we can.
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
        "$venv/bin/python" -m ensurepip >/dev/null 2>&1; then
        "$venv/bin/python" -m pip "$@"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip --python "$venv/bin/python" "$@"
    else
        fail "there is no pip for $python; install it (Debian: apt-get install python3-venv python3-pip)"
    fi
}
# uv does not read pip's configuration: hand on the index that this machine's owner chose.
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
fi

# Where a company or a proxy signs for the registry, its certificate is in the system's store.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

uv=$venv/.uv/bin/uv # outside site-packages: `uv pip sync` removes what the lock does not name
if ! cmp -s requirements/setup.lock "$venv/.uv/setup.lock"; then
    rm -rf "$venv/.uv"
    pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        --target "$venv/.uv" -r requirements/setup.lock ||
        fail "the package registry gave no uv; check the network (or pip's index setting) and run the same command again"
    cp requirements/setup.lock "$venv/.uv/setup.lock"
fi

export VIRTUAL_ENV="$PWD/$venv" UV_LINK_MODE=${UV_LINK_MODE:-} UV_PYTHON_DOWNLOADS=never
[ -n "$UV_LINK_MODE" ] || unset UV_LINK_MODE
"$uv" pip sync --require-hashes --compile-bytecode requirements/dev.lock ||
    fail "the packages could not be installed (see above); run the same command again to go on"
"$uv" pip install --quiet --no-deps --no-build-isolation -e . ||
    fail "this folder could not be installed into .venv (see above)"
# A PYTHONDONTWRITEBYTECODE in the environment would make every start compile doggo anew.
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q src
printf '%s' "$wanted" >"$stamp"
log "Ready: .venv ($("$venv/bin/python" -V), $(du -sm "$venv" | cut -f1) MB)"
