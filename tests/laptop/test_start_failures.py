"""What keeps the system from starting: one line that says what to do, exit code 2, nothing left running."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from laptop.service import CHECKOUT
from local_triton.ports import free_ports
from tests.laptop.checkouts import copy_checkout, laptop, run_arguments


def broken_config(checkout: Path) -> None:
    text = (checkout / "config.yml").read_text()
    (checkout / "config.yml").unlink()
    (checkout / "config.yml").write_text(text + "\n  : [\n")


def unreadable_config(checkout: Path) -> None:
    """A folder: root, as which the tests may run, reads files of any mode."""
    (checkout / "config.yml").unlink()
    (checkout / "config.yml").mkdir()


def wrong_value(checkout: Path) -> None:
    text = (checkout / "config.yml").read_text()
    (checkout / "config.yml").unlink()
    (checkout / "config.yml").write_text(text.replace("n_fft: 256", "n_fft: many"))


def no_triton(checkout: Path) -> None:
    (checkout / ".venv-triton").unlink()


def no_models(checkout: Path) -> None:
    (checkout / "model_repository").unlink()


def var_is_a_file(checkout: Path) -> None:
    (checkout / "var").write_text("a file")


def store_is_a_folder(checkout: Path) -> None:
    (checkout / "var" / "calls.sqlite").mkdir(parents=True)


SPOILED: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "config.yml can't be read": (unreadable_config, ("config.yml", "restore it")),
    "config.yml is no YAML": (broken_config, ("config.yml", "line")),
    "a wrong value in config.yml": (wrong_value, ("config.yml", "mel_spec.n_fft", "'many'")),
    "no Triton environment": (no_triton, (".venv-triton", "make run")),
    "no model repository": (no_models, ("model_repository", "make export")),
    "var is a file": (var_is_a_file, ("var/api_key",)),
    "the record store is a folder": (store_is_a_folder, ("calls.sqlite", "var/")),
}


def assert_one_line(checkout: Path, *arguments: str, expected: tuple[str, ...], **environment: str) -> None:
    process = laptop(checkout, *arguments, **environment)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, ""), errors
    assert errors.startswith("tosia: ")
    assert errors.count("\n") == 1, errors
    for part in expected:
        assert part in errors


# One for each of the programs that notice: `laptop` itself, the front end before it opens anything, and while it does.
QUICK = ("no Triton environment", "a wrong value in config.yml", "the record store is a folder")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.system) for name in SPOILED]
)
def test_a_spoiled_checkout(tmp_path: Path, name: str) -> None:
    spoil, expected = SPOILED[name]
    spoil(copy_checkout(tmp_path))
    assert_one_line(tmp_path, *run_arguments(), expected=expected)


def no_folder(candidate: Path) -> None:
    shutil.rmtree(candidate)


def no_manifest(candidate: Path) -> None:
    (candidate / "manifest.json").unlink()


def manifest_of_another_kind(candidate: Path) -> None:
    (candidate / "manifest.json").write_text('["a", "list"]')


def a_file_less(candidate: Path) -> None:
    (candidate / "cough_cnn" / "config.pbtxt").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_folder, "is no folder"),
        (no_manifest, "is no release"),
        (manifest_of_another_kind, "is no release"),
        (a_file_less, "is not whole: cough_cnn/config.pbtxt is missing"),
    ],
)
def test_a_candidate_that_is_no_release(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    """Before anything is started: no Triton is needed to see it."""
    copy_checkout(tmp_path, ".venv-triton")
    shutil.copytree(CHECKOUT / "model_repository", tmp_path / "other")
    spoil(tmp_path / "other")
    assert_one_line(tmp_path, *run_arguments(), "--candidate", "other", expected=("CANDIDATE=other", said))
    assert not (tmp_path / "var").exists()


def test_an_empty_key(tmp_path: Path) -> None:
    assert_one_line(copy_checkout(tmp_path), *run_arguments(), expected=("API_KEY is missing or empty",), API_KEY="")


def test_ports_in_use(tmp_path: Path) -> None:
    copy_checkout(tmp_path)
    free = str(free_ports(1)[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        assert_one_line(tmp_path, "run", "--port", number, "--metrics-port", free, expected=(number, "make run PORT="))
        assert_one_line(
            tmp_path, "run", "--port", free, "--metrics-port", number, expected=(number, "make run METRICS_PORT=")
        )
    assert_one_line(tmp_path, "run", "--port", free, "--metrics-port", free, expected=(free, "METRICS_PORT"))


@pytest.mark.parametrize("port", ["0", "-1", "65536", "http", ""])
def test_numbers_that_are_no_ports(tmp_path: Path, port: str) -> None:
    process = laptop(copy_checkout(tmp_path), "run", "--port", port)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert "Traceback" not in errors
    assert "--port" in errors
