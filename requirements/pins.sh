#!/usr/bin/env bash
# Resolves the pins anew: `make pins`. The files name no index and no download address, so they work with any mirror.
# The lowest supported Python is resolved for, with markers for newer ones; every wheel's hash is kept.
set -euo pipefail
uv=$1
cd "$(dirname "$0")/.."
compile() {
  "$uv" --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
    --no-header --no-emit-index-url --no-emit-find-links "$@"
}
compile pyproject.toml --extra twin --group build --output-file requirements/run.txt
compile pyproject.toml --extra twin --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
echo "uv" | compile - --output-file requirements/pins.txt
