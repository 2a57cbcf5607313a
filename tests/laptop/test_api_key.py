"""The key: generated once and kept to oneself, or the caller's own."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from laptop.api_key import api_key
from laptop.errors import SetupError


@pytest.fixture(autouse=True)
def no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY", raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    first = api_key(tmp_path / "var")
    assert (first.generated, len(first.value)) == (True, 43)  # 32 random bytes in base64
    assert mode(tmp_path / "var" / "api_key") == 0o600
    assert api_key(tmp_path / "var") == first
    assert api_key(tmp_path / "other").value != first.value


def test_a_key_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("somebody-s\n")
    (tmp_path / "api_key").chmod(0o644)
    assert api_key(tmp_path).value == "somebody-s"
    assert mode(tmp_path / "api_key") == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", "Schlüssel".encode()])
def test_a_key_file_without_a_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "api_key").write_bytes(content)
    with pytest.raises(SetupError, match=r"^var/api_key [^\n]*remove it"):
        api_key(tmp_path)


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(SetupError, match=r"^var/api_key [^\n]*set API_KEY\.$"):
        api_key(tmp_path / "var")


@pytest.mark.parametrize(
    ("given", "header"), [("bare", "bare"), ("name:key", "key"), ("a:k1,b:k2", "k2"), ("a:k1, b:k2", "k2"), ("", "")]
)
def test_a_key_of_the_caller_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, header: str) -> None:
    monkeypatch.setenv("API_KEY", given)
    key = api_key(tmp_path)
    assert (key.value, key.generated) == (given, False)
    assert not (tmp_path / "api_key").exists()
    assert shell_says(key.shell, API_KEY=given) == header


@pytest.mark.parametrize("folder", ["plain", "with blank", "with 'quote", 'with "two', "with $HOME"])
def test_the_shell_finds_the_key(tmp_path: Path, folder: str) -> None:
    key = api_key(tmp_path / folder)
    assert shell_says(key.shell) == key.value


def shell_says(expression: str, **environment: str) -> str:
    command = ["bash", "-c", f'printf %s "{expression}"']
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout
