#!/usr/bin/env bash
# install.sh STEP PREFIX: one step of the image's recipe, into PREFIX. The Containerfile runs these, and so does a test
# without any container. PYTHON is the interpreter (python3), SOURCE the checkout (two folders above this file).
set -euo pipefail
step=${1:?a step: python, probe, perftest or nccl-tests} prefix=${2:?where to}
here=$(cd "$(dirname "$0")" && pwd)
source=${SOURCE:-$(cd "$here/../.." && pwd)}
python=${PYTHON:-python3}
# shellcheck source=versions.env
. "$here/versions.env"

# A commit of a repository into a folder; where the sources lie below $SOURCES, from there: an air gap has no other.
checkout() {
  git init -q "$3" && cd "$3"
  if [ -n "${SOURCES:-}" ]; then from=$SOURCES/$(basename "$1").git; else from=$1; fi
  git fetch -q --depth 1 "$from" "$2"
  git checkout -q FETCH_HEAD
  test "$(git rev-parse HEAD)" = "$2"
}

case $step in
python) # an environment of its own, with torch by hash
  "$python" -m venv "$prefix"
  "$prefix/bin/python" -m pip --quiet --disable-pip-version-check install --no-cache-dir --only-binary :all: \
    --require-hashes --requirement "$here/requirements.txt"
  ;;
probe) # the probe: its own folder and the empty package above it; it needs nothing but Python
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'
  site=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mkdir -p "$site/knowngood"
  cp "$source/runner/knowngood/__init__.py" "$site/knowngood/"
  cp -R "$source/runner/knowngood/probe" "$site/knowngood/"
  find "$site/knowngood" -name __pycache__ -prune -exec rm -rf {} +
  "$prefix/bin/python" -m compileall -q "$site/knowngood" # its root is read-only later
  ;;
perftest) # with CUDA and its DMA-BUF: distributions build it without
  checkout "$PERFTEST_REPO" "$PERFTEST_COMMIT" "$prefix/src/perftest"
  ./autogen.sh && ./configure --quiet --prefix "$prefix" CUDA_H_PATH=/usr/local/cuda/include/cuda.h \
    LDFLAGS=-L/usr/local/cuda/lib64/stubs
  grep -q 'HAVE_CUDA_DMABUF 1' config.h || { echo "perftest would be built without DMA-BUF" >&2; exit 1; }
  make -s -j "$(nproc)" && make -s install
  mkdir -p "$prefix/share/knowngood" && echo "$PERFTEST_VERSION" >"$prefix/share/knowngood/perftest"
  ;;
nccl-tests) # against the very NCCL that torch uses
  nccl=$("$prefix/bin/python" -c 'import nvidia.nccl; print(list(nvidia.nccl.__path__)[0])')
  ln -sf libnccl.so.2 "$nccl/lib/libnccl.so"
  checkout "$NCCL_TESTS_REPO" "$NCCL_TESTS_COMMIT" "$prefix/src/nccl-tests"
  # With MPI, or no test spans two nodes. Their makefile sets no run path: where the libraries are, LD_RUN_PATH says.
  LD_RUN_PATH="$nccl/lib:$prefix/lib" make -s -j "$(nproc)" CUDA_HOME=/usr/local/cuda NCCL_HOME="$nccl" MPI=1 MPI_HOME="$prefix"
  mkdir -p "$prefix/share/knowngood" && cp build/*_perf "$prefix/bin/"
  echo "$NCCL_TESTS_VERSION" >"$prefix/share/knowngood/nccl-tests"
  ;;
*)
  echo "no step '$step': python, probe, perftest or nccl-tests" >&2
  exit 2
  ;;
esac
