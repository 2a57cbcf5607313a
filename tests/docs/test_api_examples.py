"""docs/api.md: every example runs as it stands, against the real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frontend.answers.http_errors import HTTP_ERRORS, INTERNAL_ERROR, METHOD_NOT_ALLOWED, NOT_FOUND
from laptop.service import CHECKOUT, Service
from runtime.diagnosis import Reason, Status
from tests.docs.blocks import blocks

DOCUMENT = CHECKOUT / "docs" / "api.md"


@pytest.fixture
def environment(service: Service, api_key: str) -> dict[str, str]:
    """What the page's first lines set, where it is set already."""
    return {**os.environ, "TOSIA_URL": service.url, "API_KEY": api_key, "no_proxy": "*", "CURL_HOME": "/nowhere"}


def run(command: list[str], environment: dict[str, str], given: str | None = None) -> str:
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt-get install curl")
def test_curl(environment: dict[str, str], tmp_path: Path) -> None:
    # Another checkout's tests on this machine write where the page says, too.
    lines = [line.replace("/tmp/", f"{tmp_path}/") for line in blocks(DOCUMENT, "sh")]  # noqa: S108
    # One shell, as a reader has; a refusal ends it.
    output = run(
        ["bash", "-euo", "pipefail"], environment, "\n".join(lines).replace("curl -sS", "curl --fail-with-body -sS")
    )
    answers, position, decoder = [], 0, json.JSONDecoder()
    while position < len(output.rstrip()):
        answer, position = decoder.raw_decode(output, position)
        answers.append(answer)
        position += len(output[position:]) - len(output[position:].lstrip())
    posted, read, page, model, ready, erased = answers
    assert posted["diagnosis"]["status"] == "ok"
    assert posted["guidance"]["language"] == "es"
    assert read == posted
    assert page.keys() == {"items", "next"}
    assert model["name"] == "cough_cnn"
    assert ready["status"] == "ready"
    assert erased == 204
    # What lies there is what the page says it is.
    for name, begins in (
        ("recording.ogg", b"OggS"),
        ("beginning.ogg", b"OggS"),
        ("channel.wav", b"RIFF"),
        ("figure.png", b"\x89PNG"),
        ("cough.png", b"\x89PNG"),
    ):
        assert (tmp_path / name).read_bytes().startswith(begins), name


def check_output(output: str) -> None:
    lines = output.splitlines()
    assert re.match(r"ok Se oyeron \d+ toses y el modelo pudo evaluarlas\.", lines[0])
    assert re.search(r"unsupported_media:? ", lines[-1])
    assert re.search(r"[0-9a-f]{32}", lines[-1])


def test_python(environment: dict[str, str]) -> None:
    (program,) = blocks(DOCUMENT, "python")
    output = run([sys.executable, "-W", "error", "-"], environment, program)
    check_output(output)
    assert re.search(r"^\d: \d\.\d\d-\d\.\d\d s, 0\.\d\d$", output, re.M)


def test_node(environment: dict[str, str], tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing: install nodejs")
    (program,) = blocks(DOCUMENT, "js")
    file = tmp_path / "example.mjs"
    file.write_text(program)
    check_output(run([node, str(file)], environment))


def test_every_code_is_explained() -> None:
    text = DOCUMENT.read_text()
    table = text[text.index("## Errors") :]
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", table, re.M)
    explained = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    known = (*HTTP_ERRORS.values(), NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR)
    assert explained == {(item.status, item.code) for item in known}


def test_every_status_and_reason_is_named() -> None:
    text = DOCUMENT.read_text()
    assert all(f"| `{statu.value}` |" in text for statu in Status)
    assert all(f"`{item.value}`" in text for item in Reason)
