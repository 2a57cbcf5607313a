"""The librosa code that most such services have: load, split, one mel spectrogram for each cough, a colour map.

What the model needs (rate, spectrogram, range in dB) is read from config.yml; the cutting is librosa's.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
import soundfile
from matplotlib import colormaps
from numpy.typing import NDArray

from bench.baselines.storing import Diagnose
from runtime.config import load_config
from runtime.errors import UndecodableAudio
from runtime.onnx_classifier import OnnxClassifier

TOP_DB = 30.0  # below the loudest frame; librosa's default of 60 takes the room between the coughs, too

_SEGMENTATION, _MEL, _COLOR = load_config()


@dataclass(frozen=True, slots=True)
class Decision:
    """How scores are read; labels: in the model's order, the last is the positive one."""

    labels: tuple[str, ...]
    cough_threshold: float
    uncertain_threshold: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Coughs:
    """What was cut out of a recording. spans: in samples, half open; clips: float32, as long as each is."""

    duration_s: float
    spans: tuple[tuple[int, int], ...]
    clips: tuple[NDArray[np.float32], ...]


def find_coughs(audio: bytes) -> Coughs:
    """Raises: UndecodableAudio where libsndfile does not know the format (WebM, AAC and AMR among them)."""
    try:
        samples, rate = librosa.load(io.BytesIO(audio), sr=_MEL.sample_rate_hz)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise UndecodableAudio("The file can't be decoded: send OGG, WAV, FLAC or MP3.") from error
    found = librosa.effects.split(samples, top_db=TOP_DB, frame_length=_MEL.n_fft, hop_length=_MEL.hop_length)
    shortest = _SEGMENTATION.min_duration_ms * rate / 1000.0
    spans = tuple((int(start), int(end)) for start, end in found if end - start >= shortest)
    return Coughs(len(samples) / rate, spans, tuple(samples[start:end] for start, end in spans))


def spectrogram_levels(clip: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One cough -> its mel spectrogram in 256 levels, uint8 [shape=(n_mels, n_frames)]; cut or padded at its end."""
    fixed = librosa.util.fix_length(clip, size=_MEL.clip_samples)
    mel = librosa.feature.melspectrogram(
        y=fixed,
        sr=_MEL.sample_rate_hz,
        n_fft=_MEL.n_fft,
        hop_length=_MEL.hop_length,
        n_mels=_MEL.n_mels,
        fmin=_MEL.fmin_hz,
        fmax=_MEL.fmax_hz,
        center=False,
    )
    decibels = librosa.power_to_db(mel, ref=np.max)
    scaled = np.clip((decibels - _COLOR.min_db) / (_COLOR.max_db - _COLOR.min_db), 0.0, 1.0)
    return np.asarray(np.rint(scaled * 255.0), dtype=np.uint8)


def spectrogram_image(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Levels of any shape -> RGB in [0, 1] in 256 steps, which is what the model was trained with; float32 [shape=(...,
    3)].
    """
    return np.asarray(colormaps[_COLOR.colormap](levels, bytes=True)[..., :3], dtype=np.float32) / np.float32(255.0)


def stacked_levels(coughs: Coughs) -> NDArray[np.uint8]:
    """All coughs, one after the other, uint8 [shape=(n, n_mels, n_frames)]."""
    if not coughs.clips:
        return np.zeros((0, _MEL.n_mels, _MEL.n_frames), dtype=np.uint8)
    return np.stack([spectrogram_levels(clip) for clip in coughs.clips])


def summarise(
    audio: bytes, coughs: Coughs, cough: NDArray[np.float32], classes: NDArray[np.float32], decision: Decision
) -> dict[str, Any]:
    """What our `runtime.Diagnosis` says, without its quality gates.

    cough: float32 [shape=(n,)]; classes: float32 [shape=(n, len(labels))]
    """
    rate = _MEL.sample_rate_hz
    is_cough = cough >= (decision.uncertain_threshold if (cough >= decision.cough_threshold).any() else math.inf)
    segments = [
        {
            **{"start_s": start / rate, "end_s": end / rate},
            "cough_probability": float(probability),
            "is_cough": bool(accepted),
            "class_probabilities": dict(zip(decision.labels, map(float, row), strict=True)) if accepted else None,
        }
        for (start, end), probability, accepted, row in zip(coughs.spans, cough, is_cough, classes, strict=True)
    ]
    status, result = _judge(classes[is_cough], decision)
    return {
        **{"status": status, "result": result, "segments": segments},
        "audio": {"sha256": hashlib.sha256(audio).hexdigest(), "duration_s": coughs.duration_s},
    }


def _judge(accepted: NDArray[np.float32], decision: Decision) -> tuple[str, dict[str, Any] | None]:
    if not len(accepted):
        return "no_cough", None
    probability = float(np.median(accepted[:, -1]))
    if decision.low <= probability < decision.high:
        return "inconclusive", None
    label = decision.labels[-1] if probability >= decision.high else decision.labels[0]
    return "ok", {"label": label, "probability": probability}


def usual_onnx_diagnose() -> Diagnose:
    """The code above in front of the ONNX model, whose graph holds the colour map, so that it takes levels.

    Loads the model once. Raises: ModelContractError.
    """
    classifier = OnnxClassifier(threads=1)
    contract = classifier.contract()
    thresholds = contract.thresholds
    decision = Decision(
        contract.labels, contract.cough_threshold, contract.uncertain_threshold, thresholds.low, thresholds.high
    )

    def diagnose(audio: bytes) -> dict[str, Any]:
        coughs = find_coughs(audio)
        scores = classifier.classify(stacked_levels(coughs))
        return summarise(audio, coughs, scores.cough, scores.classes, decision)

    return diagnose
