"""Starts what was built, as a container runtime would as far as it goes without one.

The same: the image's files as the root, read-only; its user, without capabilities or a way to gain any; its
environment, working directory, entry point and command; process 1 of a process namespace of its own, so that a signal
meets what it meets in a container; /tmp, /dev and /dev/shm of its own. Not the same: the network is this machine's, so
that Triton is reached on loopback and the ports must be free; no cgroup, no seccomp profile, no /sys.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.image.parent import end_with_parent
from tests.integration.processes import children, wait_for

PATIENCE_S = 60.0

# $1: the root, $2: chroot, $3: uid, $4: gid, $5: working directory; then the command
_INSIDE = """set -eu
root=$1 chroot=$2 uid=$3 gid=$4 folder=$5; shift 5
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
exec "$chroot" "$root" setpriv "--reuid=$uid" "--regid=$gid" --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all --pdeathsig=KILL env "--chdir=$folder" "$@"
"""


class Container:
    """As a context manager: started when entered, ended when left.

    root: the image's files; config: the image's configuration
    command: instead of the image's entry point and command; user: instead of the image's
    """

    def __init__(
        self,
        root: Path,
        config: Mapping[str, Any],
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        user: str = "",
    ) -> None:
        self._root = root
        self._command = list(command) or [*config["Entrypoint"], *config["Cmd"]]
        self._environment = dict(item.split("=", 1) for item in config["Env"]) | dict(environment or {})
        self._uid, self._gid = (user or str(config["User"])).split(":")
        self._folder = config["WorkingDir"]
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Self:
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--fork"]
        place = [str(self._root), _program("chroot"), self._uid, self._gid, self._folder]
        self._process = subprocess.Popen(
            [_program("unshare"), *namespaces, "sh", "-c", _INSIDE, "container", *place, *self._command],
            env=self._environment,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - nothing of ours runs in another thread then
        )
        wait_for(self._has_begun, "the container's first process has begun")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # and with it whatever runs in its namespace
            self._process.wait(PATIENCE_S)
        self._printed.close()

    def _has_begun(self) -> bool:
        assert self._process is not None
        found = children(self._process.pid)
        self.pid = found[0] if found else 0
        return bool(found) or self._process.poll() is not None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> tuple[int, str]:
        """Waits for its end: the exit code, and all that it printed."""
        assert self._process is not None
        code = self._process.wait(PATIENCE_S)
        return code, self.printed()

    def printed(self) -> str:
        """So far."""
        self._printed.seek(0)
        return self._printed.read()

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Another process in it, as `docker exec` and a health check start one."""
        enter = [_program("nsenter"), "--target", str(self.pid), "--mount", "--pid", "--ipc", "--root"]
        become = ["setpriv", f"--reuid={self._uid}", f"--regid={self._gid}", "--clear-groups", "--no-new-privs"]
        return subprocess.run(
            [*enter, *become, "env", f"--chdir={self._folder}", *command],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )


def run(root: Path, config: Mapping[str, Any], command: Sequence[str], user: str = "") -> tuple[int, str]:
    """A container that ends by itself: its exit code, and all that it printed."""
    with Container(root, config, command, user=user) as container:
        return container.ended()


def _program(name: str) -> str:
    """By its path here: the environment is the container's."""
    found = shutil.which(name)
    assert found is not None, name
    return found
