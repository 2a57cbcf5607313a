"""Finds the Python environment that holds Triton's wheel, and checks that the server can run in it.

It is an environment of its own (`.venv-triton`, locked in requirements/triton.txt), with the ONNX Runtime of Triton
24.10, as Triton is a container of its own in production. Another one can be named in `TOSIA_TRITON_ENV`.
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from local_triton.errors import MissingLibraryError, UnsupportedPlatformError, UnusableEnvironmentError

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENT_VARIABLE = "TOSIA_TRITON_ENV"
MIN_GLIBC = (2, 35)  # the wheel's binaries were built on Ubuntu 22.04
ELSEWHERE = "work in the container that .devcontainer describes."
REMAKE = "remove it and make it again from requirements/triton.txt."


# Where Debian and Ubuntu, and builds of one's own, put a shared libpython.
SYSTEM_LIBRARIES = tuple(
    map(Path, ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/local/lib", "/usr/lib64"))
)
STUB_NAME = "triton_python_backend_stub"


@dataclass(frozen=True)
class TritonEnvironment:
    """Where the parts of the server lie; all of them exist."""

    path: Path
    python: str  # like "3.11": a stub is built for one version
    site_packages: Path
    libpython: Path | None = None  # set only where the system's loader would not find the right one by itself
    libpython_name: str = ""  # under which the stub asks for it

    @property
    def server(self) -> Path:
        """The program `tritonserver`."""
        return self.site_packages / "pytriton/tritonserver/bin/tritonserver"

    @property
    def python_backend(self) -> Path:
        """Folder of the Python backend, which comes without a stub."""
        return self.site_packages / "pytriton/tritonserver/backends/python"

    @property
    def stub(self) -> Path:
        """The program in which the Python backend runs a model, for this environment's Python."""
        return self.site_packages / "pytriton/tritonserver/python_backend_stubs" / self.python / STUB_NAME

    @property
    def libraries(self) -> Path:
        """Folder of the shared libraries that the wheel brings."""
        return self.site_packages / "nvidia_pytriton.libs"


# Answers which shared libraries of a program the loader would miss, given folders to search first.
MissingLibraries = Callable[[Path, list[Path]], list[str]]


def find_environment(
    path: Path | None = None, *, missing_libraries: MissingLibraries | None = None
) -> TritonEnvironment:
    """The environment that the server runs in, after a check of all that would otherwise fail late or in silence.

    path: the environment; by default the one named in `TOSIA_TRITON_ENV`, or else `.venv-triton` in the checkout.
    Raises UnsupportedPlatformError, UnusableEnvironmentError, MissingLibraryError.
    """
    check_platform(platform.system(), platform.machine(), platform.libc_ver())
    path = (path or Path(os.environ.get(ENVIRONMENT_VARIABLE) or CHECKOUT / ".venv-triton")).absolute()
    facts = _probe(path)
    check_versions(path, facts["versions"])

    environment = TritonEnvironment(path, facts["python"], Path(facts["site_packages"]))
    for part in (environment.server, environment.python_backend, environment.stub, environment.libraries):
        if not part.exists():
            lacks = part.relative_to(environment.site_packages)
            raise UnusableEnvironmentError(f"The Triton environment {path} lacks {lacks}: {REMAKE}")

    libpython, name = find_libpython(environment, Path(facts["library_dir"]), missing_libraries or loader_misses)
    return TritonEnvironment(path, environment.python, environment.site_packages, libpython, name)


def check_platform(system: str, machine: str, libc: tuple[str, str]) -> None:
    """Raises UnsupportedPlatformError unless this is Linux on x86-64 with glibc 2.35 or newer.

    libc: as from `platform.libc_ver()`, like ("glibc", "2.36").
    """
    if (system, machine) != ("Linux", "x86_64"):
        raise UnsupportedPlatformError(
            f"Triton's wheel needs Linux on x86-64, this is {system} on {machine}: {ELSEWHERE}"
        )
    name, version = libc
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < MIN_GLIBC:
        needs = ".".join(map(str, MIN_GLIBC))
        here = f"glibc {version}" if name == "glibc" else "another C library"
        raise UnsupportedPlatformError(f"Triton's wheel needs glibc {needs} or newer, this is {here}: {ELSEWHERE}")


