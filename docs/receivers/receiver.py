"""A receiver of finished calls, with Python's own library: `WEBHOOK_SECRET=whsec_... python receiver.py PORT`.

It answers 204 to what is ours and new, and prints a line for it; everything else is answered with 400.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300  # older messages may have been recorded and sent again by somebody else
MOST_BYTES = 4 * 1024 * 1024
seen: set[str] = set()  # of a real receiver: in its database, for a day


def is_ours(message_id: str, timestamp: str, signatures: str, body: bytes, secret: str) -> bool:
    """Whether a message was signed with the secret, within the last minutes."""
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(expected).decode()}"
    # While one secret replaces another there are two signatures; compare_digest takes the same time for each.
    return any([hmac.compare_digest(wanted.encode(), one.encode()) for one in signatures.split(" ")])  # noqa: C419


class Receiver(BaseHTTPRequestHandler):
    """Takes POST requests."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Verify, remember, answer; work that takes time comes after the answer."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        fields = [self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
        ours = is_ours(*fields, body, os.environ["WEBHOOK_SECRET"])
        self.send_response(204 if ours else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if ours and fields[0] not in seen:  # the same message may come twice
            seen.add(fields[0])
            event = json.loads(body)
            status = (event["data"]["diagnosis"] or {}).get("status")
            print(event["type"], event["subject"], status, flush=True)

    def log_message(self, *_: object) -> None:
        """Nothing of a request reaches a log."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
