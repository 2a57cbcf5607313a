"""One request to a receiver: its time and its answer are bounded, TLS is verified, no redirect is followed.

A receiver's name may resolve to an address inside (by mistake, or on purpose: server-side request forgery), and may
resolve differently the next time. So addresses are looked at when a socket is made for one of them, which is after
every resolution and also where the URL has a number.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from time import time

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

IDLE_S = 30.0  # a connection without work
MOST_HEADER_BYTES = 8190
# Azure's own, reachable from every machine there: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_PLATFORM = frozenset({ipaddress.ip_address("168.63.129.16")})
RESOLVERS = 32  # names at once, in threads that nothing else waits for
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")  # RFC 4291; nothing else is routed, but may be inside
_PROTOCOL = ipaddress.ip_network("192.0.0.0/24")  # RFC 6890
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """status: None where there was no answer; why: in one word then; retry_after_s: what the receiver asks for"""

    status: int | None
    why: str = ""
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus(300)

    @property
    def reason(self) -> str:
        return self.why or f"status_{self.status}"


def is_inside(address: str) -> bool:
    """Whether an address is private, loopback, link-local, reserved, or the platform's own: no receiver is there."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if within is None and ip in _NAT64:
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if within is not None:
            return is_inside(str(within))
        return not ip.is_global or ip not in _GLOBAL_IPV6
    return not ip.is_global or ip.is_multicast or ip in _PLATFORM or ip in _PROTOCOL


class _Inside(OSError):
    """Nothing is sent to such an address."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "a receiver's address is inside")


def _guarded_socket(info: AddrInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    if is_inside(str(address[0])):
        raise _Inside
    return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Resolves in threads of its own: a receiver's name server that does not answer holds a thread for longer than any
    request, and the loop has few, in which also the stores work and resolve.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVERS, "resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the name's addresses. Raises: OSError."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG),
        )
        return [
            ResolveResult(hostname=host, host=str(to[0]), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, to in found
        ]

    async def close(self) -> None:
        """Leave the threads to themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connections:
    """Connections to all receivers. allow_inside: also to private and loopback addresses"""

    def __init__(self, *, allow_inside: bool, timeout_s: float) -> None:
        self._resolver = _Resolver()
        self._connector = aiohttp.TCPConnector(
            limit=0,  # the callers limit themselves: who waits here has less time for the request
            resolver=self._resolver,
            ssl=ssl.create_default_context(),
            use_dns_cache=False,
            keepalive_timeout=IDLE_S,
            socket_factory=None if allow_inside else _guarded_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            trust_env=False,  # a proxy would connect in our place, past the guard
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
            headers={"User-Agent": "tosia"},
            skip_auto_headers=["Accept-Encoding"],
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one message. What the receiver answers beside status and Retry-After is not read."""
        try:
            response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            return Answer(None, "timeout")
        except aiohttp.ClientConnectorCertificateError:
            return Answer(None, "certificate")
        except aiohttp.ClientConnectorDNSError:
            return Answer(None, "name_not_found")
        except aiohttp.ClientConnectorError as error:
            return Answer(None, "address_inside" if isinstance(error.os_error, _Inside) else "not_connected")
        except (aiohttp.ClientError, OSError, ValueError):
            return Answer(None, "no_http")
        response.release()  # the connection stays if the answer was whole, and is closed otherwise
        return Answer(response.status, retry_after_s=_asked_s(response.headers.get("Retry-After", "")))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._resolver.close()
        await asyncio.sleep(0)


def _asked_s(text: str) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if text.isascii() and text.isdecimal():
        return float(text[:6])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, OverflowError):
        return None
