"""Data in several folders, and tables that are about coughs only: what is read, and what is refused in one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data.dataset import DatasetError, Entry, folds_by_subject, manifest_sha256, read_dataset
from training.data.sources import MIN_OF_EACH, folds_by_source, mixed_sources

pytestmark = pytest.mark.training

RATE = 8000
FULL = "path,label_task,label,subject_id,source,split"
DETECTION = "path,kind,label,subject_id,source,split"


def write_folder(root: Path, header: str, rows: Sequence[str], seconds: float = 0.5) -> Path:
    """One tone for each path, all different."""
    for number, path in enumerate(sorted({row.split(",")[0] for row in rows})):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, 0.1 * np.sin((1 + number) * np.arange(int(seconds * RATE))), RATE)
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text("\n".join((header, *rows)) + "\n")
    return root


def coughs_and_negatives(tmp_path: Path) -> list[Path]:
    return [
        write_folder(tmp_path / "cough", FULL, ["c/a.flac,cough_detection,cough,s1,line,train"]),
        write_folder(
            tmp_path / "hardneg",
            DETECTION,
            [
                "n/b.flac,breath,non_cough,s2,line,train",
                "n/c.flac,cough,cough,s3,generated,val",
                "n/d.flac,cry,unsure,s4,line,val",
            ],
        ),
    ]


def test_folders_are_read_one_after_the_other(tmp_path: Path) -> None:
    entries = read_dataset(coughs_and_negatives(tmp_path))
    assert [(item.path, item.collection, item.kind, item.is_cough) for item in entries] == [
        ("c/a.flac", "cough", "c", True),
        ("n/b.flac", "hardneg", "breath", False),
        ("n/c.flac", "hardneg", "cough", True),
    ]
    assert [item.synthetic for item in entries] == [False, False, True]
    assert entries[1].marks == ()
    assert entries[2].marks is None  # a weak positive
    assert [item.files[0].is_file() for item in entries] == [True] * 3


def test_what_is_unsure_is_left_out_but_its_file_is_checked(tmp_path: Path) -> None:
    cough, negatives = coughs_and_negatives(tmp_path)
    assert "n/d.flac" not in {item.path for item in read_dataset([negatives])}
    (negatives / "n" / "d.flac").write_bytes(b"no audio")
    with pytest.raises(DatasetError, match=r"d\.flac can't be read as audio"):
        read_dataset([cough, negatives])


def test_a_class_of_what_is_unsure_is_refused(tmp_path: Path) -> None:
    rows = ["a.flac,cough_detection,unsure,s1,x,train", "a.flac,covid,positive,s1,x,train"]
    with pytest.raises(DatasetError, match=r"a\.flac has a class but is not labelled `cough`"):
        read_dataset([write_folder(tmp_path / "own", FULL, rows)])


def test_recordings_with_a_kind_are_not_joined(tmp_path: Path) -> None:
    """Short ones of one person: judged each alone, as they are served. Without a kind they become one clip."""
    rows = [f"{n}.flac,breath,non_cough,s1,line,train" for n in range(4)]
    with_kind = write_folder(tmp_path / "kind", DETECTION, rows)
    assert [len(item.files) for item in read_dataset([with_kind])] == [1] * 4
    without = write_folder(
        tmp_path / "plain", DETECTION.replace("kind,", ""), [row.replace("breath,", "") for row in rows]
    )
    assert [len(item.files) for item in read_dataset([without])] == [4]


def test_a_row_without_its_kind_is_said(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own", DETECTION, ["a.flac,,non_cough,s1,line,train"])
    with pytest.raises(DatasetError, match=r"^manifest\.csv, line 2 has no kind: fill it in\.$"):
        read_dataset([folder])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_samples_are_held_to_their_digest(tmp_path: Path, subtype: str) -> None:
    """Of the samples as 16-bit integers, so that another container or header gives the same one."""
    folder = write_folder(tmp_path / "own", DETECTION, ["a.flac,breath,non_cough,s1,line,train"])
    samples, _ = soundfile.read(folder / "a.flac", dtype="int16")
    digest = hashlib.sha256(b"".join(int(value).to_bytes(2, "little", signed=True) for value in samples)).hexdigest()
    text = f"{DETECTION},sha256_pcm\na.flac,breath,non_cough,s1,line,train,{digest}\n"
    (folder / "manifest.csv").write_text(text)
    soundfile.write(folder / "a.flac", samples, RATE, subtype=subtype)
    assert len(read_dataset([folder])) == 1
    before = manifest_sha256([folder])
    samples[7] += 1
    soundfile.write(folder / "a.flac", samples, RATE, subtype=subtype)
    with pytest.raises(DatasetError, match=r"a\.flac is not the file that the manifest's sha256_pcm names: restore it"):
        read_dataset([folder])
    assert manifest_sha256([folder]) == before  # the table's digest stands for the audio
    (folder / "a.flac").write_bytes(b"no audio")
    with pytest.raises(DatasetError, match="can't be read as audio"):
        read_dataset([folder])


def test_a_path_in_two_folders_is_refused_with_both(tmp_path: Path) -> None:
    row = "a.flac,breath,non_cough,s1,line,train"
    folders = [write_folder(tmp_path / name, DETECTION, [row]) for name in ("one", "two")]
    with pytest.raises(DatasetError) as found:
        read_dataset(folders)
    assert str(found.value) == f"a.flac is in {folders[0]} and in {folders[1]}: give it another name in one of them."


def test_a_subject_in_two_splits_is_refused_across_folders(tmp_path: Path) -> None:
    folders = [
        write_folder(tmp_path / split, DETECTION, [f"{split}.flac,breath,non_cough,s1,line,{split}"])
        for split in ("train", "val")
    ]
    with pytest.raises(DatasetError) as found:
        read_dataset(folders)
    assert str(found.value) == (
        f"subject s1 is in two splits, train in {folders[0]} and val in {folders[1]}: keep each subject in one."
    )


def test_of_several_folders_the_one_that_is_wrong_is_named(tmp_path: Path) -> None:
    cough, negatives = coughs_and_negatives(tmp_path)
    text = (negatives / "manifest.csv").read_text()
    (negatives / "manifest.csv").write_text(text.replace("s3", ""))
    with pytest.raises(DatasetError, match=rf"^{negatives}: manifest\.csv, line 3 has no subject_id"):
        read_dataset([cough, negatives])
    (negatives / "manifest.csv").write_text(text)
    (cough / "c" / "a.flac").unlink()
    with pytest.raises(DatasetError, match=rf"^{cough}: c/a\.flac is in the manifest but not on disk"):
        read_dataset([cough, negatives])
    with pytest.raises(DatasetError, match=r"^c/a\.flac is in the manifest"):
        read_dataset([cough])


def test_the_digest_covers_every_folder(tmp_path: Path) -> None:
    folders = coughs_and_negatives(tmp_path)
    digests = [manifest_sha256(one) for one in (folders, folders[:1], folders[1:], folders[::-1])]
    assert len(set(digests)) == 4
    soundfile.write(folders[1] / "n" / "b.flac", np.full(800, 0.1), RATE)
    assert manifest_sha256(folders) != digests[0]
    assert manifest_sha256(folders[:1]) == digests[1]


def test_a_subject_of_two_folders_is_in_one_fold(tmp_path: Path) -> None:
    folders = [
        write_folder(
            tmp_path / name, DETECTION, [f"{name}{n}.flac,{name},non_cough,s{n},line,train" for n in range(10)], 0.1
        )
        for name in ("breath", "speech")
    ]
    entries = read_dataset(folders)
    folds = folds_by_subject(entries, 5)
    assert list(folds[:10]) == list(folds[10:])
    assert list(np.bincount(folds)) == [4] * 5


def of_source(coughs: int, others: int) -> list[Entry]:
    return [
        Entry(str(n), (Path("x"),), "line", "train", str(n), n < coughs, None, None) for n in range(coughs + others)
    ]


@pytest.mark.parametrize(("coughs", "others", "judges"), [(20, 20, True), (19, 200, False), (200, 19, False)])
def test_a_source_judges_from_20_recordings_of_each_kind_on(coughs: int, others: int, judges: bool) -> None:
    assert MIN_OF_EACH == 20
    assert mixed_sources(of_source(coughs, others)) == (["line"] if judges else [])
    assert mixed_sources(of_source(coughs, others), 1) == ["line"]


def test_a_source_of_a_table_with_kinds_lies_in_one_fold() -> None:
    """What a fold holds then comes from places that the others have nothing of; other tables stay by subject."""
    kinds = [
        Entry(f"{n}", (Path("x"),), f"source {n % 7}", "train", f"s{n}", False, None, None, "knock", "hard", True)
        for n in range(70)
    ]
    plain = [Entry(f"p{n}", (Path("x"),), "clinic", "train", f"p{n}", n % 2 == 0, None, None) for n in range(20)]
    folds = folds_by_source([*kinds, *plain], 5)
    of_source = {entry.source: {int(fold) for fold in folds[:70][n::7]} for n, entry in enumerate(kinds[:7])}
    assert all(len(found) == 1 for found in of_source.values())
    assert set(folds[:70].tolist()) == set(range(5))
    assert np.array_equal(folds[70:], folds_by_subject([*kinds, *plain], 5)[70:])
