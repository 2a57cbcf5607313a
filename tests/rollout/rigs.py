"""A front end with a candidate beside it, all real: two Tritons, a front end as a process, its command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.load.audio import mixed_notes
from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.integration.problems import post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for
from tests.rollout.candidates import Change, release

# A busy machine must not make a candidate slow, or late: only the one that is made so is.
SETTINGS = "rollout: {poll_s: 0.1, candidate_timeout_s: 4.0, slow_floor_ms: 100.0}\nservice: {reconcile_every_s: 0.2}\n"


class Rig:
    """Calls are the notes of the benchmark in turn, each with an id of its own."""

    def __init__(self, one: FrontEnd, candidate: TritonServer | None) -> None:
        self.one, self.candidate = one, candidate
        self.notes: list[bytes] = []
        self.posted = 0

    def command(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`python -m frontend rollout`, with the front end's environment."""
        environment = {**os.environ, "API_KEY": KEY, "TRITON_URL": self.one.triton_url, **self.one.environment}
        command = [sys.executable, "-m", "frontend", "rollout", *options]
        return subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def popen(self, *options: str) -> subprocess.Popen[str]:
        """The same, to be killed."""
        environment = {**os.environ, "API_KEY": KEY, "TRITON_URL": self.one.triton_url, **self.one.environment}
        command = [sys.executable, "-m", "frontend", "rollout", *options]
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def step(self, *options: str) -> str:
        """Take a step, and wait until the front end has seen it."""
        done = self.command(*options, "--by", "a tester")
        assert done.returncode == 0, done.stdout + done.stderr
        stage = {"--shadow": "shadow", "--canary": "canary", "--promote": "promoted", "--stop": "stopped"}[options[0]]
        wait_for(lambda: self.stage() == stage, f"the front end is at {stage}")
        return done.stdout

    def call(self, call_id: str | None = None) -> httpx.Response:
        self.notes = self.notes or mixed_notes()[0]
        self.posted += 1
        return post(self.one.api, self.notes[self.posted % len(self.notes)], call_id or f"call-{self.posted:04}")

    def metric(self, name: str, **labels: str) -> float:
        """Of the front end, 0.0 where it has none."""
        text = httpx.get(f"http://127.0.0.1:{self.one.metrics_port}/metrics", trust_env=False).text
        named = ",".join(f'{key}="{value}"' for key, value in labels.items())
        found = re.search(rf"^{name}{re.escape(f'{{{named}}}') if named else ''} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stage(self) -> str:
        for stage in ("shadow", "canary", "promoted", "stopped"):
            if self.metric("tosia_rollout_stage", stage=stage):
                return stage
        return ""

    def compared(self) -> float:
        return self.metric("tosia_rollout_compared_total")


@contextmanager
def rig(
    folder: Path, triton_url: str, *changes: Change, stores: Mapping[str, str] | None = None, settings: str = SETTINGS
) -> Iterator[Rig]:
    """A front end beside a candidate that was changed."""
    with (
        TritonServer(release(folder, *changes), log=folder / "candidate.log") as candidate,
        front_end(folder, triton_url, stores=stores, settings=settings) as one,
    ):
        one.environment["CANDIDATE_TRITON_URL"] = candidate.grpc_url
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        yield Rig(one, candidate)


def record(rig: Rig, call_id: str) -> Any:
    """As it is stored: with what no caller gets."""
    import json
    import sqlite3

    with sqlite3.connect(f"file:{rig.one.var / 'calls.sqlite'}?mode=ro", uri=True) as connection:
        (text,) = connection.execute("SELECT document FROM calls WHERE id = ?", (call_id,)).fetchone()
    return json.loads(text)
