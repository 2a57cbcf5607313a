"""Ports on loopback: free ones, and whether one is free."""

import random
import socket

from local_triton.errors import PortInUseError

LOOPBACK = "127.0.0.1"
# Below Linux's range for outgoing connections (32768-60999), so that none of those takes the port before the server.
CANDIDATES = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now. One that still drains old connections (TIME_WAIT) is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Different ports on which nothing listens now.

    Each is this process's until it ends: a server takes seconds to listen on its port, and another process that asks
    meanwhile, or this one again, gets others. Raises PortInUseError where so many are not left.
    """
    candidates = random.SystemRandom().sample(CANDIDATES, len(CANDIDATES))
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if is_free(port) and _reserve(port):
            found.append(port)
    if len(found) < count:
        raise PortInUseError(
            f"No {count} ports of {CANDIDATES[0]} to {CANDIDATES[-1]} are free: end what listens there or choose ports."
        )
    return found


def _reserve(port: int) -> bool:
    """Whether no process had it.

    The name of a socket without a file is what the kernel gives to one, and takes back at its end.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0tosia-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()  # open, and nobody's to close
    return True


def require_free(ports: dict[str, int]) -> None:
    """Raises PortInUseError for the first port, given by what it is for, on which something listens."""
    for purpose, port in ports.items():
        if not is_free(port):
            raise PortInUseError(
                f"Port {port} for Triton's {purpose} is in use: end what listens there or choose another one."
            )
