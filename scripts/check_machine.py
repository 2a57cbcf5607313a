"""Before anything is installed: does this machine have what it takes? Standard library only, any Python 3.

    check_machine.py [triton|tests]

Without a word: for the front end alone. triton: for `make run` and `make demo`. tests: also what some tests need;
without it they are skipped, so this says so and goes on.

Exits 0; 2 with one message that names all that is missing, and the command that installs it.
"""

import platform
import shutil
import sys
import sysconfig
from pathlib import Path

PYTHONS = ((3, 11), (3, 12), (3, 13))
SYSTEM_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/local/lib", "/usr/lib64")
# Program -> Debian's and Ubuntu's packages.
OF_TESTS = (
    ("npm", "nodejs npm"),
    ("chromium", "chromium fonts-dejavu-core"),
    ("promtool", "prometheus"),
    ("qemu-x86_64-static", "qemu-user-static"),
    ("curl", "curl"),
)


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    found = ".".join(str(part) for part in sys.version_info[:2])
    if sys.version_info[:2] not in PYTHONS:
        return refuse(
            "Python 3.11, 3.12 or 3.13 is needed, and this is "
            + found
            + ": "
            + other_python()
            + "; then name it, as in "
            "`make demo PYTHON=python3.13`"
        )
    if platform.system() != "Linux":
        return refuse("Linux is needed, and this is " + platform.system() + ": use .devcontainer")
    if what == "triton" and platform.machine() != "x86_64":
        return refuse(
            "Triton has no wheel for " + platform.machine() + ". What works here needs no server: `make .venv/.serving "
            "&& .venv/bin/python -m runtime diagnose FILE`"
        )
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 35):
        return refuse("glibc 2.35 or newer is needed (Debian 12, Ubuntu 22.04): use .devcontainer")
    packages = missing(what, found)
    if packages:
        return refuse("this machine lacks " + " and ".join(packages) + ": " + installing(packages))
    if what == "tests":
        packages = [packages for program, packages in OF_TESTS if not shutil.which(program)]
        if packages:
            say("without " + ", ".join(packages) + " some tests are skipped: " + installing(packages))
    return 0


def missing(what, found):
    """Return the packages that are missing."""
    packages = []
    try:
        import ensurepip  # noqa: F401, PLC0415
        import venv  # noqa: F401, PLC0415
    except ImportError:
        packages.append("python" + found + "-venv")
    if what and not has_libpython(found):
        packages.append("libpython" + found)
    return packages


def has_libpython(found):
    """Whether the shared library is there that Triton's Python stub needs; Debian's python3 does not bring it."""
    folders = (sysconfig.get_config_var("LIBDIR") or "", *SYSTEM_LIBRARIES)
    return any(Path(folder, "libpython" + found + ".so.1.0").exists() for folder in folders)


def other_python():
    """Return what brings a Python that fits."""
    try:
        system = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        system = ""
    if "jammy" in system:
        return "`apt-get install python3.11 python3.11-venv libpython3.11` (universe), or `uv python install 3.13`"
    return "`uv python install 3.13`, or your distribution's package"


def installing(packages):
    return "apt-get install " + " ".join(packages)


def say(words):
    print("tosia: " + words + ".", file=sys.stderr)


def refuse(reason):
    say(reason)
    return 2


if __name__ == "__main__":
    sys.exit(main())
