"""Read `manifest.csv` and `segments.csv` and check every row: what is wrong is named by its file, its line or its
recording.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath

from runtime.model_facts import LABELS

MANIFEST_COLUMNS = ("path", "label", "subject_id", "source", "split")
OPTIONAL_COLUMNS = ("label_task", "kind")  # filled in every row where the table has them
SEGMENT_COLUMNS = ("path", "start_s", "end_s")

Row = dict[str, str]
Marks = dict[str, list[tuple[float, float]]]


class DatasetError(ValueError):
    """The data can't be used; the message names the row or the file and says what to do."""


def read_manifests(roots: Sequence[Path]) -> list[list[Row]]:
    """The rows of each folder's manifest.csv: no path in two folders, no subject in two splits.

    Raises: DatasetError.
    """
    tables = []
    for root in roots:
        with naming(root, roots):
            tables.append(_read_manifest(root))
    _check_folders(roots, tables)
    return tables


@contextmanager
def naming(root: Path, roots: Sequence[Path]) -> Iterator[None]:
    """Put the folder in front of what is wrong in it, where there are several."""
    try:
        yield
    except DatasetError as error:
        if len(roots) == 1:
            raise
        raise DatasetError(f"{root}: {error}") from error


def _read_manifest(root: Path) -> list[Row]:
    """One row per (file, task), as docs/training.md describes them. Without a column `label_task` all are of
    `cough_detection`.
    """
    rows = [{"label_task": "cough_detection", **row} for row in _read_csv(root / "manifest.csv", MANIFEST_COLUMNS)]
    for row in rows:
        _check_row(row)
    _check_recordings(rows)
    return rows


def read_marks(root: Path, rows: list[Row]) -> Marks:
    """Hand-marked coughs by recording, in order of time; none, where there is no such table. Raises: DatasetError."""
    marks: Marks = {}
    if not (root / "segments.csv").is_file():
        return marks
    coughs = {row["path"] for row in rows if row["label"] == "cough"}
    for row in _read_csv(root / "segments.csv", SEGMENT_COLUMNS):
        try:
            start_s, end_s = float(row["start_s"]), float(row["end_s"])
        except ValueError:
            start_s = end_s = math.nan
        if not 0.0 <= start_s < end_s < math.inf:
            raise DatasetError(
                f"segments.csv marks {row['path']} from {row['start_s']!r} to {row['end_s']!r}: give seconds, the "
                "start first."
            )
        if row["path"] not in coughs:
            raise DatasetError(
                f"segments.csv marks coughs in {row['path']}, which manifest.csv does not label `cough`: correct "
                "either."
            )
        marks.setdefault(row["path"], []).append((start_s, end_s))
    for path, spans in marks.items():
        spans.sort()
        for before, after in pairwise(spans):
            if after[0] < before[1]:
                raise DatasetError(f"segments.csv marks {path} twice around {after[0]:g} s: give each cough one row.")
    return marks


def _check_row(row: Row) -> None:
    path = PurePosixPath(row["path"])
    if path.is_absolute() or ".." in path.parts or "\\" in row["path"]:
        raise DatasetError(f"{row['path']} is not inside the folder: give paths relative to it, with forward slashes.")
    if str(path) != row["path"]:
        raise DatasetError(f"{row['path']} has another name for the same file: write {path}.")
    labels = {"cough_detection": ("cough", "non_cough", "unsure"), "covid": LABELS}
    allowed = {"label_task": tuple(labels), "label": labels.get(row["label_task"], ()), "split": ("train", "val")}
    for column, values in allowed.items():
        if row[column] not in values:
            name = column.replace("_", " ")
            raise DatasetError(
                f"{row['path']}: the {name} {row[column]!r} is not one of {', '.join(values)}: correct it."
            )


def _check_recordings(rows: list[Row]) -> None:
    """One row per (file, task), which agree; a class only for what is a cough; a subject in one split."""
    seen: set[tuple[str, str]] = set()
    first: dict[str, Row] = {}
    splits: dict[str, str] = {}
    for row in rows:
        pair = (row["path"], row["label_task"])
        if pair in seen:
            raise DatasetError(f"{row['path']} has two rows of the label task {row['label_task']!r}: remove one.")
        seen.add(pair)
        other = first.setdefault(row["path"], row)
        for column in ("subject_id", "source", "split"):
            if other[column] != row[column]:
                name = column.replace("_", " ")
                raise DatasetError(f"{row['path']} has two rows whose {name} differ: make them agree.")
        if splits.setdefault(row["subject_id"], row["split"]) != row["split"]:
            raise DatasetError(f"subject {row['subject_id']} is in two splits: keep each subject in one.")
    coughs = {row["path"] for row in rows if row["label"] == "cough"}
    for path, task in sorted(seen):
        if task == "covid" and path not in coughs:
            raise DatasetError(f"{path} has a class but is not labelled `cough`: add its cough_detection row.")


def _check_folders(roots: Sequence[Path], tables: Sequence[Sequence[Row]]) -> None:
    """A path in one folder, a subject in one split."""
    folders: dict[str, Path] = {}
    splits: dict[str, tuple[str, Path]] = {}
    for root, rows in zip(roots, tables, strict=True):
        for row in rows:
            path, subject = row["path"], row["subject_id"]
            before = folders.get(path)
            if before is not None:
                raise DatasetError(f"{path} is in {before} and in {root}: give it another name in one of them.")
            split, other = splits.setdefault(subject, (row["split"], root))
            if split != row["split"]:
                raise DatasetError(
                    f"subject {subject} is in two splits, {split} in {other} and {row['split']} in {root}: keep each "
                    "subject in one."
                )
        folders |= dict.fromkeys((row["path"] for row in rows), root)


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[Row]:
    if not path.is_file():
        raise DatasetError(f"{path.name} is not in {path.resolve().parent.name}/: give DATA= the folder that holds it.")
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(f"{path.name} lacks the column {sorted(missing)[0]}: add it.")
            for row in reader:
                where = f"{path.name}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise DatasetError(f"{where} has not as many cells as the header: correct it.")
                empty = [name for name in (*columns, *OPTIONAL_COLUMNS) if name in row and not row[name].strip()]
                if empty:
                    raise DatasetError(f"{where} has no {empty[0]}: fill it in.")
                rows.append(row)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8: save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise DatasetError(f"{path.name} can't be read as CSV ({error}): save it anew.") from error
    return rows
