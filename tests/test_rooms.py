"""Each package's docstring lists all its modules and subpackages, one a line, and nothing that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from laptop.service import CHECKOUT

PACKAGES = (
    "preprocess",
    "runtime",
    "frontend",
    "training",
    "export",
    "bench",
    "planning",
    "k8s",
    "local_triton",
    "laptop",
    "samples",
)
FOLDERS = sorted(
    file.parent.relative_to(CHECKOUT).as_posix()
    for package in PACKAGES
    for file in (CHECKOUT / package).rglob("__init__.py")
)


def listed(docstring: str) -> list[str]:
    """Names of the lines `name   what it is`: at the margin, with two or more blanks behind the name."""
    return re.findall(r"^(\w+) {2,}\S", docstring, re.MULTILINE)


def modules(folder: Path) -> set[str]:
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    packages = {path.name for path in folder.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    console = {"console"} & {path.name for path in folder.iterdir()}
    return files | packages | console


@pytest.mark.parametrize("name", FOLDERS)
def test_the_docstring_of_a_package_lists_its_modules(name: str) -> None:
    folder = CHECKOUT / name
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    found = listed(docstring)
    assert len(found) == len(set(found)), f"{name} lists a module twice"
    assert set(found) == modules(folder)


def test_every_folder_with_modules_is_a_package() -> None:
    """`local_triton/backends` holds files that Triton runs, not modules of ours."""
    folders = {file.parent for package in PACKAGES for file in (CHECKOUT / package).rglob("*.py")}
    bare = {path.relative_to(CHECKOUT).as_posix() for path in folders if not (path / "__init__.py").exists()}
    assert bare == {"local_triton/backends/onnxruntime"}
