"""The pictures show what the model saw, in the colours of the table, to the pixel."""

import io

import librosa
import numpy as np
import pytest
from PIL import Image

from preprocess.color import color_table, colorize
from preprocess.errors import UnsupportedMedia
from runtime.conclude import conclude
from runtime.config import ROOT
from runtime.figure import _mel_row, draw_figure, draw_segment
from runtime.prepare import prepare
from tests.preprocess.recordings import by_libsndfile
from tests.runtime.parts import COLOR_SPEC, LIMITS, MEL_SPEC, PARAMS, QUALITY_LIMITS, contract, scores

SAMPLES = ROOT / "samples" / "preprocessing"


def diagnosed(data, cough=0.9):
    work = prepare(data, *PARAMS, LIMITS.decode)
    n = len(work.spectrograms)
    return work, conclude(work, scores([cough] * n, [0.9] * n), contract(), QUALITY_LIMITS, 1, 0.0)


def pixels(png):
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", ["benchmark_1/raw.ogg", "call/raw.wav"])
def test_a_segment_is_drawn_exactly(name):
    """Four pixels a cell, low frequencies at the bottom, every pixel the table's colour of the level the model got."""
    data = (SAMPLES / name).read_bytes()
    work, diagnosis = diagnosed(data)
    first = 0 if diagnosis.audio.channel in (0, "mix") else len(work.channels[0].segments_s)
    for n in (0, len(diagnosis.segments) - 1):
        image = pixels(draw_segment(data, diagnosis, n, MEL_SPEC, COLOR_SPEC, LIMITS.decode))
        assert image.shape == (4 * MEL_SPEC.n_mels, 4 * MEL_SPEC.n_frames, 3)
        expected = colorize(work.spectrograms[first + n], COLOR_SPEC)[::-1].repeat(4, axis=0).repeat(4, axis=1)
        np.testing.assert_array_equal(image, expected)


def test_every_pixel_is_in_the_color_table():
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, diagnosis = diagnosed(data)
    image = pixels(draw_segment(data, diagnosis, 0, MEL_SPEC, COLOR_SPEC, LIMITS.decode))
    table = {tuple(one) for one in color_table(COLOR_SPEC).tolist()}
    assert {tuple(one) for one in image.reshape(-1, 3).tolist()} <= table


@pytest.mark.parametrize("n", [-1, 6, 1000])
def test_no_such_segment(n):
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, diagnosis = diagnosed(data)
    assert len(diagnosis.segments) == 6
    with pytest.raises(IndexError):
        draw_segment(data, diagnosis, n, MEL_SPEC, COLOR_SPEC, LIMITS.decode)


@pytest.mark.parametrize("cough", [0.9, 0.1])
def test_the_figure_of_a_recording(cough):
    """11 inches at 100 dots; coughs are shaded in the colour of coughs, other candidates in grey."""
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    image = pixels(draw_figure(data, diagnosed(data, cough)[1], MEL_SPEC, COLOR_SPEC, LIMITS.decode)).astype(int)
    assert image.shape[1] == 1100
    assert image.shape[0] == 560
    shade = [236, 197, 210]  # #b3174b at a quarter over white
    shaded = (np.abs(image - shade) <= 2).all(axis=2).mean()
    assert (shaded > 0.02) == (cough > 0.5)


@pytest.mark.parametrize("name", ["silence/raw.flac", "too_short/raw.wav", "tone/raw.wav", "call/raw.wav"])
def test_there_is_a_figure_of_every_recording(name):
    data = (SAMPLES / name).read_bytes()
    _, diagnosis = diagnosed(data)
    image = pixels(draw_figure(data, diagnosis, MEL_SPEC, COLOR_SPEC, LIMITS.decode))
    assert image.shape[0] == (560 if diagnosis.segments else 300)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_figure_of_almost_nothing(count, value):
    data = by_libsndfile(np.full((1, count), value, dtype=np.float32), 8000, "WAV", "PCM_16")
    assert pixels(draw_figure(data, diagnosed(data)[1], MEL_SPEC, COLOR_SPEC, LIMITS.decode)).shape == (300, 1100, 3)


def test_a_figure_of_other_bytes():
    _, diagnosis = diagnosed((SAMPLES / "benchmark_1" / "raw.ogg").read_bytes())
    with pytest.raises(UnsupportedMedia):
        draw_figure(b"not audio", diagnosis, MEL_SPEC, COLOR_SPEC, LIMITS.decode)


def test_ticks_stand_where_the_filters_peak():
    """Filter k of 64 peaks at the (k + 1)th of 66 evenly spaced mels, which is the middle of row k."""
    centres = librosa.mel_frequencies(n_mels=66, fmin=MEL_SPEC.fmin_hz, fmax=MEL_SPEC.fmax_hz)[1:-1]
    rows = [_mel_row(float(one), MEL_SPEC) for one in centres]
    np.testing.assert_allclose(rows, np.arange(64) + 0.5, atol=1e-6)
