"""Contracts, prepared recordings and scores made by hand: what the runtime's pure parts need, without a model."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2

from preprocess.quality import Quality
from preprocess.tones import Hum, Tone
from runtime.classify import Scores
from runtime.config import digest, load_config, load_limits, preprocess_parameters
from runtime.contract import ModelContract, contract_of
from runtime.prepare import Prepared, PreparedChannel

PARAMS = load_config()
SEGMENTATION, MEL_SPEC, COLOR_SPEC = PARAMS
QUALITY_LIMITS, LIMITS = load_limits()
GOOD = Quality(
    peak=0.5, clipped_fraction=0.0, noise_level=0.003, loud_level=0.1, bandwidth_hz=4000.0, dropout_fraction=0.0
)


def model_config(**changes: str | None) -> model_config_pb2.ModelConfig:
    """A Triton config as export writes it; `changes` replace parameters, None takes one away."""
    preprocess = preprocess_parameters(*PARAMS)
    parameters: dict[str, str | None] = {
        "labels": '["negative", "positive"]',
        "preprocess": json.dumps(preprocess),
        "preprocess_sha256": digest(preprocess),
        "model_sha256": "a" * 64,
        "validated": "false",
        "cough_threshold": "0.5",
        "threshold_low": "0.5",
        "threshold_high": "0.5",
        "checkpoint_sha256": "b" * 64,
        "data_sha256": "c" * 64,
        "software_version": "0.1.0",
        **changes,
    }
    config = model_config_pb2.ModelConfig(name="cough_cnn", backend="onnxruntime", max_batch_size=8)
    config.input.add(name="spectrogram", data_type=model_config_pb2.TYPE_UINT8, dims=[64, 96])
    config.output.add(name="cough_probability", data_type=model_config_pb2.TYPE_FP32, dims=[1])
    config.output.add(name="class_probabilities", data_type=model_config_pb2.TYPE_FP32, dims=[2])
    for key, value in parameters.items():
        if value is not None:
            config.parameters[key].string_value = value
    return config


def contract(validated: bool = False, low: float = 0.4, high: float = 0.6) -> ModelContract:
    made = contract_of(model_config(validated=json.dumps(validated)), "3")
    return replace(made, threshold_low=low, threshold_high=high)


def channel(
    n: int,
    name: int | str = 0,
    rms: float = 0.1,
    snr_db: float | None = 30.0,
    tones: tuple[Tone, ...] = (),
    hum: Hum | None = None,
    **quality: Any,
) -> PreparedChannel:
    """n candidates of 0.4 s, one each second, all of that level and SNR, as are the loud moments; `quality` changes
    GOOD.
    """
    noise_level = None if snr_db is None else rms * 10.0 ** (-snr_db / 20.0)
    return PreparedChannel(
        channel=name,
        segments_s=tuple((float(i), i + 0.4) for i in range(n)),
        segment_levels=(rms,) * n,
        segment_rms=(rms,) * n,
        quality=replace(GOOD, **{"noise_level": noise_level, "loud_level": rms, **quality}),
        tones=tones,
        hum=hum,
    )


def prepared(*channels: PreparedChannel, duration_s: float = 10.0, truncated: bool = False) -> Prepared:
    """Each candidate's spectrogram is filled with its own number, so that digests tell them apart."""
    n = sum(len(channel.segments_s) for channel in channels)
    return Prepared(
        audio_sha256="d" * 64,
        duration_s=duration_s,
        sample_rate_hz=16_000,
        codec="opus",
        n_channels=len(channels),
        truncated=truncated,
        channels=channels,
        spectrograms=np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None], (n, 64, 96)).copy(),
        processor="x86-64-v3",
        preprocess_sha256="e" * 64,
        timings_ms={"decode": 1.0},
    )


def scores(cough: list[float], positive: list[float]) -> Scores:
    positives = np.array(positive, dtype=np.float32)
    return Scores(np.array(cough, dtype=np.float32), np.stack([1 - positives, positives], axis=1))
