#!/usr/bin/env bash
# Guess: Triton says that a model is not ready when it can't answer for it any more.
# What happens: the Python backend runs a model in a process of its own. When that process dies (memory, a crash),
# Triton starts no other one, each inference fails, and /v2/models/NAME/ready and /v2/health/ready stay 200. A probe by
# these addresses keeps traffic on the server; only an inference, or the failures in its metrics, tell.
# Seen with nvidia-pytriton 0.7.0 (Triton 2.51.0, release 24.10):
#   before: ready 200, inference 200; after: model ready 200, server ready 200, inference 500
# Needs Python 3.11 or 3.12 as python3, with its libpython (Debian: libpython3.11).
set -euo pipefail
folder=$(mktemp -d); server=""
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps nvidia-pytriton==0.7.0 numpy==1.26.4
site=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
version=$("$folder/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
read -r http grpc metrics < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
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
  --http-port="$http" --grpc-port="$grpc" --metrics-port="$metrics" > "$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - "$server" "$http" <<'PY' || { tail -5 "$folder/log"; exit 1; }
import json, os, signal, sys, time, urllib.error, urllib.request
from pathlib import Path
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
server = "http://127.0.0.1:" + sys.argv[2] + "/v2/"
def status(path, body=None):
    try:
        return open_url(server + path, body and json.dumps(body).encode(), timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
def stubs():
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == int(sys.argv[1]) and b"backend_stub\0" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            pass
    return found
patience = time.monotonic() + 60
while status("models/twice/ready") != 200:
    assert time.monotonic() < patience, "Triton did not start"
    time.sleep(0.2)
before = status("models/twice/ready"), status("models/twice/infer", asked)
for pid in stubs():
    os.kill(pid, signal.SIGKILL)
while stubs():
    time.sleep(0.1)
status("models/twice/infer", asked)  # the first one finds out
after = status("models/twice/ready"), status("health/ready"), status("models/twice/infer", asked)
print("before: ready %d, inference %d; after: model ready %d, server ready %d, inference %d" % (*before, *after))
assert (before, after[:2]) == ((200, 200), (200, 200)) and after[2] >= 400
PY
