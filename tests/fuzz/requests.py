"""Requests that are nearly right: forms, heads, framing, paths, queries and ranges, whose pieces are missing, doubled,
moved, or replaced by tempting ones. Each is the bytes that go over the socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.damage import MARK
from tests.fuzz.recordings import recording

_CRLF = b"\r\n"
_IDS = (b"nobody", b"..", b"%2e%2e", b"%00", b"a%2fb", b"%ff", b"a" * 129, b"a%20b", b"-x", MARK, b"", b"\xc3\xa9")
_METHODS = (b"GET", b"GET", b"GET", b"GET", b"HEAD", b"POST", b"DELETE", b"PUT", b"OPTIONS", b"PROPFIND", b"get")
_ROUTES = (
    b"/v1/calls/{}", b"/v1/calls/{}/audio", b"/v1/calls/{}/audio.wav", b"/v1/calls/{}/figure.png",
    b"/v1/calls/{}/segments/{n}.png", b"/v1/calls/{}/diagnosis", b"/v1/calls", b"/v1/calls", b"/v1/model", b"/healthz",
    b"/readyz", b"/openapi.json", b"/", b"/docs", b"/v1/nothing/{}", b"/metrics", b"//v1//calls", b"*",
    b"http://elsewhere.example/v1/calls",
)  # fmt: skip
_NUMBERS = (b"0", b"1", b"-1", b"200", b"201", b"1e3", b"0x1", b"9" * 4500, b"\xd9\xa1", b"", b" 1", b"1_0")
_QUERIES = (b"limit={n}", b"after={n}", b"after=AAAA", b"after=%00", b"after=/w==", b"state=received", b"state=gone",
            b"status=ok", b"status=", b"limit=1&limit=2", b"&&&=", b"%", b"lang=es", MARK)  # fmt: skip
_HEADERS = (
    b"Range: bytes=0-", b"Range: bytes=-1", b"Range: bytes={n}-{n}", b"Range: bytes=5-2", b"Range: bytes=0-1,3-4",
    b"Range: bytes=" + b"0-1," * 2000, b"Range: chapters=1", b"If-Range: x", b"If-None-Match: *", b'If-Match: "x"',
    b"Accept-Language: {n};q=9, es;q=0.5", b"Accept-Language: " + b"es," * 3000, b"Accept: application/xml",
    b"Accept-Encoding: gzip;q=0", b"X-Request-ID: " + MARK, b"X-Request-ID: \xff\xfe", b"traceparent: 00-0-0-0",
    b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"tracestate: " + b"a=b," * 500, b"X-API-Key: wrong",
    b"X-Forwarded-For: 127.0.0.1", b"Cookie: " + MARK, b"Content-Length: {n}", b"Content-Type: application/json",
    b"Connection: Upgrade\r\nUpgrade: h2c", b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    b"Host: " + MARK, b" folded: line", b"no colon", b"X: " + b"a" * 70_000, b"\0: \0",
)  # fmt: skip
_FRAMING = (
    b"Content-Length: {n}", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"Content-Length: 18446744073709551617", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: \x0bchunked", b"Expect: 100-continue", b"Expect: more",
    b"Content-Encoding: gzip", b"Connection: close", b"Connection: keep-alive", b"Trailer: X-API-Key",
)  # fmt: skip
_CHUNKS = (b"0\r\n\r\n", b"5\r\nhello\r\n", b"{n}\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"\r\n",
           b"5;ext=" + b"a" * 5000 + _CRLF, b"5\nhello\n", b"0\r\nX-API-Key: late\r\n\r\n",
           b"0\r\n" + b"T: t\r\n" * 3000 + _CRLF)  # fmt: skip
_PARTS = (
    b'Content-Disposition: form-data; name="audio"', b'Content-Disposition: form-data; name="call_id"',
    b'Content-Disposition: form-data; name="audio"; filename="' + MARK + b'"',
    b'Content-Disposition: form-data; name="audio"; filename*=utf-8\'\'%ff%00', b"Content-Disposition: attachment",
    b'Content-Disposition: form-data; name="\xff"', b'Content-Disposition: form-data; name="' + b"a" * 9000 + b'"',
    b"Content-Type: multipart/mixed; boundary=c", b"Content-Type: text/plain; charset=utf-7", b"Content-Type: \0",
    b"Content-Transfer-Encoding: base64", b"Content-Length: {n}", b"--b", b"--b--", b"--b\r\n--b", b"--", b"", b"\0",
    b"X: " + b"a" * 20_000, MARK, b"--b\r\n" * 2000,
)  # fmt: skip


def scrambled(pieces: list[bytes], tempting: Sequence[bytes], rng: Random) -> list[bytes]:
    """The pieces, changed in one to four ways. `{n}` in a tempting piece is a number, or what passes for one."""
    pieces = list(pieces)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(pieces) + 1)
        new = rng.choice(tempting).replace(b"{n}", rng.choice(_NUMBERS))
        match rng.randrange(6):
            case 0:
                pieces.insert(at, new)
            case 1:
                pieces[at : at + 1] = [new]
            case 2:
                del pieces[at : at + 1]
            case 3:
                pieces[at:at] = pieces[at : at + 1] * rng.choice((1, 2, 30))
            case 4 if at < len(pieces):
                pieces.insert(rng.randrange(len(pieces)), pieces.pop(at))
            case _ if at < len(pieces) and pieces[at]:
                piece = bytearray(pieces[at])
                piece[rng.randrange(len(piece))] = rng.randrange(256)
                pieces[at] = bytes(piece)
    return pieces


def route(api_key: str, known: Sequence[str], rng: Random) -> bytes:
    """Anything but an upload. known: ids of calls that exist"""
    call_id = rng.choice(known).encode() if known and rng.random() < 0.6 else rng.choice(_IDS)
    path = rng.choice(_ROUTES).replace(b"{}", call_id).replace(b"{n}", rng.choice(_NUMBERS))
    if rng.random() < 0.3:
        path += b"?" + b"&".join(rng.choices(_QUERIES, k=rng.choice((1, 2, 50)))).replace(b"{n}", rng.choice(_NUMBERS))
    lines = [rng.choice(_METHODS) + b" " + path + b" HTTP/1.1", *_head(api_key)]
    if rng.random() < 0.7:
        lines = [lines[0], *scrambled(lines[1:], _HEADERS, rng)]
    return _CRLF.join([*lines, b"", b""])


def form(api_key: str, number: int, rng: Random) -> bytes:
    """An upload whose form is damaged, in a sound request."""
    pieces = [
        b"--b", b'Content-Disposition: form-data; name="call_id"', b"", b"fuzz-form-%d" % number,
        b"--b", b'Content-Disposition: form-data; name="audio"; filename="x.ogg"', b"Content-Type: audio/ogg", b"",
        recording("ogg-cough"), b"--b--", b"",
    ]  # fmt: skip
    body = _CRLF.join(scrambled(pieces, _PARTS, rng))
    boundary = rng.choice((b"b",) * 8 + (b"", b'"b"', b"c", b"b; charset=\xff", b"a" * 300, b"\0"))
    kind = b"Content-Type: multipart/form-data; boundary=" + boundary
    lines = [b"POST /v1/diagnoses HTTP/1.1", *_head(api_key), kind, b"Content-Length: %d" % len(body)]
    return _CRLF.join([*lines, b"", body])


def framing(api_key: str, number: int, rng: Random) -> bytes:
    """An upload whose head or chunks are damaged."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="call_id"\r\n\r\nfuzz-framed-%d' % number
        + b'\r\n--b\r\nContent-Disposition: form-data; name="audio"; filename="x.ogg"\r\n\r\n'
        + recording("ogg-cough")
        + b"\r\n--b--\r\n"
    )
    lines = [*_head(api_key), b"Content-Type: multipart/form-data; boundary=b"]
    if rng.random() < 0.5:
        lines.append(b"Content-Length: %d" % len(body))
        pieces = [body]
    else:
        lines.append(b"Transfer-Encoding: chunked")
        cuts = sorted(rng.sample(range(len(body)), 4))
        spans = zip([0, *cuts], [*cuts, len(body)], strict=True)
        pieces = [b"%x\r\n%s\r\n" % (end - begin, body[begin:end]) for begin, end in spans if end > begin]
        pieces = scrambled([*pieces, b"0\r\n\r\n"], _CHUNKS, rng)
    first = rng.choice((b"POST /v1/diagnoses HTTP/1.1",) * 9 + (b"POST  /v1/diagnoses  HTTP/1.1", b"POST /v1/diagnoses",
                        b"POST /v1/diagnoses HTTP/1.0", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\0\x01"))  # fmt: skip
    lines = scrambled(lines, (*_FRAMING, *_HEADERS), rng) if rng.random() < 0.7 else lines
    end = rng.choice((_CRLF, _CRLF, _CRLF, b"\n", b"\r"))
    return end.join([first, *lines, b"", b""]) + b"".join(pieces)


def _head(api_key: str) -> list[bytes]:
    return [b"Host: tosia", b"X-API-Key: " + api_key.encode(), b"Accept-Language: en", b"Connection: close"]
