"""Many files from the command line: what is printed, what is kept, and that a run which ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime import WorkUnit, execute, load_config
from runtime.__main__ import main
from runtime.cli.diagnose_files import figure_path
from runtime.cli.file_outcome import Failure, Outcome, failure, outcome_from_json
from runtime.cli.outcomes_file import OutcomesFile
from runtime.config import ROOT
from runtime.errors import AudioError, InferenceError

SAMPLES = ROOT / "samples" / "preprocessing"
AUDIO = SAMPLES / "benchmark_1" / "raw.ogg"
CALL = SAMPLES / "call" / "raw.wav"
SHORT = SAMPLES / "too_short" / "raw.wav"  # diagnosed in a few milliseconds


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_URL", raising=False)


def diagnose(*arguments: str | Path) -> int:
    return main(["diagnose", *map(str, arguments)])


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_timings(diagnosis: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in diagnosis.items() if name != "timings_ms"}


def test_a_line_for_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(AUDIO, SHORT) == 0
    found = execute(WorkUnit(AUDIO, *load_config()))
    assert found.result is not None
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        f"{AUDIO}: ok, {found.result.label} (probability of positive {found.result.probability:.2f}, not validated), "
        f"{len(found.coughs)} coughs; unvalidated_model"
    )
    assert second == f"{SHORT}: poor_quality, 0 coughs; too_short, unvalidated_model"


def test_json_is_what_execute_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(AUDIO, "--json") == 0
    printed = capsys.readouterr()
    (document,) = [json.loads(line) for line in printed.out.splitlines()]
    expected = execute(WorkUnit(AUDIO, *load_config())).to_dict()
    assert document.keys() == {"path", "sha256", "diagnosis", "error"}
    assert without_timings(document["diagnosis"]) == without_timings(json.loads(json.dumps(expected)))
    assert (document["path"], document["sha256"]) == (str(AUDIO), expected["audio"]["sha256"])
    assert (document["error"], printed.err) == (None, "")


def test_what_is_wrong_with_a_file_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio")
    wrong = [tmp_path / "missing.wav", tmp_path, tmp_path / "empty.wav", tmp_path / "text.wav"]
    assert diagnose(*wrong, SHORT, "--json") == 1
    printed = capsys.readouterr()
    *errors, last = [json.loads(line) for line in printed.out.splitlines()]
    assert [error["error"]["code"] for error in errors] == [
        "unreadable",
        "unreadable",
        "empty_audio",
        "unsupported_media",
    ]
    assert last["diagnosis"]["status"] == "poor_quality"
    complaints = printed.err.splitlines()
    assert len(complaints) == len(wrong)
    for file, line in zip(wrong, complaints, strict=True):
        assert line.startswith(f"diagnose: {file}: ")
        assert line.endswith(".")


def test_the_codes_of_recordings_are_those_of_the_rest_api() -> None:
    from frontend.domain.errors import AUDIO_ERRORS_BY_CODE  # what the layers below may not know

    for code, kind in AUDIO_ERRORS_BY_CODE.items():
        error = kind("A sentence.")
        assert isinstance(error, AudioError)
        assert failure(error) == Failure(code, "A sentence.", retryable=False)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_nobody_need_listen(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-` and `2>&-`: what is done is kept all the same."""
    monkeypatch.setattr(sys, closed, None)
    assert diagnose(SHORT, tmp_path / "missing.wav", "--output", tmp_path / "o.jsonl") == 1
    assert [line["error"] is None for line in lines_of(tmp_path / "o.jsonl")] == [True, False]


