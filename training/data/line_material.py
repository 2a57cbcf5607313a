"""Recorded sounds for lines (lines.py): Spanish prompts and hold music, from the folder of hard negatives."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from training.data.lines import Material
from training.data.manifest_tables import DatasetError

MUSIC_SOURCE, PROMPT_SOURCE = "asterisk-moh", "asterisk-core-sounds-es"


def read_material(sounds: Path) -> Material:
    """Spanish prompts and hold music of the training split of hardneg. Raises: OSError, DatasetError."""
    prompts: list[NDArray[np.float32]] = []
    music: list[NDArray[np.float32]] = []
    with (sounds / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rate_hz = 16_000
    for row in rows:
        group = music if MUSIC_SOURCE in row["path"] else prompts if PROMPT_SOURCE in row["path"] else None
        if group is None or int(row["sample_rate"]) != rate_hz:
            continue
        samples, _ = soundfile.read(sounds / row["path"], dtype="float32")
        if len(samples) > rate_hz:
            group.append(samples / max(float(np.abs(samples).max()), 1e-6))
    if not prompts or not music:
        raise DatasetError(f"{sounds} has no {PROMPT_SOURCE} or no {MUSIC_SOURCE} at {rate_hz} Hz: give SOUNDS=.")
    return Material(prompts, music, rate_hz)


def material_of(folders: Sequence[Path]) -> Material | None:
    """Of the first folder that has some."""
    for folder in folders:
        try:
            return read_material(folder)
        except (DatasetError, KeyError):
            continue
    return None
