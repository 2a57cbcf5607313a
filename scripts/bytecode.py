"""Compiles what a server imports: `python -X pycache_prefix=FOLDER bytecode.py PACKAGE...`, where the packages lie.

Into a tree of its own, which the server is told by PYTHONPYCACHEPREFIX: its file system is read-only, the official
Python image brings the standard library without bytecode, and new code then changes a small layer of the image and not
the packages' large one. Nothing is compared with the sources (`unchecked-hash`): in an image they do not change, and
not every builder keeps times. What is not imported is not compiled; that halves it.

Fails where a module of ours lacks one that it imports, unless that belongs to another environment.
"""

import importlib
import pkgutil
import py_compile
import sys
from pathlib import Path

ELSEWHERE = {
    "torch",
    "onnx",
    "onnxscript",
    "training",
    "local_triton",
}  # what turning a checkpoint into a release needs


def main(packages: list[str]) -> int:
    sys.path.insert(0, str(Path.cwd()))
    for package in packages:
        import_all(package)
    files = {str(module.__file__) for name, module in sys.modules.items() if name != "__main__" and is_source(module)}
    for file in sorted(files):
        py_compile.compile(file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    print(f"bytecode: {len(files)} modules")
    return 0


def import_all(package: str) -> None:
    """Raises: ModuleNotFoundError."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if str(error.name).split(".")[0] not in ELSEWHERE:
                raise


def is_source(module: object) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and file.endswith(".py") and Path(file).exists()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
