"""Harmless functions that do in a worker what a decoder that was led astray might do.

A caged worker imports nothing, so their code is sent to it. Only the front end's side of the socket can do that.
"""

# They do on purpose what is forbidden.
# ruff: noqa: PTH101, PTH102, PTH105, PTH108, PTH123, S606, SIM115, PLW0108

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any


class Shipped:
    """A function that is pickled with its code. It may use nothing but its arguments and what it imports itself, of
    modules that a worker has.
    """

    def __init__(self, function: Callable[..., tuple[bytes, bytes]]) -> None:
        self._function = function

    def __reduce__(self) -> tuple[Any, ...]:
        code = marshal.dumps(self._function.__code__)
        return eval, (f"__import__('types').FunctionType(__import__('marshal').loads({code!r}), {{}})",)


def try_everything(data, parameters, folder):  # type: ignore[no-untyped-def]
    """What goes through that should not, one name a line. Nothing of it changes the process that it is tried on."""
    import ctypes
    import fcntl
    import os
    import platform
    import resource
    import signal
    import socket
    import struct
    import threading

    libc, parent = ctypes.CDLL(None, use_errno=True), os.getppid()
    numbers = {
        "x86_64": {"queue": 129, "thread": 297, "limits": 302, "memory": 29, "messages": 68, "semaphores": 64},
        "aarch64": {"queue": 138, "thread": 240, "limits": 261, "memory": 194, "messages": 186, "semaphores": 190},
    }[platform.machine()]

    def call(name: str, *arguments: object) -> int:
        result = libc.syscall(numbers[name], *arguments)
        if result == -1:
            raise OSError(ctypes.get_errno(), name)
        return int(result)

    def shared(name: str, remove: str, *arguments: object) -> None:
        found = call(name, 0, *arguments)
        getattr(libc, remove)(found, *([0] if remove == "semctl" else []), 0, 0)

    def started() -> None:
        one = threading.Thread(target=lambda: None)
        one.start()
        one.join()

    nothing = struct.pack("iiiiii", 0, 0, -1, 0, 0, 0) + bytes(104)  # siginfo_t; signal 0 only asks
    limits = ctypes.create_string_buffer(16)

    tries = {
        "open": lambda: open("/etc/hostname"),
        "write": lambda: os.open(f"{folder}/made", os.O_CREAT | os.O_WRONLY),
        "socket": lambda: socket.socket(),
        "socket pair": lambda: socket.socketpair(),
        "pipe": lambda: os.pipe(),
        "memory file": lambda: os.memfd_create("x"),
        "duplicate": lambda: os.dup(0),
        "fork": lambda: os.fork() or os._exit(0),
        "program": lambda: os.execv("/bin/true", ["true"]),
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "kill": lambda: os.kill(os.getppid(), 0),
        "kill itself": lambda: os.kill(os.getpid(), signal.SIGUSR1),
        "remove": lambda: os.unlink(f"{folder}/is-not-there"),
        "rename": lambda: os.replace(f"{folder}/is-not-there", f"{folder}/made"),
        "folder": lambda: os.mkdir(f"{folder}/folder"),
        "mode": lambda: os.chmod(folder, 0o700),
        "more files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
        "more memory": lambda: resource.setrlimit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)),
        "queued signal": lambda: call("queue", parent, 0, nothing),
        "queued signal to a thread": lambda: call("thread", parent, parent, 0, nothing),
        "signals by descriptor": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, 0),
        "limits of others": lambda: call("limits", parent, resource.RLIMIT_CORE, None, limits),
        "priority of others": lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(0, parent)),
        "processors of others": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        "shared memory": lambda: shared("memory", "shmctl", 4096, 0o1600),
        "shared messages": lambda: shared("messages", "msgctl", 0o1600),
        "shared semaphores": lambda: shared("semaphores", "semctl", 1, 0o1600),
        "session": lambda: os.setpgid(0, 0),
        "working folder": lambda: os.chdir("/"),
        "thread": started,
    }
    went = []
    for name, attempt in tries.items():
        try:
            attempt()
        except FileNotFoundError:
            went.append(name)  # it was looked up
        except (OSError, ValueError, RuntimeError):
            continue
        else:
            went.append(name)
    return "\n".join(went).encode(), b""


def descriptors(data, parameters):  # type: ignore[no-untyped-def]
    """What is open, as pairs: the type of the file, and the device where it is one."""
    import json
    import os
    import stat

    found = []
    for number in range(1024):
        try:
            status = os.fstat(number)
        except OSError:
            continue
        found.append([stat.S_IFMT(status.st_mode), status.st_rdev])
    return json.dumps(found).encode(), b""


def allocate(data, parameters, size):  # type: ignore[no-untyped-def]
    """Take so much memory that nobody has."""
    return b"", bytes(len(bytearray(size)) * 0)


def spin(data, parameters):  # type: ignore[no-untyped-def]
    """Never end."""
    while True:
        pass


def sleep(data, parameters, seconds):  # type: ignore[no-untyped-def]
    """Wait."""
    import time

    time.sleep(seconds)
    return b"", b"awake"


def abort(data, parameters):  # type: ignore[no-untyped-def]
    """End as a library does that finds its memory damaged."""
    import os

    os.abort()


def raise_defect(data, parameters):  # type: ignore[no-untyped-def]
    """Raise what no task should, with a caller's words in it."""
    raise RuntimeError("secret-of-a-caller")


def say(data, parameters, message, dies):  # type: ignore[no-untyped-def]
    """Write to the front end what is not an answer; then end, or hang."""
    import os
    import stat
    import time

    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, message)
        except OSError:
            continue
    if dies:
        os._exit(1)
    time.sleep(60)
    return b"", b""


def answer(data, parameters, facts, found):  # type: ignore[no-untyped-def]
    """Answer with these parts."""
    return facts, found


def answer_twice(data, parameters, answers):  # type: ignore[no-untyped-def]
    """Write answers at once, one of them for a task that has not come yet, and wait for it."""
    import os
    import socket
    import stat

    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, answers)
                socket.socket(fileno=number).recv(1 << 20)
        except OSError:
            continue
    os._exit(1)


def pages_for_arrays(data, parameters):  # type: ignore[no-untyped-def]
    """Fill and free an array of 4 MiB five times: the pages that the kernel had to give for the last four."""
    import resource

    pages = []
    for _ in range(5):
        bytearray(b"1") * (4 << 20)
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return b"", str(pages[-1] - pages[0]).encode()
