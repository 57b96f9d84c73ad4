#!/usr/bin/env bash
# Builds llama.cpp from PyPI's source package llama-cpp-python, and compares in it what byteloom exports.
#
#   scripts/llama_cpp.sh [RUN]      # RUN: a trained model to compare as well
#
# It needs a C++ compiler, 1 GB of disk, and on 2 cores about 5 minutes the first time. WORK says where
# it builds, PYTHON which Python has byteloom with its extras train, export and test.
set -euo pipefail
cd "$(dirname "$0")/.."
VERSION=0.3.36
WORK=${WORK:-/tmp/byteloom-llama-cpp}
PYTHON=${PYTHON:-.venv/bin/python}
bindings=$WORK/llama_cpp_python-$VERSION

mkdir -p "$WORK"
if [ ! -e "$WORK/build/bin/libllama.so" ]; then
    python3 -m venv "$WORK/venv"
    "$WORK/venv/bin/pip" install -q cmake ninja scikit-build-core
    "$WORK/venv/bin/pip" install -q --target "$WORK/site" --no-deps diskcache
    # Without isolation: else pip would compile cmake itself.
    (cd "$WORK" && PATH=$WORK/venv/bin:$PATH venv/bin/pip download -q --no-deps \
        --no-build-isolation --no-binary llama-cpp-python "llama-cpp-python==$VERSION")
    tar -xf "$bindings.tar.gz" -C "$WORK"
    # The library alone; no code for this machine only, and little optimisation: models are tiny.
    PATH=$WORK/venv/bin:$PATH cmake -S "$bindings/vendor/llama.cpp" -B "$WORK/build" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG" -DBUILD_SHARED_LIBS=ON \
        -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_CURL=OFF -DLLAMA_BUILD_COMMON=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
        -DLLAMA_BUILD_SERVER=OFF
    PATH=$WORK/venv/bin:$PATH cmake --build "$WORK/build" --target llama
fi

export LLAMA_CPP_LIB_PATH=$WORK/build/bin
export PYTHONPATH=$bindings:$WORK/site${PYTHONPATH:+:$PYTHONPATH}
exec "$PYTHON" scripts/compare_llama_cpp.py "$@"
