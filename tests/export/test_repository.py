"""Releases on disk: what serves, going back and forth, digests; and that an interruption anywhere leaves a loadable
repository.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from export.errors import ReleaseError
from export.manage import main
from export.releases.release import MANIFEST, onnx_contents, plan_contents, write_release
from export.releases.repository import next_number, problems_of, read_release, select_release
from export.triton_config import BuiltOn
from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import read_contract
from tests.export.parts import FACTS, write


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """releases/1, 2, 3; the third is selected."""
    for number in (1, 2, 3):
        write(tmp_path / "releases", number)
    select(tmp_path, 3)
    return tmp_path


def select(folder: Path, number: int) -> None:
    select_release(read_release(folder / "releases" / str(number)), folder / "model_repository", folder / "releases")


def manage(folder: Path, *arguments: str) -> int:
    paths = ["--repository", str(folder / "model_repository"), "--releases", str(folder / "releases")]
    return main([*paths, *arguments])


def serves(folder: Path) -> str:
    return read_contract(folder / "model_repository").model.version


def test_a_number_is_never_given_twice(three: Path) -> None:
    assert next_number(three / "releases", three / "model_repository") == 4
    assert next_number(three / "nothing", three / "model_repository") == 4
    assert next_number(three / "nothing", three / "nowhere") == 1
    with pytest.raises(ReleaseError, match="never written again"):
        write(three / "releases", 2)


def test_the_list_says_what_serves(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manage(three, "releases") == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["1", "2", "->"]
    assert {"format", "manifest", "model", "checkpoint", "data"} <= set(heading.split())
    assert "c" * 12 in rows[0]
    assert "d" * 12 in rows[0]


def test_back_by_one_each_time_and_forward_by_number(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for expected in ("2", "1"):
        assert manage(three, "rollback") == 0
        assert serves(three) == expected
    assert manage(three, "rollback") == 1
    assert "no release before 1" in capsys.readouterr().err
    assert manage(three, "rollback", "--to", "3") == 0
    assert serves(three) == "3"
    assert manage(three, "rollback", "--to", "9") == 1
    assert "no release 9" in capsys.readouterr().err
    assert sorted(path.name for path in three.iterdir()) == ["model_repository", "releases"]


def test_a_fresh_clones_only_release_is_kept_before_another_takes_its_place(three: Path) -> None:
    """`releases/` is not in git: there the selected release is the only copy."""
    (three / "releases" / "3").rename(three / "elsewhere")
    select(three, 1)
    assert list(problems_of(read_release(three / "releases" / "3"))) == []
    assert serves(three) == "1"


def test_two_releases_of_one_number_are_not_mixed_up(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (three / "releases" / "3").rename(three / "elsewhere")
    write(three / "releases", 3, model=b"another third")
    with pytest.raises(ReleaseError, match="another release 3"):
        select(three, 1)
    assert serves(three) == "3"
    assert manage(three, "verify") == 1
    assert "two releases of one number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda item: (item / "cough_cnn/2/model.onnx").write_bytes(b"other"),
            "cough_cnn/2/model.onnx is not the file",
        ),
        (lambda item: (item / "cough_cnn/labels.txt").unlink(), "cough_cnn/labels.txt is missing"),
        (lambda item: (item / "cough_cnn/2/more").write_bytes(b""), "cough_cnn/2/more is not in the manifest"),
        (lambda item: change_manifest(item, data_sha256="e" * 64), "data_sha256 is not the one in config.pbtxt"),
    ],
)
def test_what_is_altered_is_found_and_not_selected(
    three: Path, capsys: pytest.CaptureFixture[str], damage: object, words: str
) -> None:
    assert manage(three, "verify") == 0
    assert capsys.readouterr().out.count("as in the manifest") == 4
    damage(three / "releases" / "2")  # type: ignore[operator]
    assert manage(three, "verify") == 1
    assert words in capsys.readouterr().out
    assert manage(three, "rollback") == 1
    assert words in capsys.readouterr().err
    assert serves(three) == "3"


def change_manifest(folder: Path, **fields: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **fields}))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"release": 1}', '{"release": "1", "files": []}', '{"release": 1, "files": {"a": 1}}']
)
def test_a_manifest_that_is_none_is_said_and_hides_no_other(
    three: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (three / "releases" / "1" / MANIFEST).write_text(text)
    assert manage(three, "releases") == 1
    assert "1/manifest.json can't be read" in capsys.readouterr().err
    assert manage(three, "verify") == 1
    shown = capsys.readouterr().out
    assert "releases/1: 1/manifest.json can't be read" in shown
    assert shown.count("as in the manifest") == 3
    assert next_number(three / "releases", three / "model_repository") == 4


def test_a_folder_that_holds_another_number_is_said(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (three / "releases" / "2").rename(three / "releases" / "7")
    assert manage(three, "verify") == 1
    assert "the folder 7 holds release 2" in capsys.readouterr().out


def test_a_plan_is_passed_over_and_never_selected(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No laptop runs it, and neither does the front end's own ONNX Runtime."""
    contents = plan_contents(b"plan", FACTS, BuiltOn("Tesla T4", "10.13"), {}, (), "0" * 64)
    write_release(three / "releases" / "4", 4, contents)
    write(three / "releases", 5)
    select(three, 5)
    assert manage(three, "rollback") == 0
    assert serves(three) == "3"
    assert manage(three, "rollback", "--to", "4") == 1
    assert "is a plan for Tesla T4" in capsys.readouterr().err
    assert serves(three) == "3"


