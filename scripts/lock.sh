#!/usr/bin/env bash
# Resolve requirements/*.in again into hash-pinned files for Python 3.11 to 3.13, without any registry address.
# Existing pins are kept where they still fit; delete a .txt first to take everything new.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
command -v uv >/dev/null || { echo "lock: uv is missing: pip install uv" >&2; exit 2; }
compile() {
  uv pip compile --quiet --no-config --python-version 3.11 --universal --fork-strategy fewest --generate-hashes \
    --no-emit-index-url --no-annotate --no-header "$@"
}
compile serving.in --output-file serving.txt
# The others take serving's versions, so that training prepares audio exactly as serving does.
sed -nE 's/^([a-z].*==[^ ]+).*/\1/p' serving.txt | grep -v '^onnxruntime==' > .constraints.txt
trap 'rm -f .constraints.txt' EXIT
compile dev.in --constraint serving.txt --output-file dev.txt
compile training.in --constraint .constraints.txt --output-file training.txt
compile triton.in --no-deps --output-file triton.txt
compile perf.in --no-deps --output-file perf.txt
compile kubectl.in --no-deps --output-file kubectl.txt
# BentoML's instrumentation of aiohttp stops at OpenTelemetry 1.45.1; serving has 1.45.2.
sed -nE 's/^([a-z].*==[^ ]+).*/\1/p' serving.txt | grep -v '^opentelemetry-' > .constraints.txt
compile bench.in --constraint .constraints.txt --output-file bench.txt
