"""The WAV is the channel that was diagnosed, at its own rate or at 16 kHz, with the diagnosis' times."""

import io

import numpy as np
import pytest
import soundfile

from preprocess.errors import UnsupportedMedia
from runtime.config import ROOT
from runtime.figures.playback import channel_wav, diagnosed_channel
from tests.preprocess.recordings import by_libsndfile
from tests.runtime.figures.test_drawing import diagnosed
from tests.runtime.parts import LIMITS

SAMPLES = ROOT / "samples" / "preprocessing"


def read(data, diagnosis):
    return soundfile.read(io.BytesIO(channel_wav(data, diagnosis, LIMITS.decode)), dtype="float32")


@pytest.mark.parametrize(
    ("name", "expected_hz"), [("benchmark_1/raw.ogg", 16_000), ("call/raw.wav", 8_000), ("too_short/raw.wav", 16_000)]
)
def test_a_wav_of_the_diagnosed_channel(name, expected_hz):
    data = (SAMPLES / name).read_bytes()
    _, diagnosis = diagnosed(data)
    samples, rate_hz = read(data, diagnosis)
    assert (rate_hz, samples.ndim) == (expected_hz, 1)
    assert len(samples) / rate_hz == pytest.approx(diagnosis.audio.duration_s, abs=1e-3)


def test_to_a_step_of_16_bits():
    data = (SAMPLES / "too_short" / "raw.wav").read_bytes()
    _, diagnosis = diagnosed(data)
    source, rate_hz = diagnosed_channel(data, diagnosis, LIMITS.decode)
    assert rate_hz == 16_000
    np.testing.assert_allclose(
        read(data, diagnosis)[0], source, atol=1.5 / 32768
    )  # half a step, and the scale's 1/32768


def test_the_other_party_is_not_heard():
    """`call` has the agent in channel 0 and the caller in channel 1; one of them was diagnosed."""
    data = (SAMPLES / "call" / "raw.wav").read_bytes()
    _, diagnosis = diagnosed(data)
    source, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    samples, _ = read(data, diagnosis)
    used = int(diagnosis.audio.channel)
    np.testing.assert_allclose(samples, source[:, used], atol=1.5 / 32768)
    assert np.abs(samples - source[:, 1 - used]).max() > 0.05


def test_nothing_wraps_around():
    """Resampling overshoots full scale at an edge; 16 bits end there."""
    edge = np.concatenate([np.zeros(4800), np.ones(4800)]).astype(np.float32)[None]
    data = by_libsndfile(edge, 48_000, "WAV", "FLOAT")
    samples, _ = read(data, diagnosed(data)[1])
    assert samples.max() > 0.999
    assert samples.min() > -0.2


def test_of_other_bytes():
    _, diagnosis = diagnosed((SAMPLES / "benchmark_1" / "raw.ogg").read_bytes())
    with pytest.raises(UnsupportedMedia):
        channel_wav(b"not audio", diagnosis, LIMITS.decode)
