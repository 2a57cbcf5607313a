"""The labelled audio's tables: read as they are, and refused with a sentence that names the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data.dataset import DatasetError, Entry, folds_by_subject, load_audio, manifest_sha256, read_dataset

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
    (entry,) = read_dataset([write_dataset(tmp_path, rows, "a.flac,0.01,0.05\n")])
    assert (entry.source, entry.split, entry.is_cough, entry.class_label) == ("coughseg", "train", True, 1)
    assert entry.marks == ((0.01, 0.05),)


def test_weak_labels_have_no_marks(tmp_path: Path) -> None:
    rows = "a.flac,cough_detection,cough,s1,covid19-cough/dataset (call-center),train\n"
    (entry,) = read_dataset([write_dataset(tmp_path, rows)])
    assert entry.marks is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("b.flac,cough_detection,cough,s1,x,train\n", "b.flac is in the manifest but not on disk"),
        (
            "a.flac,cough_detection,cough,s1,x,train\nb.flac,cough_detection,cough,s1,x,val\n",
            "subject s1 is in two splits",
        ),
        ("a.flac,cough_detection,sneeze,s1,x,train\n", "a.flac: the label 'sneeze' is not"),
        ("a.flac,covid,maybe,s1,x,train\n", "a.flac: the label 'maybe' is not"),
        ("a.flac,cough_detection,cough,s1,x,holdout\n", "a.flac: the split 'holdout' is not"),
        ("a.flac,cough_detection,cough,s1,x,train\n" * 2, "a.flac has two rows of the label task 'cough_detection'"),
        ("a.flac,covid,positive,s1,x,train\n", "a.flac has a class but is not labelled `cough`"),
        ("a.flac,cough_detection,cough,,x,train\n", r"manifest\.csv, line 2 has no subject_id"),
        ("a.flac,cough_detection,cough,s1\n", r"manifest\.csv, line 2 has not as many cells"),
        ("a.flac,cough_detection,cough,s1,x,train,more\n", r"manifest\.csv, line 2 has not as many cells"),
        ("/etc/a.flac,cough_detection,cough,s1,x,train\n", "is not inside the folder"),
        ("../a.flac,cough_detection,cough,s1,x,train\n", "is not inside the folder"),
        ("./a.flac,cough_detection,cough,s1,x,train\n", "another name for the same file: write a.flac"),
        (
            "a.flac,cough_detection,cough,s1,x,train\na.flac,covid,positive,s2,x,train\n",
            "a.flac has two rows whose subject id differ",
        ),
    ],
)
def test_refuses_with_the_row(tmp_path: Path, rows: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_dataset([write_dataset(tmp_path, rows)])


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ("a.flac,0.01\n", r"segments\.csv, line 2 has not as many cells"),
        ("a.flac,0.05,0.01\n", "give seconds, the start first"),
        ("a.flac,nan,0.01\n", "give seconds"),
        ("a.flac,0.01,5\n", r"marks a\.flac up to 5 s, but it ends at 0\.10 s"),
        ("a.flac,0.05,0.09\na.flac,0.01,0.06\n", r"marks a\.flac twice around 0\.05 s"),
        ("b.flac,0.01,0.05\n", "does not label `cough`"),
    ],
)
def test_refuses_marks_with_their_recording(tmp_path: Path, segments: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_dataset([write_dataset(tmp_path, "a.flac,cough_detection,cough,s1,x,train\n", segments)])


GOOD_ROW = "a.flac,cough_detection,cough,s1,x,train\n"


def test_a_spreadsheets_byte_order_mark_and_line_ends_are_read(tmp_path: Path) -> None:
    write_dataset(tmp_path, GOOD_ROW)
    text = (MANIFEST_HEADER + GOOD_ROW).replace("\n", "\r\n")
    (tmp_path / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_dataset([tmp_path])) == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_said(tmp_path: Path, encoding: str) -> None:
    write_dataset(tmp_path, GOOD_ROW)
    (tmp_path / "manifest.csv").write_bytes((MANIFEST_HEADER + GOOD_ROW.replace("s1", "señora")).encode(encoding))
    with pytest.raises(DatasetError, match=r"manifest\.csv is not UTF-8"):
        read_dataset([tmp_path])


@pytest.mark.parametrize("written", ["", "0" * 64])
def test_a_digest_that_is_not_the_files_is_said(tmp_path: Path, written: str) -> None:
    write_dataset(tmp_path, GOOD_ROW)
    (tmp_path / "manifest.csv").write_text(MANIFEST_HEADER.strip() + ",sha256\n" + GOOD_ROW.strip() + f",{written}\n")
    with pytest.raises(DatasetError, match=r"a\.flac is not the file that the manifest's sha256 names"):
        read_dataset([tmp_path])


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [(800, 2000, "has 2000 Hz"), (121 * 8000, 8000, "longer than the 120 s"), (0, 8000, "be read as audio")],
)
def test_audio_that_is_not_served_is_not_trained_on(tmp_path: Path, samples: int, rate: int, words: str) -> None:
    write_dataset(tmp_path, GOOD_ROW)
    soundfile.write(tmp_path / "a.flac", np.zeros(samples), rate)
    with pytest.raises(DatasetError, match=words):
        load_audio(read_dataset([tmp_path])[0])


def test_samples_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    write_dataset(tmp_path, GOOD_ROW.replace("a.flac", "a.wav"))
    soundfile.write(tmp_path / "a.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    with pytest.raises(DatasetError, match=r"a\.wav holds samples that are no numbers"):
        load_audio(read_dataset([tmp_path])[0])


def test_refuses_a_missing_table_and_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"manifest\.csv is not in"):
        read_dataset([tmp_path])
    write_dataset(tmp_path, "")
    (tmp_path / "manifest.csv").write_text("path,label\n")
    with pytest.raises(DatasetError, match="lacks the column"):
        read_dataset([tmp_path])


def made(n: int) -> list[Entry]:
    """n recordings, two of each subject, coughs and others of two sources."""
    return [
        Entry(f"{i}.flac", (Path("x"),), ("one", "two")[i // 2 % 2], "train", f"s{i // 2}", i // 4 % 2 == 0, None, None)
        for i in range(n)
    ]


def test_folds_keep_subjects_together_and_spread_each_kind() -> None:
    entries = made(800)
    folds = folds_by_subject(entries, 5)
    assert all(folds[i] == folds[i + 1] for i in range(0, 800, 2))
    for source in ("one", "two"):
        for is_cough in (True, False):
            kind = [
                fold
                for fold, item in zip(folds, entries, strict=True)
                if (item.source, item.is_cough) == (source, is_cough)
            ]
            assert sorted(np.bincount(kind, minlength=5)) == [40] * 5


def test_folds_do_not_depend_on_the_order_of_rows() -> None:
    entries = made(100)
    order = np.random.default_rng(0).permutation(100)
    shuffled = folds_by_subject([entries[i] for i in order], 5)
    assert np.array_equal(shuffled, folds_by_subject(entries, 5)[order])


def test_short_recordings_without_coughs_are_joined(tmp_path: Path) -> None:
    """8 of 0.9 s: three clips would leave the last of 0 s, four make 3.6 s; a cough that is as short stays alone."""
    rows = [f"d{i}.flac,cough_detection,non_cough,s1,free-spoken-digit,train" for i in range(8)]
    rows.append("c.flac,cough_detection,cough,s2,covid19-cough/dataset (call-center),train")
    for i in range(8):
        soundfile.write(tmp_path / f"d{i}.flac", np.full(7200, i / 100), 8000)
    soundfile.write(tmp_path / "c.flac", np.full(2400, 0.5), 8000)
    (tmp_path / "manifest.csv").write_text(MANIFEST_HEADER + "\n".join(rows) + "\n")
    entries = read_dataset([tmp_path])
    assert [(entry.source, len(entry.files)) for entry in entries] == [("c19_call", 1), ("fsdd", 4), ("fsdd", 4)]
    samples, rate = load_audio(entries[1])
    assert (rate, len(samples)) == (8000, 4 * 7200)
    assert samples[7200 * 3] == pytest.approx(0.03, abs=1e-4)  # 16 bits


def test_what_is_left_over_joins_the_last_whole_clip(tmp_path: Path) -> None:
    rows = [f"d{i}.flac,cough_detection,non_cough,s1,free-spoken-digit,train" for i in range(5)]
    for i in range(5):
        soundfile.write(tmp_path / f"d{i}.flac", np.zeros(7200), 8000)
    (tmp_path / "manifest.csv").write_text(MANIFEST_HEADER + "\n".join(rows) + "\n")
    assert [len(item.files) for item in read_dataset([tmp_path])] == [5]


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ("a.flac,0.05,0.01\n", "give seconds, the start first"),
        ("a.flac,one,two\n", "from 'one' to 'two'"),
        ("b.flac,0,1\n", "does not label `cough`"),
    ],
)
def test_refuses_marks_that_cannot_be(tmp_path: Path, segments: str, words: str) -> None:
    rows = "a.flac,cough_detection,cough,s1,x,train\n"
    with pytest.raises(DatasetError, match=words):
        read_dataset([write_dataset(tmp_path, rows, segments)])


def test_refuses_audio_that_cannot_be_used(tmp_path: Path) -> None:
    rows = "a.flac,cough_detection,cough,s1,x,train\n"
    write_dataset(tmp_path, rows)
    soundfile.write(tmp_path / "a.flac", np.zeros((800, 2)), 8000)
    with pytest.raises(DatasetError, match="not mono"):
        load_audio(read_dataset([tmp_path])[0])
    (tmp_path / "a.flac").write_bytes(b"no audio")
    with pytest.raises(DatasetError, match="can't be read as audio"):
        load_audio(read_dataset([tmp_path])[0])
    (tmp_path / "manifest.csv").write_text(MANIFEST_HEADER + rows.replace(",cough,", ",non_cough,"))
    with pytest.raises(DatasetError, match="can't be read as audio"):
        read_dataset([tmp_path])


def test_a_table_of_marks_is_not_needed(tmp_path: Path) -> None:
    write_dataset(tmp_path, "a.flac,cough_detection,cough,s1,roneelsharan/CoughSegmentation,train\n")
    (tmp_path / "segments.csv").unlink()
    (entry,) = read_dataset([tmp_path])
    assert entry.marks is None
    assert len(manifest_sha256([tmp_path])) == 64


def test_the_digest_covers_audio_that_the_manifest_does_not(tmp_path: Path) -> None:
    write_dataset(tmp_path, "a.flac,cough_detection,cough,s1,x,train\n")
    before = manifest_sha256([tmp_path])
    soundfile.write(tmp_path / "a.flac", [0.1] * 800, 8000)
    assert manifest_sha256([tmp_path]) != before


def test_the_manifest_digest_follows_the_tables(tmp_path: Path) -> None:
    write_dataset(tmp_path, "")
    before = manifest_sha256([tmp_path])
    (tmp_path / "segments.csv").write_text("path,start_s,end_s\na.flac,0,1\n")
    assert manifest_sha256([tmp_path]) != before
