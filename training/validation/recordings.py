"""Labelled recordings, each judged alone, as served: prepare -> classify -> conclude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.classify import Classifier
from runtime.config import load_config
from runtime.diagnosis import Diagnosis, Status
from runtime.errors import AudioError
from runtime.execute import execute
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from runtime.work_unit import WorkUnit
from training.data.dataset import DatasetError, read_dataset
from training.data.manifest_tables import read_manifests
from training.progress import bar

SUBGROUP_COLUMNS = ("site", "device", "sex", "age_band")


@dataclass(frozen=True, slots=True)
class Recording:
    """One file and its label.

    path: relative to its folder; source, kind: as in `training.data.dataset.Entry`
    subgroups: those of SUBGROUP_COLUMNS that the manifest has, and their values; an empty cell is an empty value
    """

    path: str
    file: Path
    source: str
    kind: str
    split: str
    subject_id: str
    is_cough: bool
    subgroups: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording and what serving says of it."""

    recording: Recording
    diagnosis: Diagnosis

    @property
    def accepted(self) -> bool:
        """Whether a cough is accepted, whatever the status."""
        return bool(self.diagnosis.coughs)

    @property
    def refused(self) -> bool:
        """Whether it is refused for its quality."""
        return self.diagnosis.status is Status.POOR_QUALITY

    @property
    def score(self) -> float:
        """Of the likeliest candidate, 0 without candidates."""
        return max((segment.cough_probability for segment in self.diagnosis.segments), default=0.0)


def read_recordings(roots: Sequence[Path], split: str | None = None) -> list[Recording]:
    """All labelled recordings, folder by folder. Short ones, which training joins, are apart: a call comes alone.

    split: `train` or `val`; None for both

    Raises: DatasetError, ConfigError.
    """
    rows = {
        root / row["path"]: row
        for root, table in zip(roots, read_manifests(roots), strict=True)
        for row in table
        if row["label_task"] == "cough_detection"
    }
    recordings = [
        Recording(
            path=rows[file]["path"],
            file=file,
            source=entry.source,
            kind=entry.kind,
            split=entry.split,
            subject_id=entry.subject_id,
            is_cough=entry.is_cough,
            subgroups=tuple((name, rows[file][name].strip()) for name in SUBGROUP_COLUMNS if name in rows[file]),
        )
        for entry in read_dataset(roots)
        for file in entry.files
        if split in (None, entry.split)
    ]
    if not recordings:
        raise DatasetError(f"there is no labelled recording{f' in the split {split!r}' if split else ''}: give others.")
    return recordings


def judge(recordings: Sequence[Recording], classifier: Classifier) -> list[Judged]:
    """Diagnose each with the parameters of config.yml and the service's limits.

    Raises: DatasetError where the service would refuse a file; ParametersDiffer, InferenceError, ConfigError, OSError.
    """
    params, judged = load_config(), []
    for index in bar("recordings")(range(len(recordings)), len(recordings)):
        recording = recordings[index]
        try:
            judged.append(Judged(recording, execute(WorkUnit(recording.file, *params), classifier)))
        except AudioError as error:
            raise DatasetError(f"{recording.path}: {say_error(error, Language.ENGLISH)}") from error
    return judged
