"""Each way in which Triton's environment can be unfit gives one line that says what to do."""

import json
from pathlib import Path

import pytest

from local_triton import MissingLibraryError, UnsupportedPlatformError, UnusableEnvironmentError
from local_triton.environment import (
    CHECKOUT,
    TritonEnvironment,
    check_platform,
    find_environment,
    find_libpython,
    loader_misses,
)


def fake_environment(folder: Path, **versions: str | None) -> Path:
    """An environment whose Python only tells these versions."""
    facts = {
        "python": "3.11",
        "site_packages": str(folder / "site-packages"),
        "library_dir": "",
        "versions": {"nvidia-pytriton": "0.7.0", "numpy": "2.4.6", "onnxruntime": "1.19.2", **versions},
    }
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    python.chmod(0o755)
    return folder


def test_the_real_one_is_fit() -> None:
    environment = find_environment()
    libpython = [environment.libpython.parent] if environment.libpython else []
    assert loader_misses(environment.stub, [environment.libraries, *libpython]) == []
    assert loader_misses(environment.server, [environment.libraries]) == []


def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOSIA_TRITON_ENV", str(tmp_path / "nowhere"))
    with pytest.raises(UnusableEnvironmentError, match=r"There is no Triton environment at .*nowhere: `make run`"):
        find_environment()


def test_numpy_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableEnvironmentError, match=r"NumPy 1\.26\.4, not 2 or newer: .*requirements/triton\.txt"):
        find_environment(fake_environment(tmp_path, numpy="1.26.4"))


def test_missing_package(tmp_path: Path) -> None:
    with pytest.raises(UnusableEnvironmentError, match="lacks the package onnxruntime"):
        find_environment(fake_environment(tmp_path, onnxruntime=None))


def test_missing_files_of_the_wheel(tmp_path: Path) -> None:
    with pytest.raises(UnusableEnvironmentError, match="lacks pytriton/tritonserver/bin/tritonserver"):
        find_environment(fake_environment(tmp_path))


def test_python_that_does_not_run(tmp_path: Path) -> None:
    folder = fake_environment(tmp_path)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UnusableEnvironmentError, match="does not run: remove it and make it again"):
        find_environment(folder)


def without_a_copy() -> TritonEnvironment:
    """The real one, as for a Python whose libpython the wheel does not bring."""
    real = find_environment()
    return TritonEnvironment(real.path, "3.11", real.site_packages)


def test_missing_libpython_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(MissingLibraryError, match=r"libpython3\.11\.so\.1\.0.*`apt-get install libpython3\.11`"):
        find_libpython(without_a_copy(), tmp_path, lambda stub, dirs: [f"libpython{stub.parent.name}.so.1.0"])


def test_libpython_of_a_shared_build_outside_the_system(tmp_path: Path) -> None:
    """As with pyenv or uv: the loader finds it only where it is pointed to."""
    environment = without_a_copy()
    name = f"libpython{environment.python}.so.1.0"
    (tmp_path / name).touch()
    found = find_libpython(environment, tmp_path, lambda stub, dirs: [] if tmp_path in dirs else [name])
    assert found == (tmp_path / name, name)


def test_the_copy_of_the_wheel_is_replaced_by_the_interpreters_own(tmp_path: Path) -> None:
    """With the copy that the wheel brings for Python 3.13, NumPy can't be imported in the stub."""
    real = find_environment()
    environment = TritonEnvironment(real.path, "3.13", real.site_packages)
    (copy,) = [item.name for item in real.libraries.iterdir() if item.name.endswith(".13.so.1.0")]
    (tmp_path / "lib").mkdir()
    ours = tmp_path / "lib" / "libpython3.13.so.1.0"
    ours.touch()
    nowhere = tmp_path / "nowhere"
    assert find_libpython(environment, ours.parent, loader_misses, [nowhere]) == (ours, copy)
    assert find_libpython(environment, nowhere, loader_misses, [nowhere, ours.parent]) == (ours, copy)
    with pytest.raises(MissingLibraryError, match=r"apt-get install libpython3\.13`"):
        find_libpython(environment, nowhere, loader_misses, [nowhere])


def test_loader_names_what_is_missing() -> None:
    """A stub for a Python that isn't installed; the wheel has six of them."""
    stubs = find_environment().stub.parent.parent
    missing = {name for stub in stubs.iterdir() for name in loader_misses(stub / "triton_python_backend_stub", [])}
    assert missing
    assert all(name.startswith("libpython3.") for name in missing)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "complaint"),
    [
        ("Darwin", "arm64", ("", ""), "Linux on x86-64, this is Darwin on arm64"),
        ("Linux", "aarch64", ("glibc", "2.39"), "this is Linux on aarch64"),
        ("Linux", "x86_64", ("glibc", "2.31"), r"glibc 2\.35 or newer, this is glibc 2\.31"),
        ("Linux", "x86_64", ("", ""), "another C library"),
    ],
)
def test_other_platforms_are_pointed_to_the_container(
    system: str, machine: str, libc: tuple[str, str], complaint: str
) -> None:
    with pytest.raises(UnsupportedPlatformError, match=complaint + r".*\.devcontainer"):
        check_platform(system, machine, libc)


def test_this_kind_of_platform_is_fine() -> None:
    check_platform("Linux", "x86_64", ("glibc", "2.35"))


def test_default_is_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOSIA_TRITON_ENV", raising=False)
    assert find_environment().path == CHECKOUT / ".venv-triton"
