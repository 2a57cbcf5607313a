"""Requests that are wrong before their body matters: keys, sizes, routes, methods, queries, and senders that stop."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from frontend.inference.admission import STEP_BYTES
from laptop.service import CHECKOUT, Service
from tests.integration.problems import assert_problem, assert_still_works, post

LIMIT = 20 * 2**20
TOO_MUCH = 30 * 2**20
HEAD = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x.ogg"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=5.0)


def request_head(api_key: str, *lines: str) -> bytes:
    head = [
        "POST /v1/diagnoses HTTP/1.1",
        "Host: tosia",
        f"X-API-Key: {api_key}",
        f"Content-Type: {FORM['Content-Type']}",
    ]
    return "\r\n".join([*head, *lines, "", ""]).encode()


def read_answer(connection: socket.socket) -> httpx.Response:
    """One answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (more := connection.recv(65536))
        assert more, f"closed after {data!r}"
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    while len(body) < int(dict(headers)["content-length"]):
        body += (more := connection.recv(65536))
        assert more, "closed in the middle of the answer"
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


def count_500(service: Service) -> int:
    text = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    return len(re.findall(r'tosia_http_requests_total\{.*status="5(?!03)\d\d".*\}', text))


def body_bytes(service: Service) -> float:
    text = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    found = re.search(r"^tosia_body_bytes_in_work (\S+)", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


KEYS = [None, "", "wrong", "Schlüssel".encode(), "\U0001f511".encode(), b"\xff\xfe", "a" * 10_000]
V1 = [
    ("POST", "/v1/diagnoses"), ("POST", "/v1/calls/x/diagnosis"), ("GET", "/v1/calls"), ("GET", "/v1/calls?limit=0"),
    ("GET", "/v1/calls/x"), ("GET", "/v1/calls/-x"), ("DELETE", "/v1/calls/x"), ("GET", "/v1/calls/x/audio"),
    ("GET", "/v1/calls/x/audio.wav"),
    ("GET", "/v1/calls/x/figure.png"), ("GET", "/v1/calls/x/segments/0.png"), ("GET", "/v1/calls/x/segments/y.png"),
    ("GET", "/v1/model"),
]  # fmt: skip


def test_these_are_all_operations_of_the_document_but_the_probes() -> None:
    document = json.loads((CHECKOUT / "docs" / "openapi.json").read_text())
    operations = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    filled = {(method, path.format(call_id="x", n="0")) for method, path in operations}
    assert filled - set(V1) == {("GET", "/healthz"), ("GET", "/readyz")}


@pytest.mark.parametrize(("method", "route"), V1)
def test_every_v1_route_wants_a_key(service: Service, api_key: str, method: str, route: str) -> None:
    with httpx.Client(base_url=service.url, timeout=5.0, trust_env=False) as client:
        for key in [*KEYS, api_key[:-1], api_key + "x", f"default:{api_key}"]:
            headers = [] if key is None else [("X-API-Key", key)]
            assert_problem(client.request(method, route, headers=headers), 401, "unauthorized")


@pytest.mark.parametrize("around", [" {}", "\t{}", "{} ", "{}\t", " \t{} \t "])
def test_blanks_around_a_header_are_none_of_its_value(
    service: Service, api_key: str, benchmark: bytes, around: str
) -> None:
    """RFC 9110, section 5.5."""
    body = HEAD + benchmark + b"\r\n--b--\r\n"
    fields = {
        "Content-Length": str(len(body)),
        "Content-Encoding": "identity",
        "Accept-Language": "en",
        "X-Request-ID": "a",
    }
    with connect(service) as connection:
        lines = [f"{name}:{around.format(value)}" for name, value in fields.items()]
        connection.sendall(request_head(around.format(api_key), *lines) + body)
        answer = read_answer(connection)
    assert (answer.status_code, answer.headers["x-request-id"]) == (201, "a")
    assert answer.headers["content-language"] == "en"
    with connect(service) as connection:  # inside the key they are part of it
        connection.sendall(request_head(f"{api_key[:5]} {api_key[5:]}", "Content-Length: 0"))
        assert_problem(read_answer(connection), 401, "unauthorized")


@pytest.mark.parametrize("declared", ["Transfer-Encoding: chunked", f"Content-Length: {LIMIT}"])
def test_senders_are_not_refused_for_memory_that_they_do_not_use(
    api: httpx.Client, service: Service, api_key: str, benchmark: bytes, declared: str
) -> None:
    """Each might send 20 MiB, so that 13 of them could fill the 256 MiB; together they have sent a few KB."""
    beginning = b"%x\r\n%s\r\n" % (len(HEAD), HEAD) if "chunked" in declared else HEAD
    senders = [connect(service) for _ in range(30)]
    try:
        for sender in senders:
            sender.sendall(request_head(api_key, declared) + beginning)
        deadline = time.monotonic() + 5.0
        while body_bytes(service) < 30 * STEP_BYTES and time.monotonic() < deadline:
            time.sleep(0.05)
        assert body_bytes(service) == 30 * STEP_BYTES
        assert post(api, benchmark).status_code == 201
    finally:
        for sender in senders:
            sender.close()
    deadline = time.monotonic() + 5.0
    while body_bytes(service) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert body_bytes(service) == 0


def test_the_key_is_checked_before_the_body_is_read(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(request_head("wrong", "Content-Length: 1000000"))
        assert_problem(read_answer(connection), 401, "unauthorized")


@pytest.mark.parametrize("more", [[], ["Connection: close"], ["Expect: 100-continue"]], ids=str)
def test_a_declared_length_is_refused_before_the_body_is_read(
    api: httpx.Client, service: Service, api_key: str, benchmark: bytes, more: list[str]
) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(api_key, f"Content-Length: {TOO_MUCH}", *more))
        assert_problem(read_answer(connection), 413, "body_too_large")
    assert_still_works(api, benchmark)


@pytest.mark.parametrize("more", [[], ["Connection: close"]], ids=str)
@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_30_mb_in_one_go_still_gets_the_answer(
    api: httpx.Client, service: Service, api_key: str, benchmark: bytes, chunked: bool, more: list[str]
) -> None:
    """The sender looks at the answer only when all is sent, as simple clients do: a reset would lose it."""
    payload = HEAD + bytes(TOO_MUCH - len(HEAD))
    with connect(service) as connection:
        if chunked:
            connection.sendall(request_head(api_key, "Transfer-Encoding: chunked", *more))
            for start in range(0, len(payload), 65536):
                piece = payload[start : start + 65536]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.sendall(request_head(api_key, f"Content-Length: {len(payload)}", *more))
            connection.sendall(payload)
        assert_problem(read_answer(connection), 413, "body_too_large")
    assert_still_works(api, benchmark)


@pytest.mark.parametrize("with_length", [True, False])
def test_30_mb_by_httpx(api: httpx.Client, benchmark: bytes, with_length: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD
        for _ in range(TOO_MUCH // 65536):
            yield bytes(65536)

    content = b"".join(pieces()) if with_length else pieces()
    assert_problem(api.post("/v1/diagnoses", content=content, headers=FORM), 413, "body_too_large")
    assert_still_works(api, benchmark)


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]], ids=str)
def test_30_mb_by_curl(service: Service, api_key: str, tmp_path: Path, options: list[str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl: apt-get install curl")
    (tmp_path / "large").write_bytes(bytes(TOO_MUCH))
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "5", "-H", f"X-API-Key: {api_key}", *options]
    command += ["-F", f"audio=@{tmp_path / 'large'}", f"{service.url}/v1/diagnoses"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(run.stdout)["code"] == "body_too_large", run.stderr


def test_exactly_20_mib_of_audio_are_taken(api: httpx.Client) -> None:
    # It is no recording, so it is read and then refused as such.
    assert_problem(post(api, b"x" * LIMIT), 415, "unsupported_media")
    assert_problem(post(api, b"x" * (LIMIT + 1)), 413, "body_too_large")


def test_a_sender_that_hangs_up_is_no_defect_of_ours(
    api: httpx.Client, service: Service, api_key: str, benchmark: bytes
) -> None:
    before = count_500(service)
    for sent in (b"", HEAD, HEAD + benchmark[:1000]):
        with connect(service) as connection:
            connection.sendall(request_head(api_key, "Content-Length: 100000") + sent)
    assert_still_works(api, benchmark)
    assert count_500(service) == before


@pytest.mark.system
def test_a_sender_that_stops_is_let_go(api: httpx.Client, service: Service, api_key: str, benchmark: bytes) -> None:
    with connect(service) as connection:
        connection.settimeout(15.0)  # the pause that is allowed is 10 s
        connection.sendall(request_head(api_key, "Content-Length: 100000") + HEAD)
        assert_still_works(api, benchmark)
        assert_problem(read_answer(connection), 408, "body_timeout")


def test_more_requests_at_once_than_allowed(
    api: httpx.Client, service: Service, api_key: str, benchmark: bytes
) -> None:
    senders: list[socket.socket] = []

    def send_half(count: int) -> None:
        for _ in range(count):
            senders.append(connect(service))
            senders[-1].sendall(request_head(api_key, "Content-Length: 100000") + HEAD)

    send_half(64)  # max_in_flight in config.yml
    try:
        # A recording that came before one of them took its place, and that sender was refused: so one more each time.
        while (answer := post(api, benchmark, "over-the-limit")).status_code != 503 and len(senders) < 200:
            api.delete("/v1/calls/over-the-limit")
            send_half(1)
        assert_problem(answer, 503, "overloaded")
        assert_problem(post(api, benchmark, "refused-when-full"), 503, "overloaded")
        assert_problem(api.get("/v1/calls/refused-when-full"), 404, "call_not_found")
        assert not (service.var / "audio" / "calls" / "refused-when-full").exists()
        assert api.get("/healthz").status_code == 200
        with connect(service) as late:  # from its head alone: the body is never sent
            late.sendall(request_head(api_key, "Content-Length: 1000000"))
            answer = read_answer(late)
            assert_problem(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) > 0
    finally:
        for sender in senders:
            sender.close()
    deadline = time.monotonic() + 5.0
    while (answer := post(api, benchmark)).status_code != 201 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answer.status_code == 201


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/calls/", "/metrics", "/v1/calls/x/", "/x" * 9000])
def test_unknown_routes(api: httpx.Client, path: str) -> None:
    assert_problem(api.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_unknown_methods(api: httpx.Client, method: str) -> None:
    answer = api.request(method, "/v1/diagnoses")
    assert answer.headers["allow"] == "POST"
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (405, b"")
    else:
        assert_problem(answer, 405, "method_not_allowed")


def test_a_path_of_two_routes_allows_the_methods_of_both(api: httpx.Client) -> None:
    for method in ("PUT", "OPTIONS"):
        assert_problem(answer := api.request(method, "/v1/calls/x"), 405, "method_not_allowed")
        assert answer.headers["allow"] == "DELETE, GET, HEAD"


def test_invented_methods_do_not_grow_the_metrics(api: httpx.Client, service: Service) -> None:
    for method in ("PROPFIND", "LINK", "MKCOL"):
        api.request(method, "/v1/diagnoses")
    text = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    assert "PROPFIND" not in text
    assert 'method="other"' in text


@pytest.mark.parametrize(
    "call_id", ["%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2fb", "a%00", "%ff", "%F0%9F%94%91", "-x", "a%20b", "a" * 129]
)
@pytest.mark.parametrize("route", ["", "/audio", "/figure.png"])
def test_call_ids_in_paths(api: httpx.Client, call_id: str, route: str) -> None:
    answer = api.get(f"/v1/calls/{call_id}{route}")
    if "%2f" in call_id:  # a slash separates segments, coded or not
        assert_problem(answer, 404, "not_found")
    else:
        assert_problem(answer, 422, "invalid_call_id")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=1e2", "state=gone", "status=fine", "after=!", "after=%00",
     "after=%F0%9F%94%91", "after=" + "A" * 513, "after=AAAA", "after=Zm9v", "after=/w==", "limit=" + "9" * 5000],
)  # fmt: skip
def test_queries(api: httpx.Client, query: str) -> None:
    assert_problem(api.get(f"/v1/calls?{query}"), 422, "invalid_request")


@pytest.mark.parametrize("n", ["x", "1.5", "9" * 5000])
def test_segments_that_are_no_number(api: httpx.Client, n: str) -> None:
    assert_problem(api.get(f"/v1/calls/x/segments/{n}.png"), 422, "invalid_request")


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\0\r\n\r\n", b"BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
     b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
     b"POST /v1/diagnoses HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
     b"POST /v1/diagnoses HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
     b"POST /v1/diagnoses HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ids=["nulls", "invented method", "long header", "negative length", "endless length", "two lengths"],
)  # fmt: skip
def test_what_is_not_http(api: httpx.Client, service: Service, benchmark: bytes, head: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert_still_works(api, benchmark)


@pytest.mark.parametrize(
    "beginning",
    [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"GET /healthz?",
     b"POST /v1/diagnoses HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "],
    ids=["header", "path", "trailer"],
)  # fmt: skip
def test_a_line_that_never_ends_is_given_up(
    api: httpx.Client, service: Service, benchmark: bytes, beginning: bytes
) -> None:
    """A hundred times the bound of a single line: what the service holds of it must not grow with it."""
    with connect(service) as connection:
        connection.sendall(beginning)
        for _ in range(100):
            try:
                connection.sendall(b"a" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.005)
        else:
            raise AssertionError("the service still reads")
    assert_still_works(api, benchmark)


def test_a_path_that_ends_in_a_line_feed_is_the_same_route(api: httpx.Client, benchmark: bytes) -> None:
    """The router takes it for the route, so what is in front of the route must, too."""
    answer = api.post("/v1/diagnoses%0A", files={"audio": ("a.ogg", benchmark)})
    assert answer.status_code == 201


def test_senders_without_a_key_take_nobodys_place(api: httpx.Client, service: Service, benchmark: bytes) -> None:
    senders = [connect(service) for _ in range(70)]  # more than max_in_flight in config.yml
    try:
        for sender in senders:
            sender.sendall(request_head("wrong", "Content-Length: 100000") + HEAD)
        for sender in senders:
            assert_problem(read_answer(sender), 401, "unauthorized")
        assert post(api, benchmark).status_code == 201  # while the bodies of all of them are still awaited
    finally:
        for sender in senders:
            sender.close()
