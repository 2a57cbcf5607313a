"""`make validate`, on tiny recordings of our own making.

The classifier is a stand-in that is passed in: what fills the whole band is a cough, a tone is none. The real network
is not needed to see what is counted, and the release in the checkout may be any.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.stats import binomtest

from runtime.classify import Scores
from runtime.contract import ModelContract
from runtime.diagnosis import Status
from tests.runtime.parts import contract, scores
from tests.training.recordings import RATE, recording
from training.data.dataset import manifest_sha256
from training.validate import main
from training.validation.page import worst_mistakes
from training.validation.recordings import judge, read_recordings
from training.validation.report import report, sentence
from training.validation.shares import Held, Share, Verdict, accepted_share, hold

STATED = {
    "recording_sensitivity": {"value": 0.97, "low": 0.9, "high": 1.0, "source": "made by hand"},
    "recording_false_alarms": {"value": 0.05, "low": 0.02, "high": 0.1, "source": "made by hand"},
}


class StandIn:
    """A cough is what fills the whole band."""

    def __init__(self, **changes: Any) -> None:
        self._contract = replace(contract(), **{"uncertain_threshold": 0.3, "operating_point": STATED, **changes})

    def contract(self) -> ModelContract:
        return self._contract

    def classify(self, spectrograms: NDArray[np.uint8]) -> Scores:
        wide = [float((levels.max(axis=1) > 128).mean()) > 0.5 for levels in spectrograms]
        return scores([0.9 if one else 0.1 for one in wide], [0.2] * len(wide))


def write(root: Path, rows: Sequence[dict[str, str]], sounds: Sequence[bool | None]) -> Path:
    """sounds: of each row, whether it sounds like a cough; None for silence."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for row, sound in zip(rows, sounds, strict=True):
        (root / row["path"]).parent.mkdir(exist_ok=True)
        samples = np.zeros(RATE) if sound is None else recording(rng, is_cough=sound)
        soundfile.write(root / row["path"], samples, RATE)
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def row(path: str, label: str = "cough", split: str = "train", **more: str) -> dict[str, str]:
    return {
        "path": path, "label": label, "subject_id": f"s-{path}", "source": "line_a", "split": split, "kind": "call",
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 recordings with coughs, one of them missed and one silent; 11 without, one of them a false alarm."""
    rows = [row(f"c/{n}.flac", site="north", sex="f" if n % 2 else "") for n in range(12)]
    rows += [
        row(f"n/{n} <b>.flac", "non_cough", "val", site="south" if n else "north", sex="m", kind="knock")
        for n in range(11)
    ]
    rows.append(row("u/1.flac", "unsure", site="east", sex="m"))
    sounds = [*[True] * 10, False, None, *[False] * 10, True, True]
    return write(tmp_path_factory.mktemp("calls"), rows, sounds)


def test_one_command_says_all(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(calls), "--out", str(tmp_path)], StandIn()) == 0
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0].startswith("Release 3 on 23 recordings of 23 people; cough threshold 0.5, uncertain from 0.3")
    assert "poor_quality 1 of 12 0 of 11" in lines
    assert "no_cough 1 of 12 10 of 11" in lines
    assert "sensitivity 0.83 [0.55, 0.95] of 12 0.91 [0.62, 0.98] of 11" in lines
    assert "false alarms 0.09 [0.02, 0.38] of 11 0.09 [0.02, 0.38] of 11" in lines
    assert "north 0.83 [0.55, 0.95] of 12 fewer than 10 (1)" in lines
    assert "south none 0.10 [0.02, 0.40] of 10" in lines
    assert "(empty) fewer than 10 (6) none" in lines
    assert "knock none 0.09 [0.02, 0.38] of 11" in lines
    assert [line for line in lines if line.startswith("by ")] == [
        "by recording of all of those not refused for quality",
        *(f"by {name} sensitivity false alarms" for name in ("site", "sex", "source", "kind")),
    ]
    assert "bounds by recording: too few recordings to say;" in said
    assert "u/1" not in said
    assert "east" not in said


def test_the_page_links_to_the_recordings_and_copies_none(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "mistake_99.png").write_bytes(b"of an earlier run")
    assert main(["--data", str(calls), "--out", str(tmp_path)], StandIn()) == 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "3 of 3 mistakes in 23 recordings" in page
    assert page.count("missed cough") == 2
    assert "label non_cough, kind knock, source line_a, site south, sex m; score 0.90; status" in page
    assert "status poor_quality; reasons: silent, unvalidated_model" in page
    assert "<b>" not in page
    assert "10%20%3Cb%3E.flac" in page
    link = page.split('href="')[1].split('"')[0]
    assert (tmp_path / link.replace("%20", " ").replace("%3C", "<").replace("%3E", ">")).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.html", "mistake_01.png", "mistake_02.png", "mistake_03.png"
    ]  # fmt: skip


def test_one_split_and_another_folder(calls: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", [row("x.flac", device="old")], [True])
    assert len(read_recordings([calls, other])) == 24
    assert {one.is_cough for one in read_recordings([calls, other], "val")} == {False}
    (only,) = [one for one in read_recordings([calls, other], "train") if one.path == "x.flac"]
    assert only.subgroups == (("device", "old"),)


def test_short_recordings_are_judged_alone(tmp_path: Path) -> None:
    """Training joins them where the manifest has no kind."""
    rows = [{**row(f"{n}.flac", "non_cough"), "subject_id": "s"} for n in range(4)]
    for one in rows:
        del one["kind"]
    assert [one.path for one in read_recordings([write(tmp_path, rows, [False] * 4)])] == [
        f"{n}.flac" for n in range(4)
    ]


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        ("", ["--split", "val"], "no labelled recording in the split 'val'"),
        ("nowhere", [], "manifest.csv is not in nowhere/"),
    ],
)
def test_bad_data_is_one_line(
    data: str, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, [row("a.flac")], [True])
    assert main(["--data", str(tmp_path / data), "--out", str(tmp_path / "out"), *arguments], StandIn()) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("validate: ")
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_another_release_and_other_parameters_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [row("a.flac")], [True])
    assert main(["--data", str(tmp_path), "--repository", str(tmp_path)]) == 2
    assert "make export" in capsys.readouterr().err
    preprocess = contract().preprocess
    preprocess["mel_spec"] = {**preprocess["mel_spec"], "hop_length": 81}
    assert main(["--data", str(tmp_path), "--out", str(tmp_path)], StandIn(preprocess=preprocess)) == 2
    said = capsys.readouterr().err
    assert "mel_spec.hop_length" in said
    assert said.count("\n") == 1


def test_what_was_trained_on_is_told(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = StandIn(data_sha256=manifest_sha256([calls]))
    for split, told in (([], True), (["--split", "val"], False)):
        main(["--data", str(calls), "--out", str(tmp_path), *split], known)
        assert ("trained on the train split of this very data" in capsys.readouterr().out) is told


def test_the_interval_is_wilsons() -> None:
    for found, n in ((15, 20), (0, 10), (10, 10), (1, 1000)):
        expected = binomtest(found, n).proportion_ci(method="wilson")
        assert Share(found, n).interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert Share(0, 0).interval == (0.0, 1.0)


@pytest.mark.parametrize(
    ("found", "n", "verdict"),
    [
        (97, 100, Verdict.HOLDS),
        (90, 100, Verdict.TOO_FEW),  # [0.83, 0.94]: more than 0.05 below the stated 0.9
        (900, 1000, Verdict.HOLDS),
        (85, 100, Verdict.TOO_FEW),  # [0.77, 0.91]
        (80, 100, Verdict.FAILS),  # [0.71, 0.87]
        (9, 9, Verdict.TOO_FEW),
        (0, 9, Verdict.TOO_FEW),
        (0, 10, Verdict.FAILS),
    ],
)
def test_when_a_bound_holds(found: int, n: int, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of false alarms the same as of sensitivity: 3 of 100 against 0.1 at most is 97 of 100 against 0.9 at least."""

    def as_given(judged: object, *, coughs: bool) -> Share:
        return Share(found if coughs else n - found, n)

    monkeypatch.setattr("training.validation.shares.accepted_share", as_given)
    assert [one.verdict for one in hold(STATED, [])] == [verdict, verdict]


def held(name: str, verdict: Verdict) -> Held:
    return Held(name, Share(97, 100), STATED[name], verdict)


@pytest.mark.parametrize(
    ("sensitivity", "false_alarms", "words"),
    [
        (Verdict.HOLDS, Verdict.HOLDS, ("by recording: holds;", "validate again when")),
        (Verdict.HOLDS, Verdict.TOO_FEW, ("by recording: too few recordings to say;", "record more without coughs")),
        (Verdict.TOO_FEW, Verdict.HOLDS, ("by recording: too few recordings to say;", "record more coughs")),
        (Verdict.FAILS, Verdict.TOO_FEW, ("by recording: does not hold;", "your own coughs", "record more without")),
        (Verdict.HOLDS, Verdict.FAILS, ("by recording: does not hold;", "your own negatives", "higher threshold")),
    ],
)
def test_the_sentence_says_what_to_do(sensitivity: Verdict, false_alarms: Verdict, words: tuple[str, ...]) -> None:
    said = sentence([held("recording_sensitivity", sensitivity), held("recording_false_alarms", false_alarms)])
    assert all(word in said for word in words)
    assert "\n" not in said


def test_a_release_that_states_nothing_is_held_to_nothing(calls: Path) -> None:
    assert hold({}, []) == hold({"recording_sensitivity": None}, []) == []
    silent = StandIn(operating_point={})
    judged = judge(read_recordings([calls]), silent)
    assert "states no bounds by recording" in report(silent.contract(), judged)
    assert accepted_share(judged, coughs=True) == Share(10, 12)


def test_what_may_be_a_cough_is_inconclusive(calls: Path) -> None:
    wary = StandIn(uncertain_threshold=0.05)
    judged = judge(read_recordings([calls], "val"), wary)
    assert [one.diagnosis.status for one in judged].count(Status.INCONCLUSIVE) == 10
    line = next(line for line in report(wary.contract(), judged).splitlines() if "inconclusive, without" in line)
    assert line.split()[2:6] == ["0.91", "[0.62,", "0.98]", "of"]


def test_each_source_and_kind_of_mistake_has_its_turn(calls: Path) -> None:
    judged = judge(read_recordings([calls]), StandIn())
    worst = worst_mistakes(judged, 0.5)
    assert [one.recording.is_cough for one in worst] == [False, True, True]
    assert [one.score for one in worst] == pytest.approx([0.9, 0.0, 0.1], abs=1e-6)
