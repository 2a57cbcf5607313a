"""A record repeats on the recording that it came from, and a difference is named where it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.color import neighbouring_level, quantise
from preprocess.decode import decode
from runtime import WorkUnit, execute, load_config
from runtime.__main__ import main
from runtime.classify import Scores
from runtime.conclude import conclude
from runtime.config import ROOT
from runtime.contract import ModelContract
from runtime.diagnosis import Status
from runtime.errors import RecordUnreadable
from runtime.figures.playback import at_model_rate, candidate_powers
from runtime.onnx_classifier import default_classifier
from runtime.prepare import prepare
from runtime.processor import processor_class
from runtime.replaying.replay import (
    LEVEL_TOLERANCE,
    SCORE_TOLERANCE,
    Comparison,
    Replay,
    Verdict,
    compare,
    read_record,
    replay,
)
from runtime.replaying.rule_changes import changed_since
from tests.preprocess.recordings import by_ffmpeg
from tests.runtime.parts import COLOR_SPEC, LIMITS, MEL_SPEC, QUALITY_LIMITS, contract, scores

SAMPLES = ROOT / "samples" / "preprocessing"
AUDIO = SAMPLES / "benchmark_1" / "raw.ogg"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return execute(WorkUnit(AUDIO, *load_config())).to_dict()


def written(folder: Path, document: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("wrap", [lambda found: found, lambda found: {"call_id": "x", "diagnosis": found}])
def test_a_record_is_repeated(
    record: dict[str, Any], wrap: Callable[[Any], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(written(tmp_path, wrap(record))), str(AUDIO)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "The diagnosis is repeated: identical."
    assert all(line.startswith("same ") for line in lines[:-1])
    for field in ("segments", "spectrogram_sha256", "segments[0].cough_probability", "status", "model"):
        assert any(line.split() == ["same", field] for line in lines)


def test_every_sample_repeats_itself() -> None:
    files = sorted(SAMPLES.glob("*/raw.*"))
    assert len(files) >= 8
    for file in files:
        work = WorkUnit(file, *load_config())
        repeated = replay(read_record(execute(work).to_json()), work)
        assert repeated.verdict is Verdict.IDENTICAL
        assert all(comparison.same for comparison in repeated.comparisons)


def change(record: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = json.loads(json.dumps(record))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("status",), "no_cough", "status"),
        (("reasons",), [], "reasons"),
        (("result",), None, "result"),
        (("segments", 0, "start_s"), 0.123, "segments"),
        (("spectrogram_sha256",), "0" * 64, "spectrogram_sha256"),
        (("audio", "sha256"), "0" * 64, "audio.sha256"),
        (("audio", "snr_db"), None, "audio.snr_db"),
    ],
)
def test_what_differs_is_named(
    record: dict[str, Any],
    path: tuple[Any, ...],
    value: object,
    field: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["replay", str(written(tmp_path, change(record, path, value))), str(AUDIO)]) == 1
    differing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("differs")]
    assert len(differing) == 1
    assert differing[0].startswith(f"differs  {field}: recorded ")


@pytest.mark.parametrize(("share", "same"), [(0.9, True), (1.5, False)])
def test_scores_may_differ_by_the_tolerance(record: dict[str, Any], share: float, same: bool) -> None:
    """Convolutions differ by about 1e-6 between runtimes; 1e-4 is the contract."""
    score = record["segments"][0]["cough_probability"]
    changed = change(record, ("segments", 0, "cough_probability"), score - share * SCORE_TOLERANCE)
    comparisons = compare(changed, execute(WorkUnit(AUDIO, *load_config())))
    assert all(comparison.same for comparison in comparisons) is same
    assert [comparison.field for comparison in comparisons if not comparison.same] == (
        [] if same else ["segments[0].cough_probability"]
    )


def test_a_score_that_was_written_without_its_point_has_the_tolerance_too(record: dict[str, Any]) -> None:
    changed = change(record, ("segments", 0, "cough_probability"), 1)
    found = execute(WorkUnit(AUDIO, *load_config()))
    near = replace(found.segments[0], cough_probability=1.0 - 0.5 * SCORE_TOLERANCE)
    assert all(item.same for item in compare(changed, replace(found, segments=(near, *found.segments[1:]))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("segments",), None),
        (("segments",), [1, 2]),
        (("segments", 0), {"end_s": 1.0}),
        (("audio",), None),
        (("audio",), []),
        (("model",), None),
        (("result",), {"label": "positive"}),
        (("reasons",), ["bad weather"]),
        (("near_threshold",), {"margin": 0.1}),
        (("near_threshold", "margin"), "a"),
        (("near_threshold", "class_probability"), None),
        (("near_threshold", "segments"), ["a"]),
        (("software_version",), None),
        (("software_version",), [0, 1]),
        (("processor",), 3),
        (("segments", 0, "spectrogram_crc32"), 5),
        (("status",), "fine"),
    ],
)
def test_fields_of_another_shape_are_refused(
    record: dict[str, Any], path: tuple[Any, ...], value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(written(tmp_path, change(record, path, value))), str(AUDIO)]) == 2
    assert "not those of a diagnosis" in capsys.readouterr().err


def test_another_model_is_told_but_decides_nothing(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same scores from another release are the same answer; that it was another must be seen."""
    assert main(["replay", str(written(tmp_path, change(record, ("model", "version"), "99"))), str(AUDIO)]) == 0
    assert "other    model: recorded {'name': 'cough_cnn', 'version': '99'" in capsys.readouterr().out


