"""The pictures show what the model saw, in the colours of the table, to the pixel."""

import io
import itertools
import re
from dataclasses import replace

import librosa
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from preprocess.color import color_table, colorize
from runtime.conclude import conclude
from runtime.config import ROOT
from runtime.diagnosis import DiagnosedSegment, HeardTone, Reason, Status
from runtime.figures import drawing
from runtime.figures.drawing import _mel_row, draw_figure, draw_segment
from runtime.figures.labels import WORDS
from runtime.figures.playback import at_model_rate
from runtime.figures.waveform import _outline, draw_labels, place_labels
from runtime.model_facts import LABELS
from runtime.prepare import prepare
from tests.preprocess.recordings import by_libsndfile
from tests.runtime.parts import COLOR_SPEC, LIMITS, MEL_SPEC, PARAMS, QUALITY_LIMITS, contract, scores

SAMPLES = ROOT / "samples" / "preprocessing"


def diagnosed(data, cough=0.9):
    work = prepare(data, *PARAMS, LIMITS.decode)
    n = len(work.spectrograms)
    return work, conclude(work, scores([cough] * n, [0.9] * n), contract(), QUALITY_LIMITS, 1, 0.0)


def heard(data, diagnosis):
    return at_model_rate(data, diagnosis, MEL_SPEC, LIMITS.decode)


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
        image = pixels(draw_segment(heard(data, diagnosis), diagnosis, n, MEL_SPEC, COLOR_SPEC))
        assert image.shape == (4 * MEL_SPEC.n_mels, 4 * MEL_SPEC.n_frames, 3)
        expected = colorize(work.spectrograms[first + n], COLOR_SPEC)[::-1].repeat(4, axis=0).repeat(4, axis=1)
        np.testing.assert_array_equal(image, expected)


def test_every_pixel_is_in_the_color_table():
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, diagnosis = diagnosed(data)
    image = pixels(draw_segment(heard(data, diagnosis), diagnosis, 0, MEL_SPEC, COLOR_SPEC))
    table = {tuple(item) for item in color_table(COLOR_SPEC).tolist()}
    assert {tuple(item) for item in image.reshape(-1, 3).tolist()} <= table


@pytest.mark.parametrize("n", [-1, 6, 1000])
def test_no_such_segment(n):
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, diagnosis = diagnosed(data)
    assert len(diagnosis.segments) == 6
    with pytest.raises(IndexError):
        draw_segment(heard(data, diagnosis), diagnosis, n, MEL_SPEC, COLOR_SPEC)


def gray_figure(data, diagnosis, words=WORDS["es"]):
    """As a printer without colours prints it; [shape=(dots down, dots across)], 0 black ... 255 white."""
    image = Image.open(io.BytesIO(draw_figure(heard(data, diagnosis), diagnosis, MEL_SPEC, COLOR_SPEC, words)))
    return np.asarray(image.convert("L")).astype(int)


def assert_nothing_is_cut_off(image):
    """What does not fit would run into the edge; the lowest and highest rows are further away."""
    assert (image[:, :3] == 255).all()
    assert (image[:, -3:] == 255).all()


def test_coughs_and_other_candidates_are_told_apart_without_colour():
    """Above the waveform a bar of 9 dots or of 3; in it one shade, or white with hatching."""
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, found = diagnosed(data)
    segments = [replace(segment, is_cough=n % 2 == 0) for n, segment in enumerate(found.segments)]
    found = replace(found, segments=tuple(segments))
    image = gray_figure(data, found)
    assert image.shape[1] == 1100  # 11 inches of 100 dots
    # The axes' left end, and how many dots 1 s has, are found at the frame: the longest dark lines across.
    top = int(np.argmax((image[:, 86:1066] < 100).mean(axis=1) > 0.99))
    frame = np.flatnonzero(image[top] < 100)
    dots_per_s = (frame[-1] - frame[0]) / found.audio.duration_s
    for n, segment in enumerate(segments):
        inside = slice(
            round(frame[0] + segment.start_s * dots_per_s) + 4, round(frame[0] + segment.end_s * dots_per_s) - 4
        )
        dark = (image[top - 12 : top, inside] < 100).all(axis=1).sum()
        band = image[top + 3 : top + 12, inside]  # the waveform's own peaks stay below
        if n % 2 == 0:
            assert dark in (8, 9)
            assert np.abs(band - 208).max() <= 2  # the shade's luminance
        else:
            assert dark in (2, 3)
            assert band.max() > 235
            assert 0.05 < (band < 210).mean() < 0.5


