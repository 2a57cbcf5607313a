"""Read the labelled audio: one entry per recording, from `manifest.csv` and `segments.csv` of one or more folders.

The columns are those of the data's own README (docs/training.md): manifest.csv `path, label_task, label, subject_id,
source, split`, one row per (file, task), without `label_task` where the table is about coughs only; segments.csv `path,
start_s, end_s`, hand-marked coughs, where anybody marked some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from numpy.typing import NDArray

from runtime.config import ROOT, load_limits
from runtime.model_facts import LABELS
from training.data.manifest_tables import DatasetError, Row, naming, read_manifests, read_marks

__all__ = [
    "DEFAULT_FOLDERS",
    "DatasetError",
    "Entry",
    "folds_by_subject",
    "load_audio",
    "manifest_sha256",
    "read_dataset",
]

DEFAULT_FOLDERS = [ROOT.parent / "shared" / "data" / name for name in ("cough", "hardneg")]
JOIN_TO_S = 3.0
SYNTHETIC_SOURCE = "generated"
MARK_SLACK_S = 0.1  # a mark may end this far after the recording: tables are rounded


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled recording.

    path: relative to its folder, unique over all folders
    files: what it is made of, several where short recordings were joined
    source: the manifest's, or a short name (`coughseg`, `c19_call`, `c19_telegram`, `esc10`, `fsdd`)
    is_cough: whether the recording holds coughs
    class_label: index into LABELS, or None where the recording has no class
    marks: hand-marked coughs, seconds, or None where nobody marked them
    kind: the sort of sound, the manifest's; without that column the folder that it lies in (`person_sneeze`)
    collection: the name of the folder that holds its manifest (`cough`, `hardneg`)
    has_kind: whether the manifest says its kind
    """

    path: str
    files: tuple[Path, ...]
    source: str
    split: str
    subject_id: str
    is_cough: bool
    class_label: int | None
    marks: tuple[tuple[float, float], ...] | None
    kind: str = ""
    collection: str = ""
    has_kind: bool = False

    @property
    def group(self) -> str:
        """What its figures are kept by: the source; where the manifest has kinds, also the kind (`hardneg_speech`)."""
        return f"{self.collection}_{self.kind}" if self.has_kind else self.source

    @property
    def synthetic(self) -> bool:
        """Computed, not recorded."""
        return self.source == SYNTHETIC_SOURCE

    @property
    def stratum(self) -> tuple[str, str, bool, int | None]:
        """What every fold must have its share of."""
        return self.source, self.kind, self.is_cough, self.class_label


def read_dataset(roots: Sequence[Path]) -> list[Entry]:
    """All recordings of the train and val splits, folder by folder, in the manifest's order.

    What is labelled `unsure` is checked like the rest and left out. Raises: DatasetError, ConfigError.
    """
    entries = []
    for root, rows in zip(roots, read_manifests(roots), strict=True):
        with naming(root, roots):
            entries += _read_folder(root, rows)
    return entries


def _read_folder(root: Path, rows: list[Row]) -> list[Entry]:
    marks = read_marks(root, rows)
    classes = {row["path"]: LABELS.index(row["label"]) for row in rows if row["label_task"] == "covid"}
    entries = []
    for row in rows:
        if row["label_task"] != "cough_detection":
            continue
        spans, is_cough = marks.get(row["path"], []), row["label"] == "cough"
        _check_file(root, row, max((end_s for _, end_s in spans), default=0.0))
        if row["label"] == "unsure":
            continue
        entries.append(
            Entry(
                path=row["path"],
                files=(root / row["path"],),
                source=_short_source(row["source"]),
                split=row["split"],
                subject_id=row["subject_id"],
                is_cough=is_cough,
                class_label=classes.get(row["path"]),
                marks=tuple(spans) if spans or not is_cough else None,
                kind=row.get("kind", PurePosixPath(row["path"]).parent.name),
                collection=root.resolve().name,
                has_kind="kind" in row,
            )
        )
    # With a kind each recording is judged alone, as it would be served.
    return entries if rows and "kind" in rows[0] else _join_short(entries)


