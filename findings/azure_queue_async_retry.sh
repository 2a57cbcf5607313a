#!/usr/bin/env bash
# Guess: a retry policy is set for Azure's asynchronous queue client as for its blob client: `retry_policy=` with the
# package's own class.
# What happens: azure.storage.blob.aio exports ExponentialRetry and LinearRetry, azure.storage.queue.aio neither.
# The package's public LinearRetry is for the synchronous client. The asynchronous client takes it without a word, and
# then every request ends with an AttributeError that names neither the policy nor a retry: the synchronous policy gets
# a coroutine from the next policy and takes it for a response. No request is sent; a service that answers is not asked.
# What works: the policy's numbers as arguments of the client (`initial_backoff=`, `increment_base=`, `retry_total=`).
# Seen with azure-storage-queue 12.18.1, azure-storage-blob 12.31.1, aiohttp 3.14.5: blob.aio exports 2, queue.aio 0;
# with the public class: AttributeError, 0 requests; with arguments: 1 request, answered 404
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  azure-storage-queue==12.18.1 azure-storage-blob==12.31.1 aiohttp==3.14.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import azure.storage.blob.aio
import azure.storage.queue.aio
from azure.storage.queue import LinearRetry
requests = 0
class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        global requests
        requests += 1
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
connection = ("DefaultEndpointsProtocol=http;AccountName=name;AccountKey=a2V5;"
              f"QueueEndpoint=http://127.0.0.1:{server.server_port}/name;")
async def ask(**options):
    global requests
    requests = 0
    async with azure.storage.queue.aio.QueueServiceClient.from_connection_string(connection, **options) as service:
        try:
            await service.get_queue_client("events").get_queue_properties()
            said = "answered"
        except Exception as error:
            said = type(error).__name__
    return said, requests
exported = [sum(name in package.__all__ for name in ("ExponentialRetry", "LinearRetry"))
            for package in (azure.storage.blob.aio, azure.storage.queue.aio)]
by_class = asyncio.run(ask(retry_policy=LinearRetry(backoff=1, retry_total=1)))
by_numbers = asyncio.run(ask(initial_backoff=0, increment_base=1, retry_total=1))
print(f"exported: {exported}; by class: {by_class}; by numbers: {by_numbers}")
assert exported == [2, 0]
assert by_class == ("AttributeError", 0)
assert by_numbers == ("ResourceNotFoundError", 1)
PY