@pytest.mark.parametrize("name", ["silence/raw.flac", "too_short/raw.wav", "tone/raw.wav", "call/raw.wav"])
def test_there_is_a_figure_of_every_recording(name):
    """Spectrograms stand below the waveform where there are candidates."""
    data = (SAMPLES / name).read_bytes()
    _, diagnosis = diagnosed(data)
    image = gray_figure(data, diagnosis)
    assert image.shape[1] == 1100
    assert (image.shape[0] > 550) == bool(diagnosis.segments)
    assert_nothing_is_cut_off(image)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_figure_of_almost_nothing(count, value):
    data = by_libsndfile(np.full((1, count), value, dtype=np.float32), 8000, "WAV", "PCM_16")
    image = gray_figure(data, diagnosed(data)[1])
    assert image.shape[1] == 1100
    assert_nothing_is_cut_off(image)


def candidates(n, duration_s, length_s):
    """As many as fit, evenly, two coughs after each other candidate."""
    starts = np.linspace(0.0, duration_s - length_s, n).tolist()
    return tuple(DiagnosedSegment(start, start + length_s, 0.88, i % 3 > 0, None) for i, start in enumerate(starts))


def with_sounds(diagnosis, tones=(), hum_hz=None):
    return replace(diagnosis, audio=replace(diagnosis.audio, tones=tones, hum_hz=hum_hz, hum_db=hum_hz and -9.0))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (WORDS["es"], ["tono 425 Hz", "tono 697 + 1209 Hz", "zumbido de 60 Hz"]),
        (WORDS["en"], ["tone 425 Hz", "tone 697 + 1209 Hz", "hum of 60 Hz"]),
    ],
)
def test_tones_and_hum_are_shaded_and_named(words, names, monkeypatch):
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, diagnosis = diagnosed(data)
    said = []
    monkeypatch.setattr(Text, "draw", lambda self, *_args, **_more: said.append(self.get_text()))
    tones = (HeardTone(0.2, 0.8, (425.0,)), HeardTone(5.0, 5.2, (697.0, 1209.0)))
    draw_figure(heard(data, diagnosis), with_sounds(diagnosis, tones, 60), MEL_SPEC, COLOR_SPEC, words)
    assert [text for text in said if text in names] == names
    assert words.tone in said


def test_tones_and_hum_show_without_colour_and_older_records_are_as_they_were():
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, found = diagnosed(data)
    plain = gray_figure(data, with_sounds(found))
    assert (gray_figure(data, with_sounds(found, None)) == plain).all()
    for sounds in ({"tones": (HeardTone(0.2, 0.8, (425.0,)),)}, {"hum_hz": 50}):
        image = gray_figure(data, with_sounds(found, **sounds))
        assert image.shape == plain.shape
        assert (np.abs(image - plain) > 20).sum() > 200
        assert_nothing_is_cut_off(image)


def test_names_of_tones_do_not_cover_each_other(monkeypatch):
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, found = diagnosed(data)
    tones = tuple(HeardTone(n * 0.3, n * 0.3 + 0.2, (400.0 + n,)) for n in range(32))
    boxes = []
    drawn = Text.draw

    def draw(text, renderer):
        if text.get_text().startswith("tono 4"):
            boxes.append(text.get_window_extent(renderer))
        drawn(text, renderer)

    monkeypatch.setattr(Text, "draw", draw)
    draw_figure(heard(data, found), with_sounds(found, tones), MEL_SPEC, COLOR_SPEC, WORDS["es"])
    assert len(boxes) >= 6
    assert all(one.x1 <= other.x0 for one, other in itertools.pairwise(boxes))


@pytest.mark.parametrize("words", [WORDS["es"], WORDS["en"]])
def test_what_is_taken_for_what_is_in_the_longest_tone_name_too(words):
    """A tone at the very end: its name stays inside the figure."""
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, found = diagnosed(data)
    tone = HeardTone(found.audio.duration_s - 0.1, found.audio.duration_s, (1209.0, 3477.0))
    assert_nothing_is_cut_off(gray_figure(data, with_sounds(found, (tone,)), words))


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_the_longest_text_and_the_most_candidates_fit(words):
    """Every reason at once; 120 s with candidates 0.05 s apart, which is as close as segmentation leaves them."""
    data = by_libsndfile(np.zeros((1, 120 * 8000), dtype=np.float32), 8000, "WAV", "PCM_16")
    _, found = diagnosed(data)
    audio = replace(found.audio, channels=2, channel=0)
    found = replace(found, reasons=tuple(Reason), segments=candidates(520, 120.0, 0.18), audio=audio)
    assert_nothing_is_cut_off(gray_figure(data, found, words))


