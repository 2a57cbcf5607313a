"""Read the labelled audio: one entry per recording, from `manifest.csv` and `segments.csv`.

The columns are those of the data's own README: manifest.csv `path, label_task, label, subject_id, source, split`, one row
per (file, task); segments.csv `path, start_s, end_s`, hand-marked coughs.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

CLASS_LABELS = ("negative", "positive")


class DatasetError(ValueError):
    """The manifest can't be used; the message names the row and says what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled recording.

    source: short name (`coughseg`, `c19_call`, `c19_telegram`, `esc10`, `fsdd`)
    is_cough: whether the recording holds coughs
    class_label: index into CLASS_LABELS, or None where the recording has no class
    marks: hand-marked coughs, seconds, or None where nobody marked them
    """

    path: Path
    source: str
    split: str
    subject_id: str
    is_cough: bool
    class_label: int | None
    marks: tuple[tuple[float, float], ...] | None


def read_dataset(root: Path) -> list[Entry]:
    """All recordings of the train and val splits, in the manifest's order.

    Raises: DatasetError.
    """
    rows = _read_csv(root / "manifest.csv", ("path", "label_task", "label", "subject_id", "source", "split"))
    marks = _read_marks(root / "segments.csv")
    for row in rows:
        _check_row(row)
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
                path=path,
                source=source,
                split=row["split"],
                subject_id=row["subject_id"],
                is_cough=is_cough,
                class_label=classes.get(row["path"]),
                marks=tuple(marks.get(row["path"], ())) if source == "coughseg" or not is_cough else None,
            )
        )
    return entries


def manifest_sha256(root: Path) -> str:
    """Digest of the two tables, which hold the digest of every audio file."""
    joined = (root / "manifest.csv").read_bytes() + (root / "segments.csv").read_bytes()
    return hashlib.sha256(joined).hexdigest()


def fold_of(subject_id: str, n_folds: int) -> int:
    """The fold that a subject's recordings belong to, from a hash, so that it never depends on the order of rows."""
    return int.from_bytes(hashlib.sha256(subject_id.encode()).digest()[:4], "big") % n_folds


def _check_row(row: dict[str, str]) -> None:
    labels = {"cough_detection": ("cough", "non_cough"), "covid": CLASS_LABELS}
    allowed = {"label_task": tuple(labels), "label": labels.get(row["label_task"], ()), "split": ("train", "val")}
    for column, values in allowed.items():
        if row[column] not in values:
            name = column.replace("_", " ")
            raise DatasetError(
                f"{row['path']}: the {name} {row[column]!r} is not one of {', '.join(values)}: correct it."
            )


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


def _read_marks(path: Path) -> dict[str, list[tuple[float, float]]]:
    marks: dict[str, list[tuple[float, float]]] = {}
    for row in _read_csv(path, ("path", "start_s", "end_s")):
        marks.setdefault(row["path"], []).append((float(row["start_s"]), float(row["end_s"])))
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
