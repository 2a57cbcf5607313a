"""Whatever happens to a file on its way: a recording, or a leaf of the error tree.

Never another exception, never NaN.
"""

import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.errors import AudioError
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, warble

FILES = {
    "ogg-opus": lambda: by_libsndfile(warble(48_000), 48_000, "OGG", "OPUS"),
    "ogg-vorbis": lambda: by_libsndfile(warble(16_000), 16_000, "OGG", "VORBIS"),
    "wav": lambda: by_libsndfile(warble(16_000, channels=2), 16_000, "WAV", "PCM_16"),
    "wav-float": lambda: by_libsndfile(warble(16_000), 16_000, "WAV", "FLOAT"),
    "wav-ulaw": lambda: by_libsndfile(warble(8000), 8000, "WAV", "ULAW"),
    "wav-gsm": lambda: by_libsndfile(warble(8000), 8000, "WAV", "GSM610"),
    "wav-adpcm": lambda: by_libsndfile(warble(16_000), 16_000, "WAV", "IMA_ADPCM"),
    "rf64": lambda: by_libsndfile(warble(16_000), 16_000, "RF64", "PCM_16"),
    "w64": lambda: by_libsndfile(warble(16_000), 16_000, "W64", "PCM_16"),
    "flac": lambda: by_libsndfile(warble(16_000), 16_000, "FLAC", "PCM_16"),
    "aiff": lambda: by_libsndfile(warble(16_000), 16_000, "AIFF", "PCM_16"),
    "caf-alac": lambda: by_libsndfile(warble(16_000), 16_000, "CAF", "ALAC_16"),
    "au": lambda: by_libsndfile(warble(16_000), 16_000, "AU", "PCM_16"),
    "mp3": lambda: by_libsndfile(warble(16_000), 16_000, "MP3", "MPEG_LAYER_III"),
    "webm": lambda: by_ffmpeg(warble(48_000), 48_000, "webm", "libopus", 32_000),
    "m4a": lambda: by_ffmpeg(warble(16_000), 16_000, "mp4", "aac", movflags="faststart"),
    "mp4-fragments": lambda: by_ffmpeg(warble(16_000), 16_000, "mp4", "aac", movflags="frag_every_frame+empty_moov"),
    "adts": lambda: by_ffmpeg(warble(16_000, channels=2), 16_000, "adts", "aac"),
    "amr": lambda: by_ffmpeg(warble(8000), 8000, "amr", "libopencore_amrnb", 12_200),
    "3gp": lambda: by_ffmpeg(warble(8000), 8000, "3gp", "libopencore_amrnb", 12_200),
    "asf": lambda: by_ffmpeg(warble(16_000), 16_000, "asf", "wmav2", 32_000),
}


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """64 random bytes anywhere."""
    array = np.frombuffer(data, dtype=np.uint8).copy()
    array[rng.integers(0, len(array), 64)] = rng.integers(0, 256, 64)
    return array.tobytes()


def header_changed(data: bytes, rng: np.random.Generator) -> bytes:
    """4 random bytes among the first 256, where the lies are."""
    array = np.frombuffer(data, dtype=np.uint8).copy()
    array[rng.integers(0, 256, 4)] = rng.integers(0, 256, 4)
    return array.tobytes()


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data)))]


def inserted(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 200))) + data[at:]


@pytest.mark.parametrize("damage", [changed, header_changed, cut_off, inserted])
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name, damage):
    """20 seeds each: 80 of every format, 1,680 in all. A hang is ended by pytest's timeout."""
    data = FILES[name]()
    undamaged = decode(data, LIMITS).samples
    felt = 0
    for seed in range(20):
        try:
            recording = decode(damage(data, np.random.default_rng(seed)), LIMITS)
        except AudioError as error:
            assert type(error) is not AudioError
            felt += 1
            continue
        samples = recording.samples
        felt += not np.array_equal(samples, undamaged)
        assert samples.dtype == np.float32
        assert samples.shape[0] in (1, 2)
        assert samples.shape[1] >= 1
        assert np.isfinite(samples).all()
        assert float(np.abs(samples).max()) <= 1.0
        assert LIMITS.min_sample_rate_hz <= recording.sample_rate_hz <= LIMITS.max_sample_rate_hz
        assert recording.duration_s <= LIMITS.max_duration_s
    assert felt, "20 damaged files were all decoded as if they were whole"
