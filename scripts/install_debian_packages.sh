#!/usr/bin/env bash
# Installs what the browser test needs and no Python package carries: Chromium.
# Only on Debian-like systems, only when it is missing, only where we may. Never fails: the
# browser test is skipped, saying so, where there is no Chromium.
set -uo pipefail

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
skip() { echo "chromium is not here: $*; the browser test will be skipped" >&2; exit 0; }

command -v apt-get >/dev/null 2>&1 || skip "install it with this system's package manager"
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    skip "as root, run: apt-get install chromium"
fi
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
}
echo "Installing chromium for the browser test" >&2
install 2>/dev/null || {
    "${as_root[@]}" apt-get update -qq >/dev/null 2>&1
    install || skip "apt-get could not install it"
}