def load_audio(entry: Entry) -> tuple[NDArray[np.float32], int]:
    """Samples [shape=(n,)] and their rate; files of a joined entry follow each other without a pause.

    Raises: DatasetError where a file is no audio, has more than one channel, or samples that are no numbers.
    """
    parts, rates = [], set()
    for file in entry.files:
        name = (Path(entry.path).parent / file.name).as_posix()
        try:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _unreadable(name) from error
        if samples.shape[1] != 1 or not len(samples):
            raise DatasetError(f"{name} is empty or not mono: keep the caller's channel only.")
        if not np.isfinite(samples).all():
            raise DatasetError(f"{name} holds samples that are no numbers: convert it again.")
        parts.append(samples[:, 0])
        rates.add(rate)
    if len(rates) != 1:
        raise DatasetError(f"{entry.path} and others of its subject have different sample rates: resample them.")
    return np.concatenate(parts), rates.pop()


def manifest_sha256(roots: Sequence[Path]) -> str:
    """Digest of the data, folder by folder: of both tables, and of every audio file where the manifest has no digest.

    Where it has one, `read_dataset` holds the files to it. Raises: DatasetError.
    """
    digests = [_folder_sha256(root, rows) for root, rows in zip(roots, read_manifests(roots), strict=True)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _folder_sha256(root: Path, rows: Sequence[Row]) -> str:
    tables = [item for item in (root / "manifest.csv", root / "segments.csv") if item.is_file()]
    digest = hashlib.sha256(b"".join(table.read_bytes() for table in tables))
    if rows and not {"sha256", "sha256_pcm"} & rows[0].keys():
        for path in sorted({row["path"] for row in rows}):
            digest.update(hashlib.sha256((root / path).read_bytes()).digest())
    return digest.hexdigest()


def folds_by_subject(entries: Sequence[Entry], n_folds: int) -> NDArray[np.int64]:
    """The fold of each entry, [shape=(len(entries),)]: all of a subject in one, every source and kind spread over all.

    Subjects are dealt out in the order of a hash, so that the order of rows does not matter.
    """
    first: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda item: item.path):
        first.setdefault(entry.subject_id, entry)
    ranked = sorted(first, key=lambda subject: (first[subject].stratum, hashlib.sha256(subject.encode()).hexdigest()))
    fold = {subject: index % n_folds for index, subject in enumerate(ranked)}
    return np.array([fold[entry.subject_id] for entry in entries], dtype=np.int64)


def _join_short(entries: list[Entry]) -> list[Entry]:
    """Recordings without coughs that are shorter than JOIN_TO_S become clips of about that, by subject and split.

    A spoken digit is as short as a cough and alone in its file: joined, neither length nor silence gives it away, and
    the segmenter meets it as it meets speech.
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
    return float(soundfile.info(entry.files[0]).duration)


def _check_file(root: Path, row: Row, marked_to_s: float) -> None:
    """Raises:

    DatasetError where a recording is missing, altered, no audio, beyond the service's limits, or marked past its end.
    """
    name = row["path"]
    file = root / name
    if not file.is_file():
        raise DatasetError(f"{name} is in the manifest but not on disk: restore it or remove its row.")
    _check_digest(file, row)
    try:
        info = soundfile.info(file)
    except soundfile.LibsndfileError as error:
        raise _unreadable(name) from error
    limits = load_limits()[1].decode
    if info.duration > limits.max_duration_s:
        raise DatasetError(f"{name} is longer than the {limits.max_duration_s:g} s that are served: cut it.")
    if not limits.min_sample_rate_hz <= info.samplerate <= limits.max_sample_rate_hz:
        raise DatasetError(f"{name} has {info.samplerate} Hz, which is not served: resample it.")
    if marked_to_s > info.duration + MARK_SLACK_S:
        raise DatasetError(
            f"segments.csv marks {name} up to {marked_to_s:g} s, but it ends at {info.duration:.2f} s: correct it."
        )


def _check_digest(file: Path, row: Row) -> None:
    """`sha256` is of the file, `sha256_pcm` of its samples as signed 16-bit little-endian integers."""
    column = "sha256" if "sha256" in row else "sha256_pcm"
    if column not in row:
        return
    try:
        data = file.read_bytes() if column == "sha256" else soundfile.read(file, dtype="int16")[0].astype("<i2")
    except soundfile.LibsndfileError as error:
        raise _unreadable(row["path"]) from error
    if hashlib.sha256(data).hexdigest() != row[column].lower():
        raise DatasetError(
            f"{row['path']} is not the file that the manifest's {column} names: restore it, or correct the column."
        )


def _unreadable(name: str) -> DatasetError:
    return DatasetError(f"{name} can't be read as audio: convert it to FLAC or WAV.")


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