def test_a_release_of_other_parameters_is_not_selected(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess = {**FACTS.preprocess, "mel_spec": {**FACTS.preprocess["mel_spec"], "hop_length": 100}}
    facts = replace(FACTS, preprocess=preprocess)
    write_release(three / "releases" / "4", 4, onnx_contents(b"model", b"padded", b"half", facts))
    assert manage(three, "rollback", "--to", "4") == 1
    assert "mel_spec.hop_length is 80, but the model was trained with 100" in capsys.readouterr().err
    assert serves(three) == "3"


def test_an_edited_repository_is_not_lost(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = three / "model_repository" / "cough_cnn" / "config.pbtxt"
    config.write_text(config.read_text().replace("max_queue_delay_microseconds: ", "max_queue_delay_microseconds: 1"))
    edited = config.read_text()
    assert manage(three, "rollback") == 1
    assert "was altered and would be lost: cough_cnn/config.pbtxt" in capsys.readouterr().err
    assert config.read_text() == edited


def test_two_commands_at_once_take_turns(three: Path) -> None:
    """Each selects another release, ten times; whoever comes last, what is there is whole."""
    command = [sys.executable, "-m", "export.manage", "--repository", str(three / "model_repository")]
    command += ["--releases", str(three / "releases"), "rollback", "--to"]
    running = [subprocess.Popen([*command, number], cwd=ROOT, stdout=subprocess.DEVNULL) for number in "12123"]
    assert [item.wait(60) for item in running] == [0] * 5
    assert list(problems_of(read_release(three / "model_repository"))) == []
    assert sorted(path.name for path in three.iterdir()) == ["model_repository", "releases"]


def interrupted(step: str, folder: Path) -> list[dict[str, object]]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.export.interrupted", step, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.system
def test_a_selection_killed_anywhere_leaves_one_of_the_two(tmp_path: Path) -> None:
    attempts = interrupted("select", tmp_path)
    assert len(attempts) > 10  # it makes more changes than that: the kills were real
    assert attempts[-1]["finished"]
    assert [attempt["finished"] for attempt in attempts[:-1]] == [False] * (len(attempts) - 1)
    assert all(attempt["there"] and attempt["serves"] in (1, 2) and attempt["problems"] == [] for attempt in attempts)
    assert {attempt["serves"] for attempt in attempts} == {1, 2}


@pytest.mark.system
def test_without_the_exchange_an_interrupted_selection_is_put_back_by_the_next_command(tmp_path: Path) -> None:
    attempts = interrupted("select-by-two-renames", tmp_path)
    assert {attempt["there"] for attempt in attempts} == {True, False}  # the moment between the two renames was hit
    assert all(attempt["serves"] in (1, 2) and attempt["problems"] == [] for attempt in attempts)


@pytest.mark.system
def test_a_fresh_clone_killed_anywhere_still_has_its_only_release(tmp_path: Path) -> None:
    attempts = interrupted("select-in-a-fresh-clone", tmp_path)
    assert len(attempts) > 20
    assert all(attempt["there"] and attempt["serves"] in (1, 2) and attempt["problems"] == [] for attempt in attempts)
    assert all(attempt["first"] for attempt in attempts)  # in either place, whole


@pytest.mark.system
def test_a_release_killed_while_written_is_none(tmp_path: Path) -> None:
    attempts = interrupted("write", tmp_path)
    assert len(attempts) > 5
    assert [attempt["whole"] for attempt in attempts if not attempt["finished"]] == [False] * (len(attempts) - 1)
    assert all(attempt["problems"] == [] for attempt in attempts)


def test_the_committed_release_is_unaltered() -> None:
    assert list(problems_of(read_release(MODEL_REPOSITORY))) == []
