"""Builds Dockerfile.frontend without a daemon and without a registry: Debian's buildah, on a base made by debootstrap.

The base is Debian 13 with its Python 3.13, under the name that the Dockerfile asks for. The official image differs: its
Python is compiled by itself into /usr/local, with pip beside it and without bytecode (docs/image.md).

Everything lies in one temporary folder, buildah's storage included, and goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from laptop.service import CHECKOUT
from tests.image.parent import end_with_parent
from tests.image.pip_settings import lend, pip_settings

BASE = "python:3.13-slim-trixie"
IMAGE = "tosia-frontend"
SUITE = "trixie"
# Of what the official image has beside Python: the certificates that TLS to Azure is checked against.
PACKAGES = "python3,python3-venv,ca-certificates"

Tree = dict[str, tuple[int, int]]
"""Path below the root -> mode (with the file's type) and size; folders and links have size 0."""


def missing() -> str | None:
    """What keeps this machine from building, in words that say what to do."""
    if os.geteuid() != 0:
        return "building the image needs root: debootstrap and mounts"
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            return f"{program} is missing: apt-get install buildah debootstrap"
    if subprocess.run(
        ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "true"], capture_output=True, check=False
    ).returncode:
        return "this machine's root may not make namespaces (unshare --mount --pid)"
    if mirror() is None:
        return f"apt here knows no source of Debian, which the base is made of ({SUITE})"
    return None


def mirror() -> str | None:
    """Where this machine's apt takes Debian from: whatever its own release, all of them are there."""
    if shutil.which("apt-get") is None:
        return None
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = [line.split()[2] for line in listed.splitlines() if line.startswith("Debian main http")]
    return found[0] if found else None


class Build:
    """As a context manager: the storage of buildah, and what is built in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base: Tree = {}
        self.settings = pip_settings()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.buildah("umount", "--all", check=False)
        shutil.rmtree(self.folder)

    def buildah(self, *arguments: str | Path, check: bool = True) -> str:
        """What it prints on stdout."""
        storage = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return self._run(["buildah", *storage, "--storage-driver", "vfs", *map(str, arguments)], check=check)

    def _run(self, command: list[str], check: bool = True) -> str:
        """In namespaces of its own: it ends with all that it started, and what it mounts is gone before anything is
        removed.
        """
        alone = ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
        run = subprocess.run(
            [*alone, *command], capture_output=True, text=True, check=False, preexec_fn=end_with_parent
        )
        assert not check or run.returncode == 0, f"{command[0]}: {run.stdout[-2000:]}{run.stderr[-4000:]}"
        return str(run.stdout).strip()

    def make_base(self, name: str = BASE, suite: str = SUITE, packages: str = PACKAGES) -> None:
        """The stand-in for `name`; `base` then tells what is in it."""
        container = self.buildah("from", "scratch")
        root = Path(self.buildah("mount", container))
        # Without a keyring debootstrap would only warn, and go on.
        options = ["--force-check-gpg", "--variant=minbase", f"--include={packages}"]
        self._run(["debootstrap", *options, suite, str(root), str(mirror())])
        for pattern in ("var/cache/apt/**/*", "var/lib/apt/lists/**/*"):
            for file in root.glob(pattern):
                if file.is_file():
                    file.unlink()
        self.base = tree(root)
        self.buildah("commit", "--quiet", "--rm", container, name)

    def build(self, context: Path = CHECKOUT, **arguments: str) -> None:
        """arguments: of the Dockerfile (ARG)."""
        options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
        self.build_from(context / "Dockerfile.frontend", context, IMAGE, *options)

    def build_from(self, dockerfile: Path, context: Path, image: str, *options: str) -> None:
        """Of a base that was made here: none is pulled."""
        self.buildah(
            *("bud", "--isolation", "chroot", "--pull-never", "--quiet", "--tag", image),
            *("--format", "docker"),  # OCI's own has no HEALTHCHECK
            *options,
            *lend(self.settings, self.folder),
            *("--file", dockerfile, context),
        )

    def entering(self, context: Path) -> set[str]:
        """The files of `context` that .dockerignore lets into a build."""
        file = self.folder / "Dockerfile.context"
        file.write_text("FROM scratch\nCOPY . /\n")
        self.buildah("bud", "--isolation", "chroot", "--quiet", "--tag", "context", "--file", file, context)
        root = self.mount("context")
        return {name for name, (_, size) in tree(root).items() if size}

    def mount(self, image: str = IMAGE) -> Path:
        """The image's files; a copy."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", image)))

    def description(self) -> dict[str, Any]:
        """The image's own description, as Docker keeps it."""
        described: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", IMAGE))["Docker"]
        return described


def tree(root: Path) -> Tree:
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            size = status.st_size if path.is_file() and not path.is_symlink() else 0
            found[str(path.relative_to(root))] = (status.st_mode, size)
    return found
