"""Rollouts with real Tritons: what is wrong with a candidate is seen, by shadow and by canary, and costs no caller."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from laptop.service import Service
from runtime.config import MODEL_REPOSITORY
from runtime.contract import read_contract
from tests.integration.processes import FrontEnd, descendants, front_end, wait_for
from tests.rollout.candidates import (
    slow,
    with_preprocess,
    with_swapped_labels,
    with_threshold,
    without_numbers,
)
from tests.rollout.rigs import SETTINGS, Rig, record, rig
from tests.services.azure import Azure

SERVED = read_contract(MODEL_REPOSITORY).model.version
# What is wrong, the bounds that may stop it, and within how many calls: docs/rollout.md has the same table.
WRONG = {
    "swapped": (with_swapped_labels, {"flips", "shifts"}, 40),
    "hop": (with_preprocess(hop_length=84), {"flips", "shifts"}, 60),
    "fmax": (with_preprocess(fmax_hz=3600.0), {"flips", "shifts"}, 60),
    "threshold": (with_threshold(0.97), {"flips", "shifts"}, 120),
    "slow": (slow(0.25), {"slow"}, 40),
    "nan": (without_numbers, {"failures", "unusable"}, 40),
}


@pytest.mark.system
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_candidate_is_seen_as_shadow_and_stopped_as_canary(
    wrong: str, service: Service, tmp_path: Path
) -> None:
    change, bounds, within = WRONG[wrong]
    with rig(tmp_path, service.triton_url, change) as one:
        one.step("--shadow", "1")
        calls = 0
        while not any(one.metric("tosia_rollout_bound_broken", bound=bound) for bound in bounds):
            assert calls < within
            for _ in range(5):
                answer = one.call()
                assert (answer.status_code, answer.json()["diagnosis"]["model"]["version"]) == (201, SERVED)
                assert "history" not in answer.json()
            calls += 5
            wait_for(lambda: not one.metric("tosia_rollout_backlog"), "all are compared")
        print(f"{wrong}: seen as shadow within {calls} calls")
        assert one.stage() == "shadow"

        one.step("--canary", "1")
        by: list[str] = []
        while one.stage() == "canary":
            answer = one.call()
            assert answer.status_code == 201
            by.append(answer.json()["diagnosis"]["model"]["version"])
            assert len(by) <= within
        print(f"{wrong}: stopped as canary after {len(by)} calls, {by.count('99')} answered by the candidate")
        wait_for(lambda: "front end" in one.command("--status").stdout, "the end is stored")
        last = one.command("--status").stdout.splitlines()[-1]
        assert "stopped" in last
        assert any(f"too many {bound}" in last for bound in bounds), last
        answer = one.call()
        assert (answer.status_code, answer.json()["diagnosis"]["model"]["version"]) == (201, SERVED)
        assert by.count("99") == (0 if wrong == "nan" else len(by))


@pytest.mark.system
def test_a_release_against_itself_reports_nothing(service: Service, tmp_path: Path) -> None:
    with rig(tmp_path, service.triton_url) as one:
        one.step("--shadow", "1")
        for _ in range(40):
            assert one.call().status_code == 201
        wait_for(lambda: one.compared() == 40, "all are compared")
        one.step("--canary", "0.5")
        for _ in range(60):
            assert one.call().status_code == 201
        answered = one.metric("tosia_rollout_answers_total", release="candidate")
        assert 15 <= answered <= 45
        wait_for(lambda: one.compared() == 40 + answered, "all are compared")
        for name in ("flips_total", "shifts_total", "failures_total", "dropped_total"):
            kinds = {"flips_total": ("status", "label"), "failures_total": ("error", "timeout", "unusable")}.get(name)
            for kind in kinds or ("",):
                labels = {"kind" if name == "flips_total" else "cause": kind} if kind else {}
                assert one.metric(f"tosia_rollout_{name}", **labels) == 0, name
        assert one.stage() == "canary"


@pytest.mark.system
def test_what_is_stored_of_a_shadow_and_of_a_canary(service: Service, tmp_path: Path) -> None:
    with rig(tmp_path, service.triton_url, with_preprocess(hop_length=81)) as one:
        one.step("--shadow", "1")
        answered = one.call("shadowed").json()
        wait_for(lambda: one.compared() == 1, "it is compared")
        wait_for(lambda: len(record(one, "shadowed")["history"]) == 1, "it is noted")
        (entry,) = record(one, "shadowed")["history"]
        assert (entry["role"], entry["diagnosis"]["model"]["version"]) == ("shadow", "99")
        assert record(one, "shadowed")["assigned"] is None
        seen = one.one.api.get("/v1/calls/shadowed").json()
        assert {**seen, "updated_at": ""} == {**answered, "updated_at": ""}  # a caller sees nothing of it

        one.step("--canary", "1")
        answered = one.call("drawn").json()
        assert answered["diagnosis"]["model"]["version"] == "99"
        wait_for(lambda: len(record(one, "drawn")["history"]) == 1, "the serving release's word is noted")
        (entry,) = record(one, "drawn")["history"]
        assert (entry["role"], entry["diagnosis"]["model"]["version"]) == ("serving", SERVED)
        assigned = record(one, "drawn")["assigned"]
        assert (assigned["to"], assigned["why"]) == ("candidate", "canary: drawn below 1")

        one.step("--canary", "1e-9")
        assert one.call("not-drawn").json()["diagnosis"]["model"]["version"] == SERVED
        assert record(one, "not-drawn")["assigned"]["why"] == "canary: not drawn below 1e-09"
        # A call that is sent again keeps its release.
        again = one.one.api.post("/v1/calls/drawn/diagnosis").json()
        assert again["diagnosis"] == answered["diagnosis"]

        one.step("--promote", "--why", "it is as good")
        assert one.call("promoted").json()["diagnosis"]["model"]["version"] == "99"
        one.step("--stop")
        assert one.call("after").json()["diagnosis"]["model"]["version"] == SERVED
        steps = one.command("--status").stdout.splitlines()
        assert [line.split()[1].removesuffix(",") for line in steps] == [
            "shadow",
            "canary",
            "canary",
            "promoted",
            "stopped",
        ]
        assert all("by a tester" in line for line in steps)
        assert steps[3].endswith(": it is as good")


def tritons(one: Rig) -> list[int]:
    assert one.candidate is not None
    assert one.candidate._warden is not None
    return [pid for pid in descendants(one.candidate._warden.pid) if pid != one.candidate._warden.pid]


@pytest.mark.system
@pytest.mark.parametrize("stage", ["--shadow", "--canary"])
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_candidate_that_freezes_or_dies_costs_no_caller(
    stage: str, number: signal.Signals, service: Service, tmp_path: Path
) -> None:
    settings = "rollout: {poll_s: 0.1, candidate_timeout_s: 0.3}\n"
    with rig(tmp_path, service.triton_url, settings=settings) as one:
        one.step(stage, "1")
        for _ in range(5):
            assert one.call().status_code == 201
        pids = tritons(one)
        for pid in pids:
            os.kill(pid, number)
        try:
            for n in range(25):
                answer = one.call(f"meanwhile-{n}")
                assert (answer.status_code, answer.json()["diagnosis"]["model"]["version"]) == (201, SERVED)
            if stage == "--canary":
                wait_for(lambda: one.stage() == "stopped", "the canary is stopped")
                assert record(one, "meanwhile-0")["assigned"]["to"] == "serving"
                why = record(one, "meanwhile-0")["assigned"]["why"]
                assert why.startswith("the candidate ") or why == "the rollout was stopped"
            else:
                assert one.stage() == "shadow"
        finally:
            for pid in pids if number == signal.SIGSTOP else ():
                os.kill(pid, signal.SIGCONT)


@pytest.mark.system
def test_a_promoted_candidate_that_dies_costs_no_caller_and_a_replay_only_waits(
    service: Service, tmp_path: Path
) -> None:
    with rig(tmp_path, service.triton_url) as one:
        one.step("--canary", "1")
        one.step("--promote")
        assert one.call("by-the-candidate").json()["diagnosis"]["model"]["version"] == "99"
        for n in range(20):
            assert one.call(f"before-{n}").status_code == 201
        running = one.popen("--replay")
        wait_for(lambda: replayed(one) > 0 or running.poll() is not None, "it has begun")
        assert one.candidate is not None
        one.candidate.stop()
        for n in range(10):
            answer = one.call(f"meanwhile-{n}")
            assert (answer.status_code, answer.json()["diagnosis"]["model"]["version"]) == (201, SERVED)
        assert one.stage() == "promoted"
        out, err = running.communicate(timeout=120)
        assert "Traceback" not in err
        assert running.returncode == (0 if " 0 failed" in out else 1)
        one.candidate.start()
        done = one.command("--replay")
        assert (done.returncode, " 0 failed." in done.stdout) == (0, True), done.stdout
        assert replayed(one) == one.posted


@pytest.mark.system
def test_a_front_end_that_is_killed_in_a_canary_loses_nothing(service: Service, tmp_path: Path) -> None:
    with rig(tmp_path, service.triton_url) as one:
        one.step("--canary", "1")
        assert one.call("before").status_code == 201
        one.one.stop(signal.SIGKILL)
        one.one.start("--workers", "1")
        wait_for(lambda: one.stage() == "canary", "the canary goes on")
        wait_for(lambda: one.one.get("/readyz") == 200, "it is ready")
        assert one.call("after").json()["diagnosis"]["model"]["version"] == "99"
        assert one.one.api.get("/v1/calls/before").json()["diagnosis"]["model"]["version"] == "99"


@pytest.mark.system
def test_a_replay_tells_what_would_change_and_goes_on_after_a_kill(service: Service, tmp_path: Path) -> None:
    with rig(tmp_path, service.triton_url, with_preprocess(hop_length=84)) as one:
        for _ in range(40):
            assert one.call().status_code == 201
        running = one.popen("--replay")
        wait_for(lambda: replayed(one) > 3 or running.poll() is not None, "it has begun")
        running.kill()
        running.communicate()
        half = replayed(one)
        files = tmp_path / "report.json", tmp_path / "report.png"
        done = one.command("--replay", "--json", str(files[0]), "--picture", str(files[1]))
        assert done.returncode == 0, done.stderr
        assert f"{40 - half} calls scored, {half} had been before, 0 failed." in done.stdout
        assert "The network is the same, but not: mel_spec.hop_length 80 -> 84." in done.stdout
        assert "--max-shifts" in done.stdout
        assert files[1].read_bytes().startswith(b"\x89PNG")
        report = json.loads(files[0].read_text())
        assert report["calls"] == 40
        assert report["shifts"]["count"] > 8
        assert report["segments"]["other_spectrogram"] > 40
        named = [call for kind in report["flips"]["by_status"].values() for call in kind["calls"]]
        assert all(one.one.api.get(f"/v1/calls/{call}").status_code == 200 for call in named)
        assert all("history" not in item for item in one.one.api.get("/v1/calls?limit=200").json()["items"])
        again = one.command("--replay")
        assert "0 calls scored, 40 had been before, 0 failed." in again.stdout


def replayed(one: Rig) -> int:
    with sqlite3.connect(f"file:{one.one.var / 'calls.sqlite'}?mode=ro", uri=True) as connection:
        return sum("replay" in text for (text,) in connection.execute("SELECT document FROM calls"))


@pytest.mark.system
def test_of_two_replicas_one_stops_the_canary_for_both(service: Service, azure: Azure, tmp_path: Path) -> None:
    account = azure.new_containers()
    second = tmp_path / "second"
    second.mkdir()
    with (
        rig(tmp_path, service.triton_url, with_swapped_labels, stores=account.environment()) as one,
        front_end(second, service.triton_url, stores=account.environment(), settings=SETTINGS) as other,
    ):
        other.environment["CANDIDATE_TRITON_URL"] = one.one.environment["CANDIDATE_TRITON_URL"]
        other.start("--workers", "1")
        wait_for(lambda: other.get("/readyz") == 200, "the other one is ready")
        both = Rig(other, one.candidate)
        one.step("--canary", "1")
        wait_for(lambda: both.stage() == "canary", "the other one has seen it")
        assert both.call("by-the-other").json()["diagnosis"]["model"]["version"] == "99"
        while one.stage() != "stopped":
            assert one.call().status_code == 201
            assert one.posted < 60
        wait_for(lambda: both.stage() == "stopped", "the other one has seen the end")
        assert both.call("after").json()["diagnosis"]["model"]["version"] == SERVED
        # Two who take a step at once: one is told.
        assert "no rollout is on" in one.command("--stop").stdout.lower()


@pytest.mark.parametrize(
    ("options", "candidate", "code", "words"),
    [
        (("--canary", "0"), "", 2, "0 is not a share"),
        (("--canary", "nan"), "", 2, "nan is not a share"),
        ((), "", 2, "one of the arguments"),
        (("--status",), "", 0, "There has been no rollout."),
        (("--stop",), "", 1, "there is nothing to stop"),
        (("--shadow", "0.1"), "", 2, "CANDIDATE_TRITON_URL is missing"),
        (("--replay",), "", 2, "CANDIDATE_TRITON_URL is missing"),
        (("--shadow", "0.1"), "127.0.0.1:1", 1, "The candidate's Triton does not answer"),
        (("--replay",), "127.0.0.1:1", 1, "The candidate's Triton does not answer"),
        (("--replay", "--since", "yesterday"), "127.0.0.1:1", 2, "--since is 'yesterday'"),
        (("--shadow", "0.1"), "no-port", 2, "CANDIDATE_TRITON_URL is not host:port"),
        (("--shadow", "0.1"), "127.0.0.1:2", 2, "CANDIDATE_TRITON_URL is TRITON_URL"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_line(
    options: tuple[str, ...], candidate: str, code: int, words: str, tmp_path: Path
) -> None:
    one = FrontEnd(tmp_path, "127.0.0.1:2")
    one.environment["CANDIDATE_TRITON_URL"] = candidate
    done = Rig(one, None).command(*options)
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.system
def test_only_a_canary_is_promoted(service: Service, tmp_path: Path) -> None:
    with rig(tmp_path, service.triton_url) as one:
        done = one.command("--promote")
        assert (done.returncode, "begin with --canary" in done.stdout) == (1, True)
