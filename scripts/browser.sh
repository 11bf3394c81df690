#!/usr/bin/env bash
# Print the path of a browser for the browser tests; install one where there is none. All else goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "browser: $*" >&2; }

works() { [ -n "$1" ] && timeout 60 "$1" --version >/dev/null 2>&1; } # Ubuntu's chromium-browser may be an empty shell

installed() {
    for name in google-chrome google-chrome-stable chromium chromium-browser; do
        local path
        path="$(command -v "$name" || true)"
        if works "$path"; then
            echo "$path"
            return
        fi
    done
    return 1
}

playwright_own() {
    local path
    path="$(.venv/bin/python -c 'from playwright.sync_api import sync_playwright as start
with start() as p: print(p.chromium.executable_path)' 2>/dev/null || true)"
    works "$path" && echo "$path"
}

if [ -n "${INTERFERENCE_BROWSER:-}" ]; then
    works "$INTERFERENCE_BROWSER" && echo "$INTERFERENCE_BROWSER" && exit
    say "INTERFERENCE_BROWSER is $INTERFERENCE_BROWSER, which does not start. Set it to the path of a Chrome or Chromium."
    exit 1
fi
installed || playwright_own && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "none found, installing chromium with apt-get"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; } >&2 || say "apt-get failed"
    installed && exit
fi
say "none found, installing Playwright's own"
with_deps=()
if [ "$(id -u)" = 0 ]; then with_deps=(--with-deps); fi
.venv/bin/python -m playwright install "${with_deps[@]}" chromium >&2 || say "playwright install failed"
playwright_own && exit
say "The browser tests need Chrome or Chromium, and none could be installed. Run:"
say "    sudo apt-get update && sudo apt-get install chromium"
say "or, for Playwright's own: sudo .venv/bin/python -m playwright install --with-deps chromium"
say "or set INTERFERENCE_BROWSER to the path of one."
exit 1
