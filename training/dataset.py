"""Read the labelled audio: one entry per recording, from `manifest.csv` and `segments.csv`.

The columns are those of the data's own README (docs/training.md): manifest.csv `path, label_task, label, subject_id, source,
split`, one row per (file, task); segments.csv `path, start_s, end_s`, hand-marked coughs, where anybody marked some.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

CLASS_LABELS = ("negative", "positive")
JOIN_TO_S = 3.0


class DatasetError(ValueError):
    """The manifest can't be used; the message names the row and says what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled recording.

    path: relative to the data's folder; files: what it is made of, several where short recordings were joined
    source: short name (`coughseg`, `c19_call`, `c19_telegram`, `esc10`, `fsdd`)
    is_cough: whether the recording holds coughs
    class_label: index into CLASS_LABELS, or None where the recording has no class
    marks: hand-marked coughs, seconds, or None where nobody marked them
    """

    path: str
    files: tuple[Path, ...]
    source: str
    split: str
    subject_id: str
    is_cough: bool
    class_label: int | None
    marks: tuple[tuple[float, float], ...] | None

    @property
    def kind(self) -> str:
        """The folder that the recording lies in: the sort of sound, where a source has several (`person_sneeze`)."""
        return self.path.split("/")[-2] if "/" in self.path else ""

    @property
    def stratum(self) -> tuple[str, str, bool, int | None]:
        """What every fold must have its share of."""
        return self.source, self.kind, self.is_cough, self.class_label


def read_dataset(root: Path) -> list[Entry]:
    """All recordings of the train and val splits, in the manifest's order.

    Raises: DatasetError.
    """
    rows = _read_csv(root / "manifest.csv", ("path", "label_task", "label", "subject_id", "source", "split"))
    marks = _read_marks(root / "segments.csv", rows)
    for row in rows:
        _check_row(row)
    _check_pairs(rows)
    classes = {row["path"]: CLASS_LABELS.index(row["label"]) for row in rows if row["label_task"] == "covid"}
    entries: list[Entry] = []
    splits: dict[str, str] = {}
    for row in rows:
        if splits.setdefault(row["subject_id"], row["split"]) != row["split"]:
            raise DatasetError(f"subject {row['subject_id']} is in two splits: keep each subject in one.")
        if row["label_task"] != "cough_detection":
            continue
        path = root / row["path"]
        if not path.is_file():
            raise DatasetError(f"{row['path']} is in the manifest but not on disk: restore it or remove its row.")
        is_cough = row["label"] == "cough"
        source = _short_source(row["source"])
        entries.append(
            Entry(
                path=row["path"],
                files=(path,),
                source=source,
                split=row["split"],
                subject_id=row["subject_id"],
                is_cough=is_cough,
                class_label=classes.get(row["path"]),
                marks=tuple(marks.get(row["path"], ())) if row["path"] in marks or not is_cough else None,
            )
        )
    return _join_short(entries)


def load_audio(entry: Entry) -> tuple[NDArray[np.float32], int]:
    """Samples [shape=(n,)] and their rate; files of a joined entry follow each other without a pause.

    Raises: DatasetError where a file is no audio, or has more than one channel.
    """
    parts, rates = [], set()
    for file in entry.files:
        try:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _unreadable(entry) from error
        if samples.shape[1] != 1 or not len(samples):
            raise DatasetError(f"{entry.path} is empty or not mono: keep the caller's channel only.")
        parts.append(samples[:, 0])
        rates.add(rate)
    if len(rates) != 1:
        raise DatasetError(f"{entry.path} and others of its subject have different sample rates: resample them.")
    return np.concatenate(parts), rates.pop()


def manifest_sha256(root: Path) -> str:
    """Digest of the data: of both tables, and of every audio file where the manifest has no column `sha256` for them."""
    tables = [one for one in (root / "manifest.csv", root / "segments.csv") if one.is_file()]
    digest = hashlib.sha256(b"".join(one.read_bytes() for one in tables))
    rows = _read_csv(root / "manifest.csv", ("path",))
    if rows and "sha256" not in rows[0]:
        for path in sorted({row["path"] for row in rows}):
            digest.update(hashlib.sha256((root / path).read_bytes()).digest())
    return digest.hexdigest()


def folds_by_subject(entries: Sequence[Entry], n_folds: int) -> NDArray[np.int64]:
    """The fold of each entry, [shape=(len(entries),)]: all of a subject in one, every source and kind spread over all.

    Subjects are dealt out in the order of a hash, so that the order of rows does not matter.
    """
    first: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda one: one.path):
        first.setdefault(entry.subject_id, entry)
    ranked = sorted(first, key=lambda subject: (first[subject].stratum, hashlib.sha256(subject.encode()).hexdigest()))
    fold = {subject: index % n_folds for index, subject in enumerate(ranked)}
    return np.array([fold[entry.subject_id] for entry in entries], dtype=np.int64)


def _join_short(entries: list[Entry]) -> list[Entry]:
    """Recordings without coughs that are shorter than JOIN_TO_S become clips of about that, by subject and split.

    A spoken digit is as short as a cough and alone in its file: joined, neither length nor silence gives it away, and the
    segmenter meets it as it meets speech.
    """
    kept: list[Entry] = []
    short: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        if entry.is_cough or _duration_s(entry) >= JOIN_TO_S:
            kept.append(entry)
        else:
            short.setdefault((entry.source, entry.subject_id, entry.split), []).append(entry)
    for group in short.values():
        clips: list[Entry] = []
        length_s = JOIN_TO_S
        for entry in group:
            if length_s >= JOIN_TO_S:
                clips.append(entry)
                length_s = 0.0
            else:
                clips[-1] = replace(clips[-1], files=clips[-1].files + entry.files)
            length_s += _duration_s(entry)
        if length_s < JOIN_TO_S and len(clips) > 1:  # what is left over goes to the last whole clip
            rest = clips.pop()
            clips[-1] = replace(clips[-1], files=clips[-1].files + rest.files)
        kept += clips
    return kept


def _duration_s(entry: Entry) -> float:
    try:
        return float(soundfile.info(entry.files[0]).duration)
    except soundfile.LibsndfileError as error:
        raise _unreadable(entry) from error


def _unreadable(entry: Entry) -> DatasetError:
    return DatasetError(f"{entry.path} can't be read as audio: convert it to FLAC or WAV.")


def _check_row(row: dict[str, str]) -> None:
    labels = {"cough_detection": ("cough", "non_cough"), "covid": CLASS_LABELS}
    allowed = {"label_task": tuple(labels), "label": labels.get(row["label_task"], ()), "split": ("train", "val")}
    for column, values in allowed.items():
        if row[column] not in values:
            name = column.replace("_", " ")
            raise DatasetError(
                f"{row['path']}: the {name} {row[column]!r} is not one of {', '.join(values)}: correct it."
            )


def _check_pairs(rows: list[dict[str, str]]) -> None:
    """One row per (file, task), and a class only for what is a cough."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        pair = (row["path"], row["label_task"])
        if pair in seen:
            raise DatasetError(f"{row['path']} has two rows of the label task {row['label_task']!r}: remove one.")
        seen.add(pair)
    coughs = {row["path"] for row in rows if row["label"] == "cough"}
    for path, task in sorted(seen):
        if task == "covid" and path not in coughs:
            raise DatasetError(f"{path} has a class but is not labelled `cough`: add its cough_detection row.")


