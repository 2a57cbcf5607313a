"""`make demo`: one recording through the whole system on free ports; its diagnosis on stdout, the figure in build/."""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from laptop.errors import LaptopError
from laptop.run import SAMPLE
from laptop.service import CHECKOUT, LOOPBACK, Service
from local_triton.ports import free_ports

FIGURE = CHECKOUT / "build" / "demo.png"
PATIENCE_S = 60.0


def demo() -> None:
    """Raises: LaptopError, TritonError."""
    key = secrets.token_urlsafe(32)
    FIGURE.parent.mkdir(exist_ok=True)
    port, metrics_port = free_ports(2)
    with (
        tempfile.TemporaryDirectory(prefix="tosia-demo-") as var,
        Service(port=port, metrics_port=metrics_port, api_key=key, var=Path(var)) as service,
    ):
        record = _post_sample(service.port, key)
        record = _diagnosed(service.port, key, record)
        FIGURE.write_bytes(_request(service.port, key, "GET", f"/v1/calls/{record['call_id']}/figure.png"))
    print(json.dumps(record["diagnosis"], indent=2))
    print(f"The figure is in {FIGURE.relative_to(CHECKOUT)}.", file=sys.stderr)


def _post_sample(port: int, key: str) -> dict[str, Any]:
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="{SAMPLE.name}"\r\n'
        f"Content-Type: audio/ogg\r\n\r\n"
    )
    body = head.encode() + SAMPLE.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    record: dict[str, Any] = json.loads(_request(port, key, "POST", "/v1/diagnoses", body, headers))
    return record


def _diagnosed(port: int, key: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record once it is no longer `received` (202: stored, and finished later)."""
    deadline = time.monotonic() + PATIENCE_S
    while record["state"] == "received" and time.monotonic() < deadline:
        time.sleep(0.5)
        record = json.loads(_request(port, key, "GET", f"/v1/calls/{record['call_id']}"))
    if record["state"] != "diagnosed":
        raise LaptopError(f"The sample was not diagnosed: its call is {record['state']} ({record['failure']}).")
    return record


def _request(
    port: int, key: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"X-API-Key": key, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status >= 400:
        raise LaptopError(f"{method} {path} was answered {response.status}: {content.decode()}")
    return content
