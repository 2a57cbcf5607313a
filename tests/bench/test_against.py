"""`make bench AGAINST=<commit>`: which commits it takes, how their environments are made, what is measured of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.against import __main__ as command
from bench.against import compare as comparing
from bench.against import environments
from bench.against.builds import Build, build_of, checkout_of, commit_of
from bench.against.compare import Measured, compare, rows
from bench.against.environments import AgainstError, environment
from bench.against.running import cpu_s, own_cpu_s
from bench.load.audio import note
from bench.load.served import children
from bench.report.targets import AGAINST
from laptop.service import CHECKOUT

ROUND = Measured(
    front_end_ms=20.0,
    all_ms=24.0,
    main_ms=5.0,
    candidate_ms=0.5,
    per_s=60.0,
    worker_mb=120.0,
    start_s=1.5,
    without_result=0,
)
BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With a commit that has no lock, and one that has all a build needs."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for path in ("frontend/__init__.py", "local_triton/__init__.py", "model_repository/manifest.json"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "without a lock")
    git(folder, "tag", "without")
    (folder / "requirements").mkdir()
    for name in ("serving", "triton"):
        (folder / "requirements" / f"{name}.txt").write_text("# of the other build\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "with locks")
    return folder


@pytest.mark.parametrize("name", ["no-such-commit", "", "--help", "HEAD:frontend", "HEAD; true"])
def test_a_commit_that_is_unknown_is_said_in_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"bench: There is no commit {name!r} in this checkout: name one of `git log`."


def test_a_commit_without_a_lock_is_said_in_one_sentence(repository: Path) -> None:
    commit = commit_of("without", repository)
    with pytest.raises(AgainstError) as caught, checkout_of(commit, repository):
        pass
    missing = "no requirements/serving.txt, no requirements/triton.txt"
    assert str(caught.value) == f"Commit {commit[:7]} can't be measured: it has {missing}."


def test_the_other_build_is_the_commit_and_nothing_of_it_is_left(repository: Path) -> None:
    (repository / "requirements" / "serving.txt").write_text("# not committed\n")
    with checkout_of(commit_of("HEAD", repository), repository) as folder:
        assert (folder / "requirements" / "serving.txt").read_text() == "# of the other build\n"
        assert not (folder / ".git").exists()
    assert not folder.exists()


@pytest.mark.system
def test_each_build_has_an_environment_of_its_own_lock(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks without a package, so that no registry is asked."""
    monkeypatch.setattr(environments, "BUILD", tmp_path / "build")
    other = build_of("the other build", repository)
    assert other.serving != other.triton  # they are installed with other options
    for made in (other.serving, other.triton):
        assert made.is_relative_to(tmp_path / "build")
        subprocess.run([made / "bin" / "python", "-c", ""], check=True)
    marked = other.serving / "made-once"
    marked.touch()
    assert build_of("the other build", repository) == other
    assert marked.exists()
    (repository / "requirements" / "serving.txt").write_text("# another lock\n")
    (repository / "requirements" / "triton.txt").write_bytes((CHECKOUT / "requirements" / "triton.txt").read_bytes())
    again = build_of("the other build", repository)
    assert again.serving != other.serving
    assert again.triton == CHECKOUT / ".venv-triton"


@pytest.mark.system
def test_an_environment_that_was_not_finished_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "BUILD", tmp_path / "build")
    lock = tmp_path / "lock.txt"
    lock.write_text("a line that is no requirement\n")
    with pytest.raises(AgainstError, match=r"^the environment can't be made with Python \S+: ERROR: Invalid requir"):
        environment(lock, "the environment")
    (left,) = (tmp_path / "build" / "against").iterdir()
    lock.write_text("# nothing\n")
    made = environment(lock, "the environment")
    (made / ".installed").unlink()
    (made / "half").touch()
    assert environment(lock, "the environment") == made != left
    assert not (made / "half").exists()


def test_cpu_counts_processes_that_have_ended() -> None:
    """A process that burns 0.3 s of CPU, after a child of its own that did the same and has ended."""
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{BURN}print(flush=True)\ninput()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert own_cpu_s(process.pid) >= 0.29  # in ticks of 10 ms
        assert cpu_s(process.pid) >= own_cpu_s(process.pid) + 0.29
    finally:
        process.communicate(b"\n")


def test_a_ratio_is_of_the_same_round_and_held_to_its_target() -> None:
    this = [replace(ROUND, front_end_ms=12.0), replace(ROUND, front_end_ms=36.0, without_result=1)]
    other = [ROUND, replace(ROUND, front_end_ms=60.0)]
    found = {row.name: row for row in rows(this, other, "recordings", AGAINST)}
    assert found.keys() >= AGAINST.keys()
    ratio = found["against_front_end_cpu_ratio"]
    assert (ratio.rounds, ratio.value, ratio.met) == ((0.6, 0.6), 0.6, True)
    assert found["against_front_end_cpu_this"].rounds == (12.0, 36.0)
    assert found["against_front_end_cpu_other"].rounds == (20.0, 60.0)
    assert (found["against_throughput_ratio"].value, found["against_throughput_ratio"].met) == (1.0, False)
    assert (found["against_without_result_this"].value, found["against_without_result_this"].met) == (1.0, False)
    assert all(row.met is None for row in rows(this, other, "recordings", {}))  # another commit has no targets


@pytest.mark.system
def test_two_builds_are_measured_in_turns_and_nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are this checkout, in the environments that are there: real Tritons and front ends, short rounds."""
    monkeypatch.setattr(comparing, "WARM_UP_S", 0.5)
    monkeypatch.setattr(comparing, "SECONDS", 1.0)
    before = set(children(os.getpid()))
    this = Build("this build", CHECKOUT, CHECKOUT / ".venv", CHECKOUT / ".venv-triton")
    found = compare(this, replace(this, name="the other build"), [note()], "the note", 1, {})
    values = {row.name: row.value for row in found}
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    for name in ("front_end_cpu", "cpu", "throughput", "triton_cpu_a_candidate", "worker_memory", "start_to_ready"):
        assert all((values[f"against_{name}_{side}"] or 0.0) > 0.0 for side in ("this", "other", "ratio"))
    for side in ("this", "other"):
        main, front_end, everything = (
            values[f"against_{name}_{side}"] or 0.0 for name in ("main_process_cpu", "front_end_cpu", "cpu")
        )
        assert main < front_end < everything
    assert set(children(os.getpid())) == before
