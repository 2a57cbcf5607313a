"""Checkouts aside, for tests that spoil one: config.yml and the environments are at fixed places in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from laptop.service import CHECKOUT
from local_triton.ports import free_ports

OWN = {"API_KEY", "TOSIA_VAR", "TRITON_URL", "CANDIDATE_TRITON_URL"}
CODE = ("preprocess", "runtime", "frontend", "local_triton", "laptop")


def copy_checkout(folder: Path, *left_out: str) -> Path:
    """Links to this one, with Python packages as folders of links, since a module's file tells it where it is."""
    for name in CODE:
        for path in (
            *(CHECKOUT / name).rglob("*.py"),
            *(CHECKOUT / name).glob("console/*"),
            *(CHECKOUT / name).glob("messages/*.json"),
        ):
            copy = folder / path.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for name in ("config.yml", "model_repository", "samples", "requirements", "scripts", ".venv-triton"):
        if name not in left_out:
            (folder / name).symlink_to(CHECKOUT / name)
    return folder


def laptop(checkout: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m laptop`, with the environment's API_KEY removed unless given."""
    clean = {name: value for name, value in os.environ.items() if name not in OWN}
    return subprocess.Popen(
        [sys.executable, "-m", "laptop", *arguments],
        cwd=checkout,
        env={**clean, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a signal to the group is a Ctrl-C that does not reach the tests
    )


def run_arguments() -> tuple[str, ...]:
    port, metrics_port = free_ports(2)
    return ("run", "--port", str(port), "--metrics-port", str(metrics_port))
