"""Runs a command and leaves nothing of it behind: no process, no shared memory, no folder.

It stands between the process that wants a server and the server itself, and ends the server when it gets SIGTERM or
when that process is gone, however it went (a killed parent can't clean up after itself). Being a process of its own,
it works from any thread of the parent, which a parent-death signal on the server alone would not: that one fires when
the *thread* that started it ends.

    python -I warden.py PARENT_PID GRACE_S SHM_PREFIX SCRATCH_DIR LOG COMMAND...

It is run by path and imports nothing of this package.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

POLL_S = 0.1
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(command: list[str], *, parent: int, grace_s: float, shm_prefix: str, scratch: Path, log: Path) -> int:
    """Runs the command until it ends or has to; returns its exit code (128 + signal when a signal ended it)."""
    stop = False

    def on_signal(*_: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        with log.open("wb") as output:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=scratch,  # the stub imports from its working directory first
                start_new_session=True,  # one group holds the server and its stubs
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        while server.poll() is None and not stop and os.getppid() == parent:
            time.sleep(POLL_S)
        _end(server, grace_s)
        return server.returncode if server.returncode >= 0 else 128 - server.returncode
    except FileNotFoundError:
        if scratch.is_dir():
            raise
        return 0  # whoever started this process has given up meanwhile, and cleared away
    finally:
        for region in Path("/dev/shm").glob(f"{shm_prefix}*"):  # noqa: S108 - where POSIX shared memory lies
            region.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _end_with_parent() -> None:
    # If even the warden is killed: the server then ends in good order, and its stubs follow it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(server: subprocess.Popen[bytes], grace_s: float) -> None:
    if server.poll() is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # the server if it hangs, and stubs that outlived it
    server.wait()


if __name__ == "__main__":
    parent, grace_s, shm_prefix, scratch, log, *command = sys.argv[1:]
    sys.exit(
        main(
            command,
            parent=int(parent),
            grace_s=float(grace_s),
            shm_prefix=shm_prefix,
            scratch=Path(scratch),
            log=Path(log),
        )
    )
