"""Random bytes for ids: none is given twice, not in a child either."""

from __future__ import annotations

import subprocess
import sys

from runtime.random_bytes import MOST_BYTES, random_bytes

_FORK = """
import os
from runtime.random_bytes import random_bytes
random_bytes(16)
child = os.fork()
own = random_bytes(16).hex()
if child:
    os.waitpid(child, 0)
print(own, flush=True)
"""


def test_no_bytes_are_given_twice() -> None:
    given = [random_bytes(MOST_BYTES) for _ in range(2000)]  # several questions to the kernel
    assert len(set(given)) == len(given)
    assert {len(piece) for piece in given} == {MOST_BYTES}
    assert len(random_bytes(8)) == 8


def test_a_child_gives_other_bytes_than_its_parent() -> None:
    said = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(said)) == 2
