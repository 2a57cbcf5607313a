"""HEAD on every GET route: the answer of GET without its body (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from laptop.service import CHECKOUT, Service
from tests.integration.problems import post

CALL_ID = "asked-by-head"
DOCUMENTED = [
    path.format(call_id=CALL_ID, n="0")
    for path, methods in json.loads((CHECKOUT / "docs" / "openapi.json").read_text())["paths"].items()
    if "get" in methods
]
OTHERS = ["/", "/console/main.js", "/console/messages.es.json", "/docs", "/docs/oauth2-redirect", "/openapi.json"]
REFUSED = ["/v1/calls/nobody", "/v1/calls/-x", "/v1/calls?limit=0", f"/v1/calls/{CALL_ID}/segments/99.png", "/nothing"]


@pytest.fixture(scope="module")
def client(service: Service, api_key: str, benchmark: bytes) -> httpx.Client:
    headers = {"X-API-Key": api_key, "X-Request-ID": "head"}
    with httpx.Client(base_url=service.url, timeout=5.0, trust_env=False, headers=headers) as client:
        assert post(client, benchmark, CALL_ID).status_code in {200, 201}
        yield client


@pytest.mark.parametrize("path", [*DOCUMENTED, *OTHERS, *REFUSED])
def test_head_answers_as_get(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    assert int(head.headers["content-length"]) == len(got.content)


def test_these_are_all_routes_with_get(client: httpx.Client) -> None:
    assert len(DOCUMENTED) == 9
    for path in DOCUMENTED:
        assert "GET, HEAD" in client.options(path).headers["allow"]


def test_head_wants_a_key_as_get_does(service: Service) -> None:
    for path in DOCUMENTED:
        answer = httpx.head(f"{service.url}{path}", trust_env=False)
        assert (answer.status_code, answer.content) == (401 if path.startswith("/v1/") else 200, b"")


def test_a_range_is_for_get_only(client: httpx.Client, benchmark: bytes) -> None:
    """RFC 9110, section 14.2."""
    headers = {"Range": "bytes=0-9"}
    path = f"/v1/calls/{CALL_ID}/audio"
    assert client.get(path, headers=headers).status_code == 206
    head = client.head(path, headers=headers)
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(benchmark))
    assert client.head(path, headers={"Range": "bytes=99999999-"}).status_code == 200


def test_no_byte_follows_the_head(service: Service, api_key: str) -> None:
    request = f"HEAD /v1/calls/{CALL_ID} HTTP/1.1\r\nHost: x\r\nX-API-Key: {api_key}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=5.0) as connection:
        connection.sendall(request.encode())
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
