"""A small data set of our own making: bursts of noise that decay for coughs, tones for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def recording(rng: np.random.Generator, *, is_cough: bool) -> np.ndarray:
    """Two events of 0.3 s, at 0.4 and 1.3 s of 2 s."""
    samples = 1e-4 * rng.standard_normal(2 * RATE)
    time_s = np.arange(int(0.3 * RATE)) / RATE
    for start_s in (0.4, 1.3):
        event = rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.08)
        if not is_cough:
            event = np.sin(2 * np.pi * rng.uniform(300, 900) * time_s)
        samples[int(start_s * RATE) :][: len(time_s)] += 0.3 * event
    return samples


def write_data(root: Path, n: int = 72) -> Path:
    """Three quarters of the subjects in train, the rest in val; marked coughs and others in turn; half the coughs of
    each class.

    Every fourth cough stands for a call of covid19-cough's and has no marks. In four folds of five, and in the train
    split, the other source has 20 recordings of each kind, so that it can be judged.
    """
    rng = np.random.default_rng(0)
    manifest, segments = ["path,label_task,label,subject_id,source,split"], ["path,start_s,end_s"]
    for number in range(n):
        name, split, is_cough = f"{number}.flac", "train" if number < n * 3 // 4 else "val", number % 2 == 0
        soundfile.write(root / name, recording(rng, is_cough=is_cough), RATE)
        label = "cough" if is_cough else "non_cough"
        source = "covid19-cough/dataset (call-center)" if number % 8 == 6 else "roneelsharan/CoughSegmentation"
        manifest.append(f"{name},cough_detection,{label},s{number},{source},{split}")
        if is_cough:
            manifest.append(
                f"{name},covid,{('negative', 'positive')[(number // 2 + number // 8) % 2]},s{number},{source},{split}"
            )
        if is_cough and number % 8 != 6:
            segments += [f"{name},0.4,0.7", f"{name},1.3,1.6"]
    (root / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (root / "segments.csv").write_text("\n".join(segments) + "\n")
    return root