class _Facts(TypedDict):
    python: str
    site_packages: str
    library_dir: str
    versions: dict[str, str | None]


# Runs in the other environment's interpreter, so that nothing is guessed from the names of folders.
PROBE = """
import importlib.metadata as metadata, json, sys, sysconfig
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "site_packages": sysconfig.get_path("platlib"),
    "library_dir": sysconfig.get_config_var("LIBDIR") or "",
    "versions": {name: version(name) for name in ("nvidia-pytriton", "numpy", "onnxruntime")},
}))
"""


def _probe(path: Path) -> _Facts:
    python = path / "bin" / "python"
    if not python.exists():
        raise UnusableEnvironmentError(
            f"There is no Triton environment at {path}: `make run` makes it from requirements/triton.txt, "
            f"and {ENVIRONMENT_VARIABLE} names another."
        )
    try:
        answer = subprocess.run([python, "-I", "-c", PROBE], env={}, capture_output=True, timeout=30, check=True)
        return cast(_Facts, json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UnusableEnvironmentError(f"The Python of the Triton environment {path} does not run: {REMAKE}") from error


def check_versions(path: Path, versions: dict[str, str | None]) -> None:
    """Raises UnusableEnvironmentError for a missing package, or for NumPy 1: its arrays can't be handed over."""
    for name, version in versions.items():
        if version is None:
            raise UnusableEnvironmentError(f"The Triton environment {path} lacks the package {name}: {REMAKE}")
    numpy = versions["numpy"] or ""
    if int(numpy.split(".")[0]) < 2:
        raise UnusableEnvironmentError(f"The Triton environment {path} has NumPy {numpy}, not 2 or newer: {REMAKE}")


def find_libpython(
    environment: TritonEnvironment,
    library_dir: Path,
    missing_libraries: MissingLibraries,
    system_dirs: Sequence[Path] = SYSTEM_LIBRARIES,
) -> tuple[Path | None, str]:
    """The libpython that the stub must be pointed to, and the name under which it asks for it; None where the loader
    finds the right one by itself.

    The stub for Python 3.13 asks for a copy that the wheel brings, with which NumPy can't be imported: it is given the
    interpreter's own.
    library_dir: `lib/` of the environment's interpreter: a shared build (pyenv, uv, conda) has it there.
    Raises MissingLibraryError, naming the Debian package.
    """
    wanted = f"libpython{environment.python}.so.1.0"
    if copy := _bundled_libpython(environment):
        for folder in (library_dir, *system_dirs):
            if (folder / wanted).exists():
                return folder / wanted, copy
        raise _libpython_missing(wanted, environment.python)
    missing = missing_libraries(environment.stub, [environment.libraries])
    if not missing:
        return None, wanted
    library = library_dir / missing[0]
    if library.exists() and not missing_libraries(environment.stub, [environment.libraries, library_dir]):
        return library, missing[0]
    raise _libpython_missing(missing[0], environment.python)


def _bundled_libpython(environment: TritonEnvironment) -> str | None:
    """The name of the copy that the wheel brings for this Python, such as `libpython3-419a3a08.13.so.1.0`."""
    major, _, minor = environment.python.partition(".")
    pattern = rf"libpython{major}-[0-9a-f]+\.{minor}\.so\.1\.0"
    return next((item.name for item in environment.libraries.iterdir() if re.fullmatch(pattern, item.name)), None)


def _libpython_missing(library: str, python: str) -> MissingLibraryError:
    package = re.sub(r"\.so.*", "", library)
    return MissingLibraryError(
        f"Triton's Python stub needs {library}, which is not here: on Debian or Ubuntu run "
        f"`apt-get install {package}`, elsewhere install a Python {python} built with --enable-shared."
    )


def loader_misses(program: Path, library_dirs: list[Path]) -> list[str]:
    """Names of the shared libraries that the dynamic loader does not find for a program. Runs nothing of it."""
    listing = subprocess.run(
        ["/lib64/ld-linux-x86-64.so.2", "--list", program],
        env={"LD_LIBRARY_PATH": ":".join(map(str, library_dirs))},
        capture_output=True,
        text=True,
        check=False,
    )
    # It stops at the first: "…/stub: error while loading shared libraries: libx.so.1: cannot open shared object file".
    return re.findall(r"libraries: (\S+): cannot open", listing.stderr)