def _short_source(source: str) -> str:
    for part, short in (
        ("CoughSegmentation", "coughseg"),
        ("call-center", "c19_call"),
        ("telegram", "c19_telegram"),
        ("ESC-10", "esc10"),
        ("free-spoken-digit", "fsdd"),
    ):
        if part in source:
            return short
    return source


def _read_marks(path: Path, rows: list[dict[str, str]]) -> dict[str, list[tuple[float, float]]]:
    """Marks by recording; none, where there is no such table."""
    marks: dict[str, list[tuple[float, float]]] = {}
    if not path.is_file():
        return marks
    coughs = {row["path"] for row in rows if row["label"] == "cough"}
    for row in _read_csv(path, ("path", "start_s", "end_s")):
        try:
            start_s, end_s = float(row["start_s"]), float(row["end_s"])
        except ValueError:
            start_s = end_s = math.nan
        if not 0.0 <= start_s < end_s < math.inf:
            raise DatasetError(
                f"segments.csv marks {row['path']} from {row['start_s']!r} to {row['end_s']!r}: give seconds, the start first."
            )
        if row["path"] not in coughs:
            raise DatasetError(
                f"segments.csv marks coughs in {row['path']}, which manifest.csv does not label `cough`: correct either."
            )
        marks.setdefault(row["path"], []).append((start_s, end_s))
    return marks


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise DatasetError(f"{path.name} is not in {path.parent.name}/: give DATA= the folder that holds it.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(f"{path.name} lacks the column {sorted(missing)[0]}: add it.")
        return list(reader)
