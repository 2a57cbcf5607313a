"""What a network said about one recording under one condition; kept as JSON lines, so that figures need no second
training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocess.quality import snr_db
from training.data.dataset import Entry
from training.evaluation.candidates import Candidates
from training.evaluation.conditions import PLAIN
from training.model.network import CoughCNN
from training.model.predict import predict


@dataclass(frozen=True, slots=True)
class RecordingScores:
    """path, condition: of the recording; fold: of the network that has not heard it; threshold: of that network.

    cough, positive: probability of each candidate; spans_s, labels: of the plain recording's only
    snr_db: see `preprocess.quality.snr_db`; segments_moved: under a gain, whether a segment moved by more than a frame
    """

    path: str
    condition: str
    fold: int
    threshold: float
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


def score_candidates(
    network: CoughCNN,
    threshold: float,
    fold: int,
    candidates: Sequence[Candidates],
    entries: Sequence[Entry],
    frame_s: float,
) -> list[RecordingScores]:
    """Score each recording with one network; plain ones must come before their other conditions. frame_s: the
    segmenter's hop.
    """
    if not candidates:
        return []
    cough, classes = predict(network, np.concatenate([candidate.levels for candidate in candidates]))
    plain = {candidate.entry: candidate for candidate in candidates if candidate.condition == PLAIN}
    scored, first = [], 0
    for candidate in candidates:
        rows = slice(first, first + len(candidate.levels))
        first += len(candidate.levels)
        is_plain = candidate.condition == PLAIN
        scored.append(
            RecordingScores(
                path=entries[candidate.entry].path,
                condition=candidate.condition,
                fold=fold,
                threshold=threshold,
                cough=tuple(round(float(value), 5) for value in cough[rows]),
                positive=tuple(round(float(value), 5) for value in classes[rows, -1]),
                spans_s=tuple((round(a, 3), round(b, 3)) for a, b in candidate.spans_s) if is_plain else (),
                labels=tuple(map(float, candidate.labels)) if is_plain else (),
                snr_db=_snr_db(candidate, cough[rows] >= threshold),
                clipped_fraction=round(candidate.clipped_fraction, 5),
                bandwidth_hz=round(candidate.bandwidth_hz, 1),
                dropout_fraction=round(candidate.dropout_fraction, 4),
                segments_moved=candidate.condition.startswith("gain")
                and _moved(candidate, plain[candidate.entry], frame_s),
            )
        )
    return scored


def write_scores(path: Path, scores: Sequence[RecordingScores]) -> None:
    path.write_text("".join(json.dumps(asdict(score)) + "\n" for score in scores), encoding="utf-8")


def read_scores(path: Path) -> list[RecordingScores]:
    """Raises: OSError, ValueError where the file is not what `write_scores` wrote."""
    scores = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        tuples = {name: tuple(row[name]) for name in ("cough", "positive", "labels")}
        scores.append(RecordingScores(**{**row, **tuples, "spans_s": tuple((a, b) for a, b in row["spans_s"])}))
    return scores


def _snr_db(recording: Candidates, accepted: NDArray[np.bool_]) -> float | None:
    found = snr_db(recording.rms, accepted.tolist(), recording.noise_rms)
    return None if found is None else round(found, 2)


def _moved(one: Candidates, plain: Candidates, frame_s: float) -> bool:
    if len(one.spans_s) != len(plain.spans_s):
        return True
    difference = np.abs(np.asarray(one.spans_s) - np.asarray(plain.spans_s))
    return bool((difference > 1.01 * frame_s).any())
