"""The commands of docs/intake.md and docs/callbacks.md as they stand there, with Azurite and a receiver on loopback.

Those that begin with `az` need Azure: the queues are made through the SDK, and the events are written as Event Grid
writes them.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports
from tests.docs.blocks import blocks
from tests.intake.rig import Rig, event_grid, intake, wait_until
from tests.integration.processes import KEY

pytestmark = pytest.mark.timeout(300)


def commands(page: str) -> list[str]:
    """The lines of the page's shell blocks, without those of Azure's command line."""
    found = blocks(CHECKOUT / "docs" / page, "sh")
    lines = [line for block in found for line in block.replace("\\\n", " ").splitlines()]
    return [line.strip() for line in lines if not line.strip().startswith(("az ", "SCOPE="))]


def test_the_pages_have_the_commands_that_are_run_here() -> None:
    assert commands("intake.md") == [
        "python -m frontend --metrics-port 9090 intake",
        "python -m frontend intake --list-poison",
        "python -m frontend intake --retry --blob ID.wav",
        "python -m frontend intake --retry",
    ]
    assert [line.partition(" -> ")[0].split("'")[0] for line in commands("callbacks.md")] == [
        'echo "whsec_$(head -c 32 /dev/urandom | base64)"',
        "WEBHOOK_SECRET=whsec_... python docs/receivers/receiver.py 9000",
        "export CALLBACKS=",
        "python -m frontend callbacks --list-dead",
        "python -m frontend callbacks --send-again --key default",
    ]


def shell(line: str, environment: dict[str, str]) -> str:
    """What a line prints, with this Python as `python`."""
    found = subprocess.run(
        ["bash", "-ec", line.replace("python ", f"{shlex.quote(sys.executable)} ")],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return found.stdout


@pytest.mark.system
def test_an_afternoon(rig: Rig, service: Service, tmp_path: Path, benchmark: bytes) -> None:
    """From the secret to the message: a recording lands, and its diagnosis arrives, verified."""
    make_secret, run_receiver, export, list_dead, send_again = commands("callbacks.md")
    run_intake, list_poison, retry_one, retry = commands("intake.md")
    secret = shell(make_secret, {}).strip()
    port, metrics_port = (str(port) for port in free_ports(2))
    given = export.removeprefix("export CALLBACKS=").strip("'").replace("default", "phone")
    given = given.replace("https://receiver.example/tosia", f"http://127.0.0.1:{port}/").replace("whsec_...", secret)
    environment = {
        **rig.environment(), "TRITON_URL": service.triton_url, "INTAKE_KEY": "phone", "CALLBACKS": given,
        "CALLBACKS_ALLOW_PRIVATE": "1", "TOSIA_INTAKE__POLL_S": "0.2", "TOSIA_INTAKE__RETRY_PAUSE_S": "0",
        "API_KEY": f"phone:{KEY}",
    }  # fmt: skip
    out = tmp_path / "out"
    line = run_receiver.replace("whsec_...", secret).replace("9000", port).replace("python ", f"exec {sys.executable} ")
    with out.open("wb") as to:
        receiver = subprocess.Popen(["bash", "-ec", line], cwd=CHECKOUT, stdout=to)
    line = run_intake.replace("9090", metrics_port).replace("python ", f"exec {sys.executable} ")
    consumer = subprocess.Popen(["bash", "-ec", line], cwd=CHECKOUT, env={**os.environ, **environment})
    try:
        rig.land("ID.ogg", benchmark)
        rig.announce(event_grid(rig.account.container, "later.wav"))
        wait_until(lambda: out.read_text() == "ia.tos.call.diagnosed ID ok\n", "the receiver has it")
        wait_until(lambda: rig.poisoned() != [], "what was announced and is not there is given up")
        assert "audio_missing after 5: later.wav" in shell(list_poison, environment)
        rig.account.put("later.wav", benchmark)
        assert shell(retry_one, environment) == "0 messages sent again, 1 left.\n"
        assert shell(retry, environment) == "1 messages sent again, 0 left.\n"
        wait_until(lambda: "later ok" in out.read_text(), "the receiver has that, too")
        assert shell(list_dead, environment) == "0 messages were given up.\n"
        assert shell(send_again, environment) == "0 messages are sent again.\n"
    finally:
        for process in (consumer, receiver):
            process.terminate()
            process.wait(60.0)


@pytest.mark.system
def test_nothing_is_needed_of_the_key_of_callers(rig: Rig, service: Service, tmp_path: Path, benchmark: bytes) -> None:
    """INTAKE_KEY is a name, and the process has no key."""
    with intake(rig, service.triton_url, tmp_path, INTAKE_KEY="phone") as one:
        assert "API_KEY" not in one.environment
        one.start()
        rig.land("plain.ogg", benchmark)
        wait_until(lambda: "plain" in rig.records() and rig.settled(), "it is diagnosed")
