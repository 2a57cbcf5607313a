#!/usr/bin/env bash
# Guess: Triton in its mode `opentelemetry` takes over the trace context (W3C `traceparent`) of each request alike,
# whether it comes by HTTP or by gRPC, and keeps to its sampled flag.
# What happens: by HTTP each context is taken over, by gRPC some are lost, in no order, and those requests have no spans
# (with `rate` at its greatest; with rate=1 they get a trace of their own). It looks as if the value were read beyond
# its 55 characters: what gRPC gives is not terminated by a zero. And a context whose flag says "not sampled" makes
# spans like any other.
# Seen with nvidia-pytriton 0.7.0 (Triton 2.51.0, release 24.10) and tritonclient 2.51.0, 300 requests of each kind:
#   with spans: by gRPC 279, by HTTP 300, by HTTP and not sampled 300, of 300 each
# Needs Python 3.11 or 3.12 as python3, with its libpython (Debian: libpython3.11). Losses hang on what lies in memory:
# a run without any is possible, and fails.
set -euo pipefail
folder=$(mktemp -d); server=""
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps nvidia-pytriton==0.7.0 numpy==1.26.4 \
  tritonclient==2.51.0 grpcio==1.68.1 protobuf==5.29.5 python-rapidjson==1.20 packaging==24.2
site=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
version=$("$folder/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
read -r http grpc metrics collector < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(one.getsockname()[1] for one in held))')
mkdir -p "$folder/backends" "$folder/models/twice/1"
cp -r "$site/pytriton/tritonserver/backends/python" "$folder/backends/python"
cp "$site/pytriton/tritonserver/python_backend_stubs/$version/triton_python_backend_stub" "$folder/backends/python/"
cat > "$folder/models/twice/config.pbtxt" <<'PB'
backend: "python"
max_batch_size: 0
input { name: "x" data_type: TYPE_FP32 dims: [1] }
output { name: "y" data_type: TYPE_FP32 dims: [1] }
PB
cat > "$folder/models/twice/1/model.py" <<'PY'
import triton_python_backend_utils as utils
class TritonPythonModel:
    def execute(self, requests):
        return [utils.InferenceResponse([utils.Tensor("y", utils.get_input_tensor_by_name(one, "x").as_numpy() * 2)])
                for one in requests]
PY
env -i PATH="$folder/venv/bin:/usr/bin:/bin" LD_LIBRARY_PATH="$site/nvidia_pytriton.libs" \
  "$site/pytriton/tritonserver/bin/tritonserver" --model-repository="$folder/models" \
  --backend-directory="$folder/backends" --backend-config=python,shm-region-prefix-name="finding$$" \
  --disable-auto-complete-config --http-address=127.0.0.1 --grpc-address=127.0.0.1 --metrics-address=127.0.0.1 \
  --http-port="$http" --grpc-port="$grpc" --metrics-port="$metrics" \
  --trace-config=mode=opentelemetry --trace-config=level=TIMESTAMPS --trace-config=rate=1000000000 \
  --trace-config=count=-1 --trace-config=opentelemetry,url="http://127.0.0.1:$collector/v1/traces" \
  --trace-config=opentelemetry,bsp_schedule_delay=100 > "$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - "$http" "$grpc" "$collector" <<'PY' || { tail -5 "$folder/log"; exit 1; }
import http.client, json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import numpy as np
import tritonclient.grpc as triton
N, seen = 300, set()
class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        found = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seen.update(span["traceId"] for resource in found["resourceSpans"] for scope in resource["scopeSpans"]
                    for span in scope["spans"] if span["name"] == "InferRequest")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
receiving = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Collector)
threading.Thread(target=receiving.serve_forever, daemon=True).start()
patience = time.monotonic() + 60
while True:
    by_http = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    try:
        by_http.request("GET", "/v2/models/twice/ready")
        if by_http.getresponse().status == 200:
            break
    except OSError:
        pass
    assert time.monotonic() < patience, "Triton did not start"
    time.sleep(0.2)
client = triton.InferenceServerClient("127.0.0.1:" + sys.argv[2])
x = triton.InferInput("x", [1], "FP32")
x.set_data_from_numpy(np.ones(1, np.float32))
body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]})
by_http = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
def trace_id(kind, n):
    return "%s%031x" % (kind, n + 1)
def parent(kind, n, flags):
    return {"traceparent": "00-%s-00f067aa0ba902b7-%s" % (trace_id(kind, n), flags)}
for n in range(N):
    client.infer("twice", [x], headers=parent("a", n, "01"))
    for kind, flags in (("b", "01"), ("c", "00")):
        by_http.request("POST", "/v2/models/twice/infer", body, parent(kind, n, flags))
        by_http.getresponse().read()
patience = time.monotonic() + 10
while time.monotonic() < patience and sum(trace_id("c", n) in seen for n in range(N)) < N:
    time.sleep(0.1)
time.sleep(1)
counts = [sum(trace_id(kind, n) in seen for n in range(N)) for kind in "abc"]
print("with spans: by gRPC %d, by HTTP %d, by HTTP and not sampled %d, of %d each" % (*counts, N))
assert counts[0] < N and counts[1] == N and counts[2] == N
PY
