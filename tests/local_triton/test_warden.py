"""The process that watches over Triton, where its starter has gone before it began."""

import os
import signal
from pathlib import Path

import pytest

from local_triton import warden


@pytest.fixture(autouse=True)
def _signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(scratch: Path, tmp_path: Path, command: list[str]) -> int:
    return warden.main(
        command, parent=os.getppid(), grace_s=1.0, shm_prefix="tosia-none", scratch=scratch, log=tmp_path / "log"
    )


def test_without_its_folder_it_ends_without_a_word(tmp_path: Path) -> None:
    """The terminal was closed while this process was starting: the folder for Triton has been cleared away."""
    assert run(tmp_path / "gone", tmp_path, ["/bin/true"]) == 0


def test_without_the_server_it_says_so(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(FileNotFoundError):
        run(scratch, tmp_path, [str(tmp_path / "no-server")])
    assert not scratch.exists()
