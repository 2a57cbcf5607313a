"""`make devcontainer-test`: builds .devcontainer/Dockerfile and runs in it what an editor runs once it has been made.

As an editor does it: by the user of the image, in a checkout of its own that is mounted below /workspaces. The base is
Debian's tree under the name that the Dockerfile asks for, as in build.py. The official image has its Python in
/usr/local, with its libpython.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from laptop.service import CHECKOUT
from tests.image.build import PACKAGES, Build, missing
from tests.image.pip_settings import lend

FOLDER = CHECKOUT / ".devcontainer"
IMAGE = "tosia-devcontainer"
WORKSPACE = f"/workspaces/{CHECKOUT.name}"


def base() -> tuple[str, str, str]:
    """Name, Debian's suite, and Python's version: `python:3.11-slim-bookworm`, `bookworm`, `3.11`."""
    found = re.search(r"^FROM (python:([0-9.]+)-slim-([a-z]+))$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None, "the Dockerfile names no base of a suite"
    return found[1], found[3], found[2]


def main() -> int:
    """0, or 2 where this machine can't build."""
    reason = missing()
    if reason is not None:
        print(f"devcontainer-test: {reason}", file=sys.stderr)
        return 2
    command = json.loads((FOLDER / "devcontainer.json").read_text())["postCreateCommand"]
    name, suite, version = base()
    with Build(Path(tempfile.mkdtemp(prefix="tosia-devcontainer-"))) as build:
        print(f"Making a stand-in for {name} (a minute) ...", file=sys.stderr)
        build.make_base(name, suite, f"{PACKAGES},libpython{version}")
        print("Building .devcontainer/Dockerfile ...", file=sys.stderr)
        build.build_from(FOLDER / "Dockerfile", FOLDER, IMAGE)
        container = build.buildah("from", "--pull-never", IMAGE)
        checkout = build.folder / "checkout"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, checkout], check=True)
        print(f"Running `{command}` in it ...", file=sys.stderr)
        mounts = [*lend(build.settings, build.folder), "--volume", f"{checkout}:{WORKSPACE}"]
        run = ["run", "--isolation", "chroot", *mounts, "--workingdir", WORKSPACE, container, "--", "sh", "-c", command]
        print(build.buildah(*run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
