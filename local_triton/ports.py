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
    """Different ports on which nothing listens now."""
    candidates = random.SystemRandom().sample(CANDIDATES, len(CANDIDATES))
    free = (port for port in candidates if is_free(port))
    return [next(free) for _ in range(count)]


def require_free(ports: dict[str, int]) -> None:
    """Raises PortInUseError for the first port, given by what it is for, on which something listens."""
    for purpose, port in ports.items():
        if not is_free(port):
            raise PortInUseError(
                f"Port {port} for Triton's {purpose} is in use: end what listens there or choose another one."
            )
