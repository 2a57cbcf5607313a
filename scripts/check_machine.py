"""Before anything is installed: is this a machine that the packages exist for? Standard library only, any Python 3."""

import platform
import sys


def main() -> int:
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        found = "%d.%d" % sys.version_info[:2]  # noqa: UP031 - must parse in any Python 3
        return refuse("Python 3.11 or 3.12 is needed, and this is " + found + ": set PYTHON=python3.11")
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return refuse("Linux on x86-64 is needed")
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 35):
        return refuse("glibc 2.35 or newer is needed (Debian 12, Ubuntu 22.04)")
    try:
        import ensurepip  # noqa: F401, PLC0415
        import venv  # noqa: F401, PLC0415
    except ImportError:
        return refuse("Python's venv is missing: apt-get install python3-venv")
    return 0


def refuse(reason: str) -> int:
    print("tosia: " + reason + ", or use .devcontainer.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
