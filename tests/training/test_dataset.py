"""The labelled audio's tables: read as they are, and refused with a sentence that names the row."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from training.dataset import DatasetError, fold_of, manifest_sha256, read_dataset

pytestmark = pytest.mark.training

MANIFEST_HEADER = "path,label_task,label,subject_id,source,split\n"


def write_dataset(root: Path, rows: str, segments: str = "") -> Path:
    (root / "manifest.csv").write_text(MANIFEST_HEADER + rows)
    (root / "segments.csv").write_text("path,start_s,end_s\n" + segments)
    soundfile.write(root / "a.flac", [0.0] * 800, 8000)
    return root


def test_reads_labels_marks_and_classes(tmp_path: Path) -> None:
    rows = (
        "a.flac,cough_detection,cough,s1,roneelsharan/CoughSegmentation,train\n"
        "a.flac,covid,positive,s1,roneelsharan/CoughSegmentation,train\n"
    )
    (entry,) = read_dataset(write_dataset(tmp_path, rows, "a.flac,0.01,0.05\n"))
    assert (entry.source, entry.split, entry.is_cough, entry.class_label) == ("coughseg", "train", True, 1)
    assert entry.marks == ((0.01, 0.05),)


def test_weak_labels_have_no_marks(tmp_path: Path) -> None:
    rows = "a.flac,cough_detection,cough,s1,covid19-cough/dataset (call-center),train\n"
    (entry,) = read_dataset(write_dataset(tmp_path, rows))
    assert entry.marks is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("b.flac,cough_detection,cough,s1,x,train\n", "b.flac is in the manifest but not on disk"),
        (
            "a.flac,cough_detection,cough,s1,x,train\na.flac,cough_detection,cough,s1,x,val\n",
            "subject s1 is in two splits",
        ),
        ("a.flac,cough_detection,sneeze,s1,x,train\n", "a.flac: the label 'sneeze' is not"),
        ("a.flac,covid,maybe,s1,x,train\n", "a.flac: the label 'maybe' is not"),
        ("a.flac,cough_detection,cough,s1,x,holdout\n", "a.flac: the split 'holdout' is not"),
    ],
)
def test_refuses_with_the_row(tmp_path: Path, rows: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_dataset(write_dataset(tmp_path, rows))


def test_refuses_a_missing_table_and_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"manifest\.csv is not in"):
        read_dataset(tmp_path)
    write_dataset(tmp_path, "")
    (tmp_path / "manifest.csv").write_text("path,label\n")
    with pytest.raises(DatasetError, match="lacks the column"):
        read_dataset(tmp_path)


def test_a_subject_stays_in_its_fold_and_folds_are_alike() -> None:
    folds = [fold_of(f"subject-{n}", 5) for n in range(2000)]
    assert folds == [fold_of(f"subject-{n}", 5) for n in range(2000)]
    # Binomial: 400 expected in each, standard deviation 18; five of them either way is never seen.
    assert all(310 < folds.count(fold) < 490 for fold in range(5))


def test_the_manifest_digest_follows_the_tables(tmp_path: Path) -> None:
    write_dataset(tmp_path, "")
    before = manifest_sha256(tmp_path)
    (tmp_path / "segments.csv").write_text("path,start_s,end_s\na.flac,0,1\n")
    assert manifest_sha256(tmp_path) != before
