#!/usr/bin/env bash
# Guess: with a retryPolicy in its service config a gRPC channel sends a unary request again when the server answers
# UNAVAILABLE, whatever the size of the request.
# What happens: a request is kept for a second attempt only up to 256 KiB for each call
# (grpc.per_rpc_retry_buffer_size). A larger one is "committed" as it is sent: it gets no second attempt, and nothing
# says so. Small tests pass, and a batch of inputs for inference fails while its server drains.
# With a larger buffer the same request is sent again.
# Seen with grpcio 1.85.1: 100 KB: OK, 2 attempts; 1 MB: UNAVAILABLE, 1 attempt; 1 MB, larger buffer: OK, 2 attempts
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
"$folder/venv/bin/python" - <<'PY'
import json
from concurrent import futures
import grpc
POLICY = {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
          "retryableStatusCodes": ["UNAVAILABLE"]}
CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": POLICY}]})
attempts = 0
def answer(request, context):
    global attempts
    attempts += 1
    if attempts == 1:
        context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
    return b"done"
server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
handler = grpc.unary_unary_rpc_method_handler(answer)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("any", {"thing": handler}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
def ask(size, *options):
    global attempts
    attempts = 0
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", CONFIG), *options]) as channel:
        try:
            channel.unary_unary("/any/thing")(bytes(size), timeout=30)
            said = "OK"
        except grpc.RpcError as error:
            said = error.code().name
    return f"{said}, {attempts} attempt{'s' * (attempts > 1)}"
small, large = ask(100_000), ask(1_000_000)
buffered = ask(1_000_000, ("grpc.per_rpc_retry_buffer_size", 4_000_000))
print(f"100 KB: {small}; 1 MB: {large}; 1 MB, larger buffer: {buffered}")
assert (small, large, buffered) == ("OK, 2 attempts", "UNAVAILABLE, 1 attempt", "OK, 2 attempts")
server.stop(None)
PY