def test_the_same_file_twice_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(SHORT, SHORT) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("name", ["two\nlines", "tab\t\x1b[31m", "no text \udcff", "hústě \U0001f637", "-- $x$"])
def test_odd_names(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each on stdout, and in JSON the very path."""
    shutil.copy(SHORT, tmp_path / f"{name}.wav")
    options = ("--output", tmp_path / "o.jsonl", "--figure", tmp_path / "figures")
    for expected in (1, 0):  # done, then there already
        assert diagnose(tmp_path / f"{name}.wav", tmp_path / f"{name}.none", *options) == 1
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == expected
        assert len(printed.err.splitlines()) == 2  # the missing file, the sum
        assert all(item.isprintable() for item in printed.out.replace("\n", ""))
    paths = [outcome_from_json(line).path for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert paths == [str(tmp_path / f"{name}.wav"), *[str(tmp_path / f"{name}.none")] * 2]
    assert len(list((tmp_path / "figures").iterdir())) == 1


def test_what_is_there_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, first, second = tmp_path / "o.jsonl", tmp_path / "a.wav", tmp_path / "b.wav"
    shutil.copy(SHORT, first)
    second.write_text("not audio")
    assert diagnose(first, second, "--output", output) == 1
    whole = output.read_bytes()
    capsys.readouterr()
    assert diagnose(first, second, "--output", output) == 1
    printed = capsys.readouterr()
    assert output.read_bytes() == whole
    assert printed.out == ""
    assert f"{second}: This is not an audio format" in printed.err  # or nobody would know why it is 1
    assert printed.err.endswith("0 diagnosed, 1 diagnosed before, 1 failed.\n")

    shutil.copy(CALL, second)  # changed
    shutil.copy(SHORT, tmp_path / "c.wav")  # new
    assert diagnose(first, second, tmp_path / "c.wav", "--output", output) == 0
    assert output.read_bytes().startswith(whole)
    assert [Path(line["path"]).name for line in lines_of(output)] == ["a.wav", "b.wav", "b.wav", "c.wav"]
    assert diagnose(first, second, tmp_path / "c.wav", "--output", output) == 0
    assert len(lines_of(output)) == 4


@pytest.mark.parametrize("cut", [1, 2, 30, -1, 0])
def test_half_a_line_is_done_again(cut: int, tmp_path: Path) -> None:
    """cut: how much of the second line is there; -1: all but its line end."""
    output, files = tmp_path / "o.jsonl", [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file in files:
        shutil.copy(SHORT, file)
    assert diagnose(*files, "--output", output) == 0
    first, second, _ = output.read_bytes().split(b"\n")
    output.write_bytes(first + b"\n" + (second if cut == -1 else second[:cut]))
    assert diagnose(*files, "--output", output) == 0
    assert output.read_bytes().startswith(first + b"\n")
    assert [line["path"] for line in lines_of(output)] == list(map(str, files))


@pytest.mark.parametrize(
    "content",
    [
        b"a note without line end",
        b"a note\n",
        b'{"path": "x"}\n',
        b"[1]\n",
        b"null\n",
        b"\n",
        b'{"path": 1, "sha256": null, "diagnosis": null, "error": {"code": "", "message": "", "retryable": true}}\n',
        b'{"path": "x", "sha256": null, "diagnosis": null, "error": null}\n',
        b'{"path": "x", "sha256": null, "diagnosis": {}, "error": null}\n',
        b'{"path": "x", "sha256": null, "diagnosis": {"status": "ok"}, "error": null}\n',
        b'{"path": "x", "sha256": null, "diagnosis": null, "error": {"code": ""}}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        CALL.read_bytes(),
    ],
)
def test_what_holds_something_else_is_left_alone(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_bytes(content)
    assert diagnose(SHORT, "--output", tmp_path / "mine") == 2
    assert (tmp_path / "mine").read_bytes() == content
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"diagnose: {tmp_path}/mine holds something else than diagnoses: give another --output.\n"


def test_where_results_can_not_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for options in (
        ("--output", tmp_path),
        ("--output", "/dev/full"),
        ("--output", tmp_path / "none" / "o.jsonl"),
        ("--figure", tmp_path / "file"),
    ):
        assert diagnose(SHORT, *options) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.endswith(f": give another {options[0]}.\n")
        assert printed.err.count("\n") == 1


def test_two_runs_do_not_write_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OutcomesFile(tmp_path / "o.jsonl"):
        assert diagnose(SHORT, "--output", tmp_path / "o.jsonl") == 2
    assert "is being written by another run: wait for its end." in capsys.readouterr().err
    assert diagnose(SHORT, "--output", tmp_path / "o.jsonl") == 0


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, files = tmp_path / "o.jsonl", [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file in files:
        shutil.copy(SHORT, file)
    assert diagnose(files[0], "--output", output) == 0
    whole = output.read_bytes()
    capsys.readouterr()
    with room(len(whole) + 100):
        assert diagnose(*files, SHORT, "--output", output) == 1
    assert output.read_bytes() == whole
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"diagnose: {output} can't be written (File too large)."
    assert second == "diagnose: stopped with 2 of 3 files left; the same command goes on from here."
    assert diagnose(*files, "--output", output) == 0
    assert len(lines_of(output)) == 2


def test_only_a_model_that_could_not_be_asked_is_asked_again(tmp_path: Path) -> None:
    outcomes = [
        Outcome("a", "1", None, failure(InferenceError("Try again."))),
        Outcome("b", "2", None, Failure("undecodable_audio", "Send another.", retryable=False)),
        Outcome("c", "3", None, failure(InferenceError("Try again."))),
        Outcome("c", "3", None, Failure("undecodable_audio", "Send another.", retryable=False)),
    ]
    with OutcomesFile(tmp_path / "o.jsonl") as file:
        for outcome in outcomes:
            file.append(outcome)
    with OutcomesFile(tmp_path / "o.jsonl") as file:
        assert file.find("a", "1") is None
        assert file.find("b", "2") == outcomes[1]
        assert file.find("b", "other") is None
        assert file.find("c", "3") == outcomes[3]  # the last line counts
        assert file.find("d", "4") is None


def test_nothing_is_tried_with_a_model_that_has_other_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "config.yml"
    changed.write_text((ROOT / "config.yml").read_text().replace("hop_length: 80", "hop_length: 81"))
    monkeypatch.setattr("runtime.config.load_config.__defaults__", (changed,))
    assert diagnose(SHORT, tmp_path / "missing.wav") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("diagnose: mel_spec.hop_length is 81")
    assert printed.err.count("\n") == 1


def test_nothing_is_tried_without_a_server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRITON_URL", "127.0.0.1:1")
    assert diagnose(SHORT, AUDIO) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "diagnose: The inference server can't answer now (StatusCode.UNAVAILABLE): try again.\n"


def test_files_of_one_name_have_figures_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, output = tmp_path / "figures", tmp_path / "o.jsonl"
    options = ("--figure", figures, "--output", output)
    assert diagnose(SHORT, CALL, *options) == 0
    names = {path.name for path in figures.iterdir()}
    assert names == {f"raw-{hashlib.sha256(Path(item).read_bytes()).hexdigest()[:8]}.png" for item in (CALL, SHORT)}
    for path in figures.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"
    for path in figures.iterdir():
        path.unlink()
    assert diagnose(CALL, SHORT, *options) == 0  # diagnosed before, but not drawn
    assert {path.name for path in figures.iterdir()} == names
    assert capsys.readouterr().err.endswith("0 diagnosed, 2 diagnosed before, 0 failed.\n")


def test_names_of_figures() -> None:
    """By what is in the recording, whichever others are in the run; 255 bytes at most."""
    folder, digest = Path("f"), "0123456789abcdef"
    assert figure_path(folder, Path("a/x.wav"), digest) == folder / "x-01234567.png"
    assert len(os.fsencode(figure_path(folder, Path(f"{'ü' * 120}.wav"), digest).name)) <= 255


def test_a_run_writes_over_no_figure_of_another(tmp_path: Path) -> None:
    assert diagnose(SHORT, "--figure", tmp_path) == 0
    ((first, image),) = [(path, path.read_bytes()) for path in tmp_path.iterdir()]
    assert diagnose(CALL, "--figure", tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2
    assert first.read_bytes() == image


def test_a_figure_that_can_not_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"raw-{hashlib.sha256(Path(SHORT).read_bytes()).hexdigest()[:8]}.png"
    (tmp_path / name).mkdir()
    assert diagnose(SHORT, "--figure", tmp_path) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"diagnose: {tmp_path}/{name} can't be written (Is a directory)."
    assert second.startswith("diagnose: stopped with 1 of 1 files left")


def test_no_more_is_read_than_the_service_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of 20 GB (without a block of it on the disk), and a device that has no end; the next one is diagnosed."""
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(20 << 30)
    assert diagnose(tmp_path / "huge.wav", Path("/dev/zero"), SHORT) == 1
    printed = capsys.readouterr()
    assert printed.err.count("The file is larger than 20 MiB: compress it or send less of it.\n") == 2
    assert printed.out.count("\n") == 1


@pytest.mark.parametrize("option", ["--figure", "--output"])
def test_a_path_that_is_empty(option: str) -> None:
    with pytest.raises(SystemExit) as caught:
        diagnose(SHORT, option, "")
    assert caught.value.code == 2


@contextmanager
def held(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that has told the first file's line and now waits for what comes out of a pipe; and the pipe."""
    os.mkfifo(folder / "pipe.wav")
    command = [sys.executable, "-m", "runtime", "diagnose", SHORT, folder / "pipe.wav", "--output", folder / "o.jsonl"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline().startswith(f"{SHORT}: poor_quality")
            yield run, folder / "pipe.wav"
        finally:
            run.kill()


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    with held(tmp_path) as (run, _):
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 1
    assert errors == "diagnose: stopped with 1 of 2 files left; the same command goes on from here.\n"
    assert [line["path"] for line in lines_of(tmp_path / "o.jsonl")] == [str(SHORT)]


def test_a_reader_that_goes_away_is_no_trace(tmp_path: Path) -> None:
    with held(tmp_path) as (run, pipe):
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        pipe.write_bytes(SHORT.read_bytes())
        errors = run.stderr.read()
        assert run.wait(timeout=30) == 1
    first, second = errors.splitlines()
    assert first == "diagnose: Standard output can't be written (Broken pipe)."
    assert second == "diagnose: 2 diagnosed, 0 diagnosed before, 0 failed."
    assert len(lines_of(tmp_path / "o.jsonl")) == 2  # kept before it is told


def test_options_are_given_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["diagnose", str(SHORT), "--out", "x"], ["diagnose"], []):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    capsys.readouterr()
