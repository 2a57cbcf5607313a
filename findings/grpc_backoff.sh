#!/usr/bin/env bash
# Guess: a new channel tries to connect; to a port on which somebody listens it connects.
# What happens: channels of one process share their connections by address. A channel that failed and was closed
# leaves the failure and its pause behind: a new channel to that address says "Connection refused" at once, though a
# server listens there by now.
# Met in tests, where the kernel gives a port a second time; a client that is opened anew after a server's start meets
# it, too. With the channel argument grpc.use_local_subchannel_pool the new channel tries for itself.
# Seen with grpcio 1.85.1: shared pool: Connection refused; own pool: Deadline Exceeded (the server is silent, as
# intended)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
"$folder/venv/bin/python" - <<'PY'
import socket
import grpc
def ask(address, *options):
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            channel.unary_unary("/any/thing")(b"", timeout=0.5)
        except grpc.RpcError as error:
            return "Connection refused" if "Connection refused" in error.details() else error.details()
def after_a_failure(*options):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and not listening
        address = f"127.0.0.1:{held.getsockname()[1]}"
        assert ask(address, *options) == "Connection refused"
        held.listen()
        return ask(address, *options)
shared, own = after_a_failure(), after_a_failure(("grpc.use_local_subchannel_pool", 1))
print(f"shared pool: {shared}; own pool: {own}")
assert (shared, own) == ("Connection refused", "Deadline Exceeded")
PY
