"""No two processes are given the same port while neither listens on it yet."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from local_triton import PortInUseError, ports

CHECKOUT = Path(__file__).resolve().parents[2]
TAKE = """
import sys
from local_triton import ports
ports.CANDIDATES = [int(one) for one in sys.argv[1:]]
print(*ports.free_ports(6), flush=True)
sys.stdin.read()
"""


def test_two_processes_get_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of fourteen each: drawn without regard for each other they would be different in 1 of 100 runs. Two more than
    are needed, since other programs take ports, too."""
    candidates = random.sample([port for port in ports.CANDIDATES if ports.is_free(port)], 14)
    monkeypatch.setattr(ports, "CANDIDATES", candidates)
    command = [sys.executable, "-c", TAKE, *map(str, candidates)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = {int(part) for part in other.stdout.readline().split()}
        ours = set(ports.free_ports(6))
        assert (len(theirs), len(ours)) == (6, 6)
        assert theirs <= set(candidates)
        assert not theirs & ours
        with pytest.raises(PortInUseError, match=r"^No 3 ports of \d+ to \d+ are free: .*\.$"):
            ports.free_ports(3)
        other.communicate()
    more = set(ports.free_ports(6))  # what the other had, now that it has ended
    assert not more & ours
    assert more & theirs


def test_a_port_is_given_once() -> None:
    found = ports.free_ports(3) + ports.free_ports(3)
    assert len(set(found)) == 6
    assert all(ports.is_free(port) for port in found)  # reserved, and still to be listened on