def test_another_recording_differs_in_its_segments(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = SAMPLES / "call" / "raw.wav"
    assert main(["replay", str(written(tmp_path, record)), str(other)]) == 1
    assert "differs  audio.sha256" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "lacks"),
        ('{"status": "ok"}', "lacks 'reasons'"),
        ('{"call_id": "x", "diagnosis": null}', "holds no diagnosis"),
    ],
)
def test_what_is_no_record_is_refused(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecordUnreadable, match=words):
        read_record(text)
    (tmp_path / "record.json").write_text(text)
    assert main(["replay", str(tmp_path / "record.json"), str(AUDIO)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("replay: ")
    assert error.count("\n") == 1


def test_missing_files_and_swapped_arguments_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.json"), str(AUDIO)]) == 2
    assert "none.json can't be read" in capsys.readouterr().err
    assert main(["replay", str(AUDIO), str(AUDIO)]) == 2
    assert "give the record first" in capsys.readouterr().err


# A decoder that computes otherwise on other processors, and rules that have changed.


def aac() -> bytes:
    """The sample as AAC, whose decoder in FFmpeg uses FMA where the processor has it."""
    recording = decode(AUDIO.read_bytes(), LIMITS.decode)
    return by_ffmpeg(recording.samples, recording.sample_rate_hz, "ipod", "aac", 64_000)


def moved(work: WorkUnit, changes: Sequence[tuple[int, int]], by: int = 1) -> dict[str, Any]:
    """The record that another processor would have made: of these candidates' levels so many, next to a border, lie
    beyond it.

    by: how far they are moved; 1 is what rounding does
    """
    data = work.read()
    diagnosis = execute(work)
    powers = candidate_powers(at_model_rate(data, diagnosis, MEL_SPEC, LIMITS.decode), diagnosis.segments, MEL_SPEC)
    levels = quantise(powers, COLOR_SPEC)
    others, distances = neighbouring_level(powers, COLOR_SPEC)
    for n, count in changes:
        nearest = np.argsort(distances[n], axis=None)[:count]
        step = others[n].reshape(-1)[nearest].astype(int) - levels[n].reshape(-1)[nearest]
        levels[n].reshape(-1)[nearest] += (step * by).astype(np.uint8)
    # The recorded scores are those of the recorded levels.
    prepared = prepare(data, *load_config(), LIMITS.decode)
    classifier = default_classifier()
    scores = classifier.classify(levels)
    made = conclude(replace(prepared, spectrograms=levels), scores, classifier.contract(), QUALITY_LIMITS, 1, 0.0)
    return {**read_record(made.to_json()), "processor": "x86-64-v2"}


def digest_line(repeated: Replay) -> Comparison:
    (found,) = [comparison for comparison in repeated.comparisons if comparison.field == "spectrogram_sha256"]
    return found


def test_levels_that_rounding_moved_are_the_same_answer() -> None:
    work = WorkUnit(aac(), *load_config())
    record = moved(work, [(0, 2), (3, 1), (5, 6)])
    repeated = replay(record, work)
    assert repeated.verdict is Verdict.WITHIN_ROUNDING
    assert not digest_line(repeated).binding
    count, why = repeated.why
    assert count.startswith("9 of 36864 levels differ by one")
    assert "aac" in why
    assert "recorded on x86-64-v2, repeated on " in why
    # One level moves a score by more than runtimes do; that it is the recorded levels' own is what is asked.
    before = execute(work).segments[0].cough_probability
    assert 0.0 < abs(record["segments"][0]["cough_probability"] - before) < LEVEL_TOLERANCE


def test_between_processors_on_which_no_decoder_differs_rounding_explains_nothing() -> None:
    work = WorkUnit(aac(), *load_config())
    on_v3 = {**moved(work, [(0, 1)]), "processor": "x86-64-v3"}
    here_too = processor_class() in ("x86-64-v3", "x86-64-v4")
    assert replay(on_v3, work).verdict is (Verdict.DIFFERENT if here_too else Verdict.WITHIN_ROUNDING)


@pytest.mark.parametrize("path", [("preprocess_sha256",), ("model", "sha256")])
@pytest.mark.parametrize("old", [False, True])
def test_what_other_parameters_or_another_model_made_is_not_called_rounding(path: tuple[str, ...], old: bool) -> None:
    work = WorkUnit(aac(), *load_config())
    record = change(moved(work, [(0, 1)]), path, "0" * 64)
    record = read_record(json.dumps(as_before_0_2_0(record))) if old else record
    assert replay(record, work).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("changes", "by"),
    [([(0, 7)], 1), ([(0, 1)], 2)],
    ids=["more in one cough than 0.1 %", "by two levels"],
)
def test_levels_that_rounding_can_not_have_moved_are_another_answer(changes: list[tuple[int, int]], by: int) -> None:
    work = WorkUnit(aac(), *load_config())
    repeated = replay(moved(work, changes, by), work)
    assert repeated.verdict is Verdict.DIFFERENT
    assert digest_line(repeated).binding


def test_a_decoder_that_is_exact_has_no_rounding_to_explain_a_level_with() -> None:
    work = WorkUnit(AUDIO, *load_config())
    assert replay(moved(work, [(0, 1)]), work).verdict is Verdict.DIFFERENT


def test_rounding_excuses_nothing_else() -> None:
    work = WorkUnit(aac(), *load_config())
    record = moved(work, [(0, 1)])
    changed = change(record, ("segments", 0, "cough_probability"), record["segments"][0]["cough_probability"] - 0.001)
    assert replay(changed, work).verdict is Verdict.DIFFERENT


def as_before_0_2_0(record: dict[str, Any]) -> dict[str, Any]:
    """Version 0.1.0 wrote these fields only."""
    old = {name: value for name, value in record.items() if name not in ("processor", "near_threshold")}
    old["segments"] = [{k: v for k, v in segment.items() if k != "spectrogram_crc32"} for segment in record["segments"]]
    return {**old, "software_version": "0.1.0"}


def test_a_record_made_before_the_rule_for_levels_changed_is_told_which_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = as_before_0_2_0(moved(WorkUnit(AUDIO, *load_config()), [(0, 1), (2, 1)]))
    assert main(["replay", str(written(tmp_path, old)), str(AUDIO)]) == 0
    out = capsys.readouterr().out
    assert "differs" not in out.split("Changed with version 0.2.0: a level is found by comparing")[0]
    assert "2 of 36864 levels differ by one" in out
    assert out.endswith("The same answer, by a rule that has changed since.\n")


def as_before_0_3_0(record: dict[str, Any]) -> dict[str, Any]:
    """Version 0.2.0 said less of the audio."""
    later = ("parts", "track", "tracks", "pauses_s", "lost_s")
    return {
        **record,
        "audio": {name: value for name, value in record["audio"].items() if name not in later},
        "software_version": "0.2.0",
    }


def test_a_record_made_before_0_3_0_is_readable_and_repeats(record: dict[str, Any]) -> None:
    old = read_record(json.dumps(as_before_0_3_0(record)))
    assert old["audio"]["parts"] is None
    assert replay(old, WorkUnit(AUDIO, *load_config())).verdict is Verdict.IDENTICAL


def as_before_0_4_0(record: dict[str, Any]) -> dict[str, Any]:
    """Version 0.3.0 said nothing of tones and hum."""
    later = ("tones", "hum_hz", "hum_db")
    return {**record, "audio": {name: value for name, value in record["audio"].items() if name not in later}}


def test_a_record_that_says_nothing_of_tones_and_hum_is_readable_and_repeats(record: dict[str, Any]) -> None:
    old = read_record(json.dumps(as_before_0_4_0(record)))
    assert (old["audio"]["tones"], old["audio"]["hum_hz"], old["audio"]["hum_db"]) == (None, None, None)
    assert replay(old, WorkUnit(AUDIO, *load_config())).verdict is Verdict.IDENTICAL


def test_another_name_of_the_codec_is_a_changed_rule(record: dict[str, Any]) -> None:
    old = change(as_before_0_3_0(record), ("audio", "codec"), "pcm_16")
    repeated = replay(read_record(json.dumps(old)), WorkUnit(AUDIO, *load_config()))
    assert repeated.verdict is Verdict.RULE_CHANGED
    assert any("a codec has one name" in why for why in repeated.why)
    now = change(record, ("audio", "codec"), "pcm_16")
    assert replay(read_record(json.dumps(now)), WorkUnit(AUDIO, *load_config())).verdict is Verdict.DIFFERENT


def test_another_answer_by_other_decoding_is_different_and_names_the_rule(record: dict[str, Any]) -> None:
    old = change(as_before_0_3_0(record), ("segments", 0, "start_s"), 0.5)
    repeated = replay(read_record(json.dumps(old)), WorkUnit(AUDIO, *load_config()))
    assert repeated.verdict is Verdict.DIFFERENT
    assert any(why.startswith("Changed with version 0.3.0") for why in repeated.why)


def test_where_the_digest_alone_can_not_tell_that_is_said() -> None:
    work = WorkUnit(AUDIO, *load_config())
    old = as_before_0_2_0(moved(work, [(n, 2) for n in range(6)]))
    repeated = replay(read_record(json.dumps(old)), work)
    assert repeated.verdict is Verdict.RULE_CHANGED
    assert repeated.why[-1].startswith("Which levels moved can't be told from the digest alone")


def test_a_changed_rule_excuses_the_levels_only() -> None:
    work = WorkUnit(AUDIO, *load_config())
    old = as_before_0_2_0(moved(work, [(0, 1)]))
    changes: list[tuple[tuple[Any, ...], object]] = [(("status",), "no_cough"), (("segments", 0, "start_s"), 0.5)]
    changes += [(("segments", 2, "is_cough"), False), (("segments", 0, "cough_probability"), 0.5)]
    for path, value in changes:
        assert replay(read_record(json.dumps(change(old, path, value))), work).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("version", ["0.4.0", "0.10.0", "1.0.0", "next", "", "0." + "1" * 5000])
def test_a_record_of_this_version_or_an_unknown_one_has_no_changed_rule(version: str) -> None:
    assert changed_since(version) == ()
    assert [item.since for item in changed_since("0.1.0")] == ["0.2.0", "0.3.0", "0.4.0"]
    assert [item.since for item in changed_since("0.2.0")] == ["0.3.0", "0.4.0"]
    assert changed_since("0.1") == changed_since("0.1.9")


def test_a_score_at_its_threshold_is_named_where_decisions_differ(record: dict[str, Any]) -> None:
    changed = change(record, ("near_threshold", "segments"), [2])
    changed = change(changed, ("segments", 2, "is_cough"), False)
    repeated = replay(changed, WorkUnit(AUDIO, *load_config()))
    assert repeated.verdict is Verdict.DIFFERENT
    assert "within 0.0001 of their threshold (candidate 2)" in repeated.why[0]


class StandIn:
    """A classifier that gives every candidate a cough probability of 0.3, under thresholds of choice."""

    def __init__(self, **thresholds: float) -> None:
        self._contract = replace(contract(), **thresholds)  # type: ignore[arg-type]

    def contract(self) -> ModelContract:
        return self._contract

    def classify(self, spectrograms: NDArray[np.uint8]) -> Scores:
        return scores([0.3] * len(spectrograms), [0.5] * len(spectrograms))


@pytest.mark.parametrize(
    ("later", "fields"),
    [
        ({"uncertain_threshold": 0.2}, {"status", "reasons"}),
        ({"cough_threshold": 0.2, "uncertain_threshold": 0.2}, {"status", "reasons", "segments[0].is_cough"}),
        ({"uncertain_threshold": 0.4}, set()),
    ],
)
def test_another_threshold_is_another_answer(later: dict[str, float], fields: set[str]) -> None:
    """Of the cough head, with the same network: as between two releases of one checkpoint."""
    work = WorkUnit(AUDIO, *load_config())
    recorded = read_record(execute(work, StandIn()).to_json())
    repeated = replay(recorded, work, StandIn(**later))
    assert repeated.verdict is (Verdict.DIFFERENT if fields else Verdict.IDENTICAL)
    assert fields <= {item.field for item in repeated.comparisons if item.binding and not item.same}
    assert recorded["status"] == Status.NO_COUGH


def test_a_score_at_the_uncertain_threshold_is_named() -> None:
    work = WorkUnit(AUDIO, *load_config())
    recorded = read_record(execute(work, StandIn(uncertain_threshold=0.29995)).to_json())
    repeated = replay(recorded, work, StandIn(uncertain_threshold=0.30005))
    assert repeated.verdict is Verdict.DIFFERENT
    assert "within 0.0001 of their threshold (candidate 0" in repeated.why[0]