def texts_on(figure):
    """Everything that is written on a figure."""
    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def test_a_spanish_figure_holds_no_code_of_the_api(monkeypatch):
    """Statuses, reasons and labels are named in the reader's language, and coughs are counted from 1."""
    drawn = []
    monkeypatch.setattr(drawing, "_png", lambda figure: drawn.append(texts_on(figure)) or b"")
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    _, found = diagnosed(data)
    found = replace(found, reasons=tuple(Reason))
    draw_figure(heard(data, found), found, MEL_SPEC, COLOR_SPEC, WORDS["es"])
    draw_figure(heard(data, found), found, MEL_SPEC, COLOR_SPEC, WORDS["en"])
    spanish, english = (" ".join(texts) for texts in drawn)
    for code in (*Status, *Reason, *LABELS):
        assert not re.search(rf"\b{code}\b", spanish), code
    assert any(text.startswith("Tos evaluada: ") for text in drawn[0])
    assert "saturada" in spanish
    assert "clipped" in english
    assert any(text.startswith("1\n") for text in drawn[0])
    assert not any(text.startswith("0\n") for text in drawn[0])


@pytest.mark.parametrize(
    ("n", "duration_s", "length_s", "least"),
    [(1, 0.2, 0.2, 1), (6, 10.0, 0.5, 6), (20, 120.0, 0.5, 20), (60, 120.0, 0.5, 60), (520, 120.0, 0.18, 90)],
)
def test_no_label_covers_another(n, duration_s, length_s, least):
    """In the size that matplotlib draws them, with a dot between them; `least` have one, and the rest is counted."""
    segments = candidates(n, duration_s, length_s)
    coughs = [i for i, segment in enumerate(segments) if segment.is_cough]
    labels = place_labels(segments, coughs[:8], duration_s, 9.82)
    assert len(labels.rows) >= least
    assert len(labels.rows) + labels.without == n
    assert set(coughs[:8]) <= labels.rows.keys() or n > 60
    figure = Figure(figsize=(11.0, labels.height_in), dpi=100)
    axis = figure.add_axes((0.85 / 11.0, 0.0, 9.82 / 11.0, 1.0))
    draw_labels(axis, segments, labels, duration_s, WORDS["es"])
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = np.array([text.get_window_extent(renderer).extents for text in axis.texts])
    assert len(boxes) == len(labels.rows) + 1  # and what they are
    left, bottom, right, top = boxes.T
    apart = np.maximum(
        np.maximum(left[:, None] - right, left - right[:, None]),
        np.maximum(bottom[:, None] - top, bottom - top[:, None]),
    )
    np.fill_diagonal(apart, 1.0)
    assert apart.min() >= 0.5
    assert left.min() >= 0.0
    assert right.max() <= 1100.0


def test_a_long_recording_keeps_its_peaks():
    """Only the lowest and the highest of each dot are drawn; a single sample may be one."""
    samples = np.zeros(120 * 8000, dtype=np.float32)
    samples[[12_345, 700_000]] = 0.7, -0.3
    times, drawn = _outline(samples, 8000)
    assert len(drawn) < 5000
    assert (drawn.max(), drawn.min()) == (np.float32(0.7), np.float32(-0.3))
    assert abs(times[drawn.argmax()] - 12_345 / 8000) < 0.1  # a dot and a half
    assert abs(times[drawn.argmin()] - 700_000 / 8000) < 0.1


def test_ticks_stand_where_the_filters_peak():
    """Filter k of 64 peaks at the (k + 1)th of 66 evenly spaced mels, which is the middle of row k."""
    centres = librosa.mel_frequencies(n_mels=66, fmin=MEL_SPEC.fmin_hz, fmax=MEL_SPEC.fmax_hz)[1:-1]
    rows = [_mel_row(float(centre), MEL_SPEC) for centre in centres]
    np.testing.assert_allclose(rows, np.arange(64) + 0.5, atol=1e-6)
