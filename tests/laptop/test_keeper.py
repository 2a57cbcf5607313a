"""How often Triton is started again. A server of this test's own stands for it: only its end and starts count here;
`test_run.py` does it with the real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from laptop import keeper
from laptop.errors import LaptopError
from laptop.keeper import RESTARTS, TritonKeeper
from local_triton import ServerFailedError, TritonServer


class Ending:
    """Ends at once after each start, or refuses to start."""

    log = Path("triton.log")

    def __init__(self, refuses: bool) -> None:
        self.starts = 0
        self._refuses = refuses

    def poll(self) -> int:
        return 1

    def why_it_ended(self) -> str:
        return "no reason"

    def stop(self) -> None:
        pass

    def start(self) -> None:
        self.starts += 1
        if self._refuses:
            raise ServerFailedError("Triton did not start.")


@pytest.mark.parametrize("refuses", [False, True])
def test_a_triton_that_always_ends_is_given_up(
    refuses: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(keeper.time, "sleep", pauses.append)
    server = Ending(refuses)
    kept = TritonKeeper(cast(TritonServer, server), lambda: True)
    with pytest.raises(LaptopError, match=f"{RESTARTS} restarts did not help"):
        for _ in range(RESTARTS + 1):
            kept.keep()
    assert server.starts == RESTARTS
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(capsys.readouterr().err.splitlines()) == RESTARTS
