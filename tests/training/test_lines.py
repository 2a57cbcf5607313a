"""Lines are drawn by seed, stay in their ranges, and leave coughs where they say."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.lines import DEVELOPED_ON, FAMILIES, JUDGED_BY, Line, Material, drawn

RATE = 16_000


@pytest.fixture(scope="module")
def material() -> Material:
    rng = np.random.default_rng(5)
    sounds = [rng.standard_normal(5 * RATE).astype(np.float32) / 5 for _ in range(2)]
    return Material(prompts=sounds, music=sounds, rate_hz=RATE)


def coughs() -> np.ndarray:
    """Two bursts of noise in a quiet room, peak 0.5."""
    rng = np.random.default_rng(1)
    samples = 1e-3 * rng.standard_normal(4 * RATE)
    for at_s in (1.0, 2.5):
        start = round(at_s * RATE)
        samples[start : start + RATE // 3] += rng.standard_normal(RATE // 3)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


def on(family: str, material: Material, path: str = "a", seed: int = 0) -> Line:
    return drawn(family, path, coughs(), RATE, material, seed)


def test_every_family_is_on_one_side():
    assert not set(DEVELOPED_ON) & set(JUDGED_BY)
    assert set(FAMILIES) == {*DEVELOPED_ON, *JUDGED_BY}
    assert abs(len(DEVELOPED_ON) - len(JUDGED_BY)) <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_is_the_same_for_the_same_seed_and_path_only(family, material):
    first = on(family, material)
    np.testing.assert_array_equal(first.samples, on(family, material).samples)
    others = [
        on(family, material, "b"),
        on(family, material, "a", 1),
        *(on(family, material, str(n)) for n in range(3)),
    ]
    assert any(len(o.samples) != len(first.samples) or not np.array_equal(o.samples, first.samples) for o in others)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_never_clips_and_changes_something(family, material):
    for n in range(10):
        line = on(family, material, str(n))
        assert line.samples.dtype == np.float32
        assert np.isfinite(line.samples).all()
        assert float(np.abs(line.samples).max()) <= 0.99 + 1e-6 or np.array_equal(line.samples, coughs())
        assert len(line.samples) >= len(coughs())
    lines = [on(family, material, str(n)) for n in range(10)]
    assert any(len(line.samples) != len(coughs()) or np.abs(line.samples - coughs()).max() > 1e-4 for line in lines)


@pytest.mark.parametrize("family", ["tone", "call_progress", "dtmf", "prompt", "music", "thumps", "squelch"])
def test_what_comes_in_front_moves_the_coughs_by_as_much_as_it_says(family, material):
    before = [line for n in range(40) if (line := on(family, material, str(n))).later_s > 0]
    assert before
    for line in before:
        shift = round(line.later_s * RATE)
        there = line.samples[shift : shift + len(coughs())]
        np.testing.assert_allclose(there / np.abs(there).max(), coughs() / 0.5, atol=1e-3)


@pytest.mark.parametrize(("family", "mains_hz"), [("hum_50", 50), ("hum_60", 60)])
def test_hum_has_its_harmonics(family, mains_hz, material):
    for n in range(5):
        line = on(family, material, str(n))
        spectrum = np.abs(np.fft.rfft(line.samples[: RATE // 2]))  # before the first cough, 2 Hz a line
        levels = [float(spectrum[round(mains_hz * k / 2) - 1 : round(mains_hz * k / 2) + 2].max()) for k in (1, 2, 3)]
        assert levels[0] > 1.8 * levels[1] > 1.8 * 1.8 * levels[2] * 0.9
