"""Both builds: this checkout as it stands, and another commit of it, each with its own release and environments."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.against.environments import AgainstError, environment
from laptop.service import CHECKOUT

_SERVING = Path("requirements/serving.txt")
_TRITON = Path("requirements/triton.txt")
_NEEDED = (_SERVING, _TRITON, Path("model_repository/manifest.json"), Path("frontend"), Path("local_triton"))


@dataclass(frozen=True, slots=True)
class Build:
    """name: in messages; serving: environment of the front end, triton: of Triton."""

    name: str
    checkout: Path
    serving: Path
    triton: Path


def commit_of(name: str, repository: Path = CHECKOUT) -> str:
    """The full hash that a commit's name stands for. Raises: AgainstError."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise AgainstError(f"There is no commit {name!r} in this checkout: name one of `git log`.")
    return found.stdout.decode().strip()


@contextmanager
def checkout_of(commit: str, repository: Path = CHECKOUT) -> Iterator[Path]:
    """The files of a commit in a folder that is removed at the end. Raises: AgainstError."""
    with tempfile.TemporaryDirectory(prefix="tosia-against-") as text:
        folder = Path(text)
        archive = _git(repository, "archive", "--format=tar", commit).stdout
        subprocess.run([_program("tar"), "-x", "-C", text], input=archive, check=True)
        missing = [str(path) for path in _NEEDED if not (folder / path).exists()]
        if missing:
            raise AgainstError(f"Commit {commit[:7]} can't be measured: it has no {', no '.join(missing)}.")
        yield folder


def build_of(name: str, checkout: Path) -> Build:
    """With environments of its own locks; a lock that both builds have makes one. Raises: AgainstError."""
    triton = CHECKOUT / ".venv-triton"
    if (checkout / _TRITON).read_bytes() != (CHECKOUT / _TRITON).read_bytes():
        triton = environment(checkout / _TRITON, f"the environment of Triton of {name}", ["--no-deps"])
    serving = environment(checkout / _SERVING, f"the environment of {name}")
    return Build(name, checkout, serving, triton)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([_program("git"), "-C", str(repository), *arguments], capture_output=True, check=False)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise AgainstError(f"The other build comes from git by way of tar: install {name}.")
    return found
