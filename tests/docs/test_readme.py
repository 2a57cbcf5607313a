"""README.md and README.es.md say the same, and every command in them is run as it stands, in a clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from laptop.service import CHECKOUT
from local_triton.ports import free_ports
from tests.docs.blocks import blocks
from tests.integration.processes import wait_for
from tests.local_triton.leftovers import leftovers

ENGLISH, SPANISH = CHECKOUT / "README.md", CHECKOUT / "README.es.md"
ENVIRONMENTS = (".venv", ".venv-triton", ".venv-node", ".venv-kubectl")


def commands(document: Path) -> list[str]:
    """Without the comments, which are in the document's language; a line that ends in a backslash goes on."""
    lines = "".join(blocks(document, "sh")).replace("\\\n", "").splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def test_both_have_the_same_content() -> None:
    english, spanish = ENGLISH.read_text(), SPANISH.read_text()
    assert commands(ENGLISH) == commands(SPANISH)
    for form in (r"^(#+) ", r"^\| (\[?`[^|]*)\|", r"\]\((?!README)([^)]+)\)", r"^```(\w+)", r"^  +(\w+) ?[\[(-]"):
        assert re.findall(form, english, re.M) == re.findall(form, spanish, re.M), form
    assert "(README.es.md)" in english
    assert "(README.md)" in spanish


def clone(parent: Path) -> Path:
    """The line of the README, and what the verbs would spend minutes on: the environments, which are this
    checkout's.
    """
    line = commands(ENGLISH)[0]
    assert line == "git clone <this repository> tosia && cd tosia"
    subprocess.run(
        ["bash", "-c", line.replace("<this repository>", f"--quiet '{CHECKOUT}'")],
        cwd=parent,
        check=True,
        capture_output=True,
    )
    folder = parent / "tosia"
    for name in ENVIRONMENTS:
        if (CHECKOUT / name).exists():
            (folder / name).symlink_to(CHECKOUT / name)
    for path in (folder / "requirements").rglob("*"):
        os.utime(path, (0, 0))  # older than the environments, as in a checkout that has been used
    return folder


@pytest.mark.system
@pytest.mark.timeout(300)
def test_every_command_runs(tmp_path: Path) -> None:
    folder = clone(tmp_path)
    port, metrics_port = free_ports(2)
    # 8080 may be somebody's, so curl is led to the port that is ours.
    (tmp_path / ".curlrc").write_text(f'connect-to = "127.0.0.1:8080:127.0.0.1:{port}"\nnoproxy = "*"\n')
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "TRITON_", "API_KEY", "MAKE"))
        },
        "CURL_HOME": str(tmp_path),
    }

    def shell(line: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env={**environment, **more}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, line + done.stdout + done.stderr
        said.append(done.stderr)
        return done.stdout

    said: list[str] = []
    _, demo, test, run, curl, example, diagnose, replay = commands(ENGLISH)
    before = leftovers()
    diagnosis = json.loads(shell(demo))
    assert (diagnosis["status"], diagnosis["audio"]["codec"]) == ("ok", "opus")
    with Image.open(folder / "build" / "demo.png") as figure:
        figure.load()
        assert figure.format == "PNG"
    assert said == ["The figure is in build/demo.png.\n"]
    assert not (folder / "var").exists()
    wait_for(lambda: leftovers() <= before, "no shared memory and no scratch folder stays")
    # It runs this very suite, and so this test: here only that it would.
    assert re.search(r"\.venv/bin/python -m pytest -m ", shell(f"{test} --dry-run"), re.M)
    serving = subprocess.Popen(
        ["bash", "-c", f"exec {run}"],
        cwd=folder,
        env={**environment, "PORT": str(port), "METRICS_PORT": str(metrics_port)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert serving.stdout
        printed = [next(serving.stdout) for _ in range(6)]
        assert printed[0].startswith(f"Console:          http://127.0.0.1:{port} ")
        assert json.loads(shell(curl))["state"] == "diagnosed"
    finally:
        os.killpg(serving.pid, 2)
        serving.communicate(timeout=60)
    shell(example)
    shell(diagnose)
    assert len((folder / "diagnoses.jsonl").read_text().splitlines()) == 8
    assert len(list((folder / "figures").glob("*.png"))) == 8
    assert shell(replay).splitlines()[-1] == "The diagnosis is repeated: identical."
    wait_for(lambda: serving.poll() is not None, "what was started has ended")
