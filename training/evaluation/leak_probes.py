"""Leak probes: what gives the label away without listening to a cough. A high figure is a warning about the data.

Each is a small classifier on one thing only, judged by the same five folds by subject: the duration; the level; the
quietest fifth of the frames (mean mel spectrum in dB), where nobody coughs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from preprocess.resample import resample
from training.data.dataset import Entry, folds_by_subject, load_audio
from training.data.examples import Params
from training.data.sources import mixed_sources
from training.evaluation.candidates import Candidates
from training.evaluation.metrics import auc

QUIETEST = 0.2
N_FOLDS = 5

Row = tuple[int, float, list[float]]  # fold, label, features


def leak_probes(
    entries: Sequence[Entry], plain: Sequence[Candidates], params: Params, progress: Callable[..., Any]
) -> dict[str, dict[str, Any]]:
    """task -> probe -> {"value", "folds"}; plain: candidates of the plain recordings."""
    folds = folds_by_subject(entries, N_FOLDS)
    mixed = mixed_sources(entries)
    rows: dict[str, dict[str, list[Row]]] = {}

    def add(task: str, probe: str, index: int, label: float, features: list[float]) -> None:
        rows.setdefault(task, {}).setdefault(probe, []).append((int(folds[index]), label, features))

    for item in progress(plain, len(plain)):
        entry = entries[item.entry]
        if entry.source in mixed:
            for (start_s, end_s), rms, label in zip(item.spans_s, item.channel.segment_rms, item.labels, strict=True):
                if label >= 0.0:
                    add(f"{entry.source}_events", "duration", item.entry, float(label), [end_s - start_s])
                    add(f"{entry.source}_events", "level", item.entry, float(label), [_decibels(rms)])
        label = float(entry.is_cough) if entry.source in mixed else entry.class_label
        if label is None:
            continue
        task = f"{entry.source}_recordings" if entry.source in mixed else f"{entry.source}_class"
        samples, sample_rate_hz = load_audio(entry)
        samples = resample(samples[None], sample_rate_hz, params[1].sample_rate_hz)[0]
        add(task, "duration", item.entry, float(label), [len(samples) / params[1].sample_rate_hz])
        add(task, "level", item.entry, float(label), [_decibels(float(np.sqrt(np.mean(samples**2))))])
        add(task, "quietest", item.entry, float(label), quietest_spectrum(samples, params))
    return {task: {name: probe_auc(found) for name, found in probes.items()} for task, probes in rows.items()}


def quietest_spectrum(samples: NDArray[np.float32], params: Params) -> list[float]:
    """Mean mel spectrum, dB to full scale, of the quietest fifth of the frames; samples: float32 [shape=(n,)]"""
    mel = params[1]
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=mel.sample_rate_hz,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels // 2,
        fmin=mel.fmin_hz,
        fmax=mel.fmax_hz,
    )
    frames = np.argsort(power.sum(axis=0))[: max(1, int(QUIETEST * power.shape[1]))]
    return [float(value) for value in 10.0 * np.log10(power[:, frames].mean(axis=1) + 1e-10)]


def probe_auc(rows: Sequence[Row]) -> dict[str, Any]:
    """AUC in each fold of a classifier fitted on the others: boosted trees on one number, logistic regression on a
    spectrum.
    """
    fold = np.array([row[0] for row in rows])
    labels = np.array([row[1] for row in rows])
    features = np.array([row[2] for row in rows])
    found = []
    for held in range(N_FOLDS):
        learn, judge = fold != held, fold == held
        if len(np.unique(labels[learn])) < 2 or len(np.unique(labels[judge])) < 2:
            continue
        model = (
            GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=0)
            if features.shape[1] == 1
            else make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        )
        model.fit(features[learn], labels[learn])
        found.append(round(float(auc(labels[judge], model.predict_proba(features[judge])[:, 1]) or 0.0), 4))
    return {"value": round(float(np.mean(found)), 4) if found else None, "folds": found}


def _decibels(rms: float) -> float:
    return 20.0 * float(np.log10(rms + 1e-8))
