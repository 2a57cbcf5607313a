"""What the image's environment loses: tests, sources, and the tail of shared libraries; what is left still loads."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import uvloop

from laptop.service import CHECKOUT


@pytest.fixture(scope="module")
def slim() -> ModuleType:
    """A script, not a module of a package."""
    specification = importlib.util.spec_from_file_location("slim", CHECKOUT / "scripts" / "slim.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A large one out of a wheel, with its symbols."""
    (source,) = Path(uvloop.__file__).parent.glob("loop.*.so")
    return Path(shutil.copy(source, tmp_path))


def test_a_library_without_its_tail_loads(slim: ModuleType, library: Path) -> None:
    before = library.stat().st_size
    saved = slim.cut_tail(library)
    assert saved > before / 2
    assert library.stat().st_size == before - saved
    load = "import importlib.util, sys; from importlib.machinery import ExtensionFileLoader as Loader; \
loader = Loader('uvloop.loop', sys.argv[1]); spec = importlib.util.spec_from_loader('uvloop.loop', loader); \
loader.exec_module(importlib.util.module_from_spec(spec)); print(loader.path)"
    run = subprocess.run([sys.executable, "-c", load, library], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == str(library), run.stderr


def test_nothing_is_cut_twice(slim: ModuleType, library: Path) -> None:
    slim.cut_tail(library)
    content = library.read_bytes()
    assert slim.cut_tail(library) == 0
    assert library.read_bytes() == content


def test_what_is_no_library_is_left_alone(slim: ModuleType, tmp_path: Path) -> None:
    for content in (b"", b"INPUT(libm.so.6)\n", b"\x7fELF\x01\x01" + bytes(100)):
        file = tmp_path / "text.so"
        file.write_bytes(content)
        assert slim.cut_tail(file) == 0
        assert file.read_bytes() == content


def test_only_tests_and_sources_of_packages_go(slim: ModuleType, tmp_path: Path) -> None:
    kept = ["package/code.py", "package/testing/code.py", "tests/code.py", "package/data.csv"]
    lost = ["package/tests/code.py", "package/part/test/data.csv", "package/include/api.h", "package/code.pyx"]
    lost.append("package/stub.pyi")
    for name in (*kept, *lost):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    slim.remove(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
