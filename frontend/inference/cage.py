"""What a worker may no longer do once it reads bytes of others.

A decoder that is led astray by a recording meets three bounds. The kernel keeps them, and the process can't undo them:

    memory          so much more than the idle worker has; beyond it an allocation fails
    descriptors     none but its own socket, so no files, other sockets or pipes, and no line in our log
    system calls    no other processes, programs or threads, no sockets, no change of files by name; no signals to other
                    processes, and no change of their limits, processors or priority; no memory that outlives it

CPU time is bounded for each task by a timer of the process itself, which ends it (SIGPROF).

The filter of system calls is our own: the libraries for it are not kept (docs/decisions/0023-cage.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from pathlib import Path

CPU_SIGNAL = signal.SIGPROF
_OOM_SCORE = "500"  # of 1000: where memory is short, the kernel ends a worker before the process that answers

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
# Offsets in `struct seccomp_data`, and instructions of classic BPF (linux/filter.h).
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
# From here on all architectures have the same numbers, for what was added since 2019. The C library does without.
_NEW = 424
_X32 = 0x40000000  # the numbers of another ABI on x86-64

# The numbers of linux/unistd.h: (AUDIT_ARCH, tgkill, those that are refused).
_REFUSED = {
    "x86_64": (
        0xC000003E,
        234,
        {
            "open": 2, "ioctl": 16, "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "connect": 42, "accept": 43,
            "bind": 49, "listen": 50, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
            "semget": 64, "semop": 65, "semctl": 66, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "fcntl":
            72, "flock": 73, "truncate": 76, "ftruncate": 77, "chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83,
            "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92,
            "fchown": 93, "lchown": 94, "ptrace": 101, "syslog": 103, "setpgid": 109, "setsid": 112, "rt_sigqueueinfo":
            129, "utime": 132, "mknod": 133, "personality": 135, "setpriority": 141, "sched_setparam": 142,
            "sched_setscheduler": 144, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155, "adjtimex": 159,
            "setrlimit": 160, "chroot": 161, "sync": 162, "acct": 163, "settimeofday": 164, "mount": 165, "umount2":
            166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
            "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "setxattr": 188, "lsetxattr": 189,
            "removexattr": 197, "lremovexattr": 198, "tkill": 200, "sched_setaffinity": 203, "io_setup": 206,
            "semtimedop": 220, "clock_settime": 227, "utimes": 235, "mq_open": 240, "mq_unlink": 241, "kexec_load": 246,
            "add_key": 248, "request_key": 249, "keyctl": 250, "ioprio_set": 251, "migrate_pages": 256, "openat": 257,
            "mkdirat": 258, "mknodat": 259, "fchownat": 260, "futimesat": 261, "unlinkat": 263, "renameat": 264,
            "linkat": 265, "symlinkat": 266, "fchmodat": 268, "unshare": 272, "move_pages": 279, "utimensat": 280,
            "accept4": 288, "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "fanotify_init": 300, "prlimit64": 302,
            "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv":
            310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "sched_setattr": 314, "renameat2": 316,
            "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "execveat": 322, "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        131,
        {
            "io_setup": 0, "setxattr": 5, "lsetxattr": 6, "removexattr": 14, "lremovexattr": 15, "fcntl": 25, "ioctl":
            29, "ioprio_set": 30, "flock": 32, "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat":
            37, "renameat": 38, "umount2": 39, "mount": 40, "pivot_root": 41, "truncate": 45, "ftruncate": 46, "chdir":
            49, "fchdir": 50, "chroot": 51, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56,
            "vhangup": 58, "quotactl": 60, "sync": 81, "utimensat": 88, "acct": 89, "personality": 92, "unshare": 97,
            "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace":
            117, "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122, "kill": 129, "tkill": 130,
            "rt_sigqueueinfo": 138, "setpriority": 140, "reboot": 142, "setpgid": 154, "setsid": 157, "sethostname":
            161, "setdomainname": 162, "setrlimit": 164, "settimeofday": 170, "adjtimex": 171, "mq_open": 180,
            "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "semget": 190, "semctl": 191,
            "semtimedop": 192, "semop": 193, "shmget": 194, "shmctl": 195, "shmat": 196, "socket": 198, "socketpair":
            199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "add_key": 217, "request_key": 218,
            "keyctl": 219, "clone": 220, "execve": 221, "swapon": 224, "swapoff": 225, "migrate_pages": 238,
            "move_pages": 239, "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "accept4": 242, "prlimit64": 261,
            "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns":
            268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "sched_setattr":
            274, "renameat2": 276, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
            "kexec_file_load": 294,
        },
    ),
}  # fmt: skip


def limit_memory(more_bytes: int) -> None:
    """Let this process take so many bytes more than it has now: address space, since that is what a header can ask for.

    Where the pod's memory is short all the same, the kernel ends this process before others.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold audio
    with contextlib.suppress(OSError):  # a container may have /proc read-only
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def keep_freed_memory() -> None:
    """Keep up to 16 MiB of what was freed for the next recording, and take arrays of up to 8 MiB from it.

    glibc gives such memory back to the kernel after each recording, and gets it as zeroed pages for the next: 2 % of
    what a recording costs. Other C libraries have no such setting.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_TRIM_THRESHOLD, 16 * 1024 * 1024)
        mallopt(_MMAP_THRESHOLD, 8 * 1024 * 1024)


def close_cage(connection: int) -> bool:
    """Keep one descriptor and take no others, write no files, refuse system calls; for good.

    All that is to be imported or opened must have been before. Return whether the kernel filters calls: where it or the
    processor has no filter, the other limits hold.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # libraries write to them
        os.dup2(nothing, standard)
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in (0, 1, 2, connection):
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return _filter_system_calls()


def limit_cpu(seconds: float) -> None:
    """End this process when it has used so much more CPU time; 0.0: no longer."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _filter_system_calls() -> bool:
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    program = _program(*known)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(head), 0, 0) == 0)


def _program(architecture: int, tgkill: int, refused: dict[str, int]) -> bytes:
    """Return a program of classic BPF: one instruction is its code, two distances to jump, and a number."""
    refuse, absent = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, refuse),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, refuse),
        (_AT_LEAST, 0, 1, _NEW),
        (_RETURN, 0, 0, absent),
    ]
    for number in sorted(refused.values()):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    steps += [
        # `abort` of a library ends its own process with it.
        (_EQUAL, 0, 4, tgkill),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, os.getpid()),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
