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
# torch's CPU build, for the tests that train and infer: the index that everybody has holds a CUDA build of several GB, which
# this hash refuses. Where pip finds the CPU build (a folder or an index of yours) is pip's configuration.
{
  printf '%s \\\n    --hash=sha256:%s\n' torch==2.13.0 6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
  printf '%s\n' filelock fsspec jinja2 networkx setuptools sympy typing-extensions |
    compile - --constraint requirements/dev.txt
} >requirements/torch.txt
