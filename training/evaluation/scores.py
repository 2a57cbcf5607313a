"""What a network said about one recording under one condition; kept as JSON lines, so that figures need no second
training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.conclude import accepted_candidates
from training.data.dataset import Entry
from training.evaluation.candidates import LINES, Candidates
from training.evaluation.conditions import PLAIN
from training.evaluation.line_figures import UNDISTURBED, is_covered
from training.evaluation.served import diagnosed
from training.model.calibration import CoughDecision
from training.model.network import CoughCNN
from training.model.predict import predict


@dataclass(frozen=True, slots=True)
class RecordingScores:
    """path, condition: of the recording; fold: of the network that has not heard it
    threshold, uncertain: of that network, for a sure cough and for one that may be.

    duration_s: of the recording; status: as serving would say, see `served.diagnosed`
    cough, positive: probability of each candidate; spans_s, labels: of the plain recording's only
    snr_db: see `preprocess.quality.snr_db`; segments_moved: under a gain, whether a segment moved by more than a frame
    """

    path: str
    condition: str
    fold: int
    threshold: float
    uncertain: float
    duration_s: float
    status: str
    cough: tuple[float, ...]
    positive: tuple[float, ...]
    spans_s: tuple[tuple[float, float], ...]
    labels: tuple[float, ...]
    snr_db: float | None
    clipped_fraction: float
    bandwidth_hz: float
    dropout_fraction: float
    segments_moved: bool

    @property
    def score(self) -> float:
        """Of the recording: its likeliest candidate's, 0 without candidates."""
        return max(self.cough, default=0.0)

    @property
    def accepted(self) -> bool:
        """Whether the recording has an accepted cough."""
        return self.score >= self.threshold

    @property
    def coughs(self) -> NDArray[np.bool_]:
        """Which candidates are accepted, [shape=(n,)]."""
        return accepted_candidates(np.asarray(self.cough, dtype=np.float32), self.threshold, self.uncertain)


@dataclass(frozen=True, slots=True)
class LineScores:
    """What serving would say of a recording on a disturbed line; family: of `data.lines`, or UNDISTURBED.

    coughs: accepted ones of the plain recording; kept: those at whose place one is accepted on the line
    """

    path: str
    family: str
    fold: int
    status: str
    coughs: int
    kept: int


def score_candidates(
    network: CoughCNN,
    decision: CoughDecision,
    fold: int,
    candidates: Sequence[Candidates],
    entries: Sequence[Entry],
    frame_s: float,
) -> list[RecordingScores]:
    """Score each recording with one network; plain ones must come before their other conditions. frame_s: the
    segmenter's hop.
    """
    plain = {candidate.entry: candidate for candidate in candidates if candidate.condition == PLAIN}
    scored = []
    for candidate, cough, classes in _predicted(network, candidates):
        is_plain, quality = candidate.condition == PLAIN, candidate.channel.quality
        diagnosis = diagnosed(candidate.prepared, cough, classes, decision)
        scored.append(
            RecordingScores(
                path=entries[candidate.entry].path,
                condition=candidate.condition,
                fold=fold,
                threshold=decision.threshold,
                uncertain=decision.uncertain,
                duration_s=round(candidate.prepared.duration_s, 3),
                status=diagnosis.status.value,
                cough=tuple(round(float(value), 5) for value in cough),
                positive=tuple(round(float(value), 5) for value in classes[:, -1]),
                spans_s=tuple((round(a, 3), round(b, 3)) for a, b in candidate.spans_s) if is_plain else (),
                labels=tuple(map(float, candidate.labels)) if is_plain else (),
                snr_db=None if diagnosis.audio.snr_db is None else round(diagnosis.audio.snr_db, 2),
                clipped_fraction=round(quality.clipped_fraction, 5),
                bandwidth_hz=round(quality.bandwidth_hz, 1),
                dropout_fraction=round(quality.dropout_fraction, 4),
                segments_moved=candidate.condition.startswith("gain")
                and _moved(candidate, plain[candidate.entry], frame_s),
            )
        )
    return scored


def score_lines(
    network: CoughCNN,
    decision: CoughDecision,
    fold: int,
    candidates: Sequence[Candidates],
    entries: Sequence[Entry],
) -> list[LineScores]:
    """Judge recordings on lines beside themselves. candidates: of each recording the plain one and those on lines."""
    diagnoses = [
        (candidate, diagnosed(candidate.prepared, cough, classes, decision))
        for candidate, cough, classes in _predicted(network, candidates)
    ]
    plain = {candidate.entry: diagnosis for candidate, diagnosis in diagnoses if candidate.condition == PLAIN}
    scored = []
    for candidate, diagnosis in diagnoses:
        if candidate.condition == PLAIN or candidate.condition in LINES:
            coughs, later_s = plain[candidate.entry].coughs, candidate.later_s
            before = [(cough.start_s + later_s, cough.end_s + later_s) for cough in coughs]
            after = [(cough.start_s, cough.end_s) for cough in diagnosis.coughs]
            scored.append(
                LineScores(
                    path=entries[candidate.entry].path,
                    family=LINES.get(candidate.condition, UNDISTURBED),
                    fold=fold,
                    status=diagnosis.status.value,
                    coughs=len(before),
                    kept=sum(is_covered(span, after) for span in before),
                )
            )
    return scored


def _predicted(
    network: CoughCNN, candidates: Sequence[Candidates]
) -> Iterator[tuple[Candidates, NDArray[np.float32], NDArray[np.float32]]]:
    """Each with the scores of its candidates."""
    if not candidates:
        return
    cough, classes = predict(network, np.concatenate([candidate.levels for candidate in candidates]))
    first = 0
    for candidate in candidates:
        rows = slice(first, first + len(candidate.levels))
        first += len(candidate.levels)
        yield candidate, cough[rows], classes[rows]


def write_scores(path: Path, scores: Sequence[RecordingScores] | Sequence[LineScores]) -> None:
    path.write_text("".join(json.dumps(asdict(score)) + "\n" for score in scores), encoding="utf-8")


def read_scores(path: Path) -> list[RecordingScores]:
    """Raises: OSError, ValueError where the file is not what `write_scores` wrote."""
    scores = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        tuples = {name: tuple(row[name]) for name in ("cough", "positive", "labels")}
        scores.append(RecordingScores(**{**row, **tuples, "spans_s": tuple((a, b) for a, b in row["spans_s"])}))
    return scores


def read_line_scores(path: Path) -> list[LineScores]:
    """Raises: OSError, ValueError where the file is not what `write_scores` wrote."""
    return [LineScores(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _moved(one: Candidates, plain: Candidates, frame_s: float) -> bool:
    if len(one.spans_s) != len(plain.spans_s):
        return True
    difference = np.abs(np.asarray(one.spans_s) - np.asarray(plain.spans_s))
    return bool((difference > 1.01 * frame_s).any())
