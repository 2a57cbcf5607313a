"""Candidates lie where something happens, whatever the level, and obey their parameters."""

from dataclasses import replace

import numpy as np
import pytest

from preprocess.level import levels
from preprocess.segment import Segment, segment
from tests.preprocess.recordings import SEGMENTATION as PARAMS
from tests.preprocess.recordings import noise

RATE = 8000
HOP = 80  # samples, 10 ms


def bursts(times_s, seconds=6.0, length_s=0.3, decay_s=0.08, level=0.5, floor=1e-3, seed=0):
    """Noise bursts that rise at once and decay, over a floor of noise."""
    samples = noise(seconds, RATE, floor, seed)
    rng = np.random.default_rng(seed + 1)
    for start in times_s:
        first = round(start * RATE)
        n = min(round(length_s * RATE), len(samples) - first)
        decay = np.exp(-np.arange(n) / (decay_s * RATE))
        samples[first : first + n] += (level * decay * rng.standard_normal(n)).astype(np.float32)
    return np.clip(samples / 2, -1, 1).astype(np.float32)


def find(samples, params=PARAMS):
    return segment(levels(samples, RATE, params).level, len(samples), RATE, params)


def spans_s(segments):
    return [(segment.start / RATE, segment.end / RATE) for segment in segments]


def test_bursts_are_found_where_they_are():
    """Starts within 20 ms of half a frame plus the padding before, ends not before 4 decay times (-35 dB)."""
    times = [0.5, 1.5, 3.0, 4.2]
    found = spans_s(find(bursts(times)))
    assert len(found) == len(times)
    for (start, end), time in zip(found, times, strict=True):
        assert time - (PARAMS.frame_ms / 2 + PARAMS.padding_ms + 10) / 1000 <= start <= time
        assert time + 0.15 <= end <= time + 0.3 + (PARAMS.frame_ms / 2 + PARAMS.padding_ms + 10) / 1000


@pytest.mark.parametrize("gain", [1.0, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("seed", range(5))
def test_gain_changes_nothing(gain, seed):
    """In 16 bits, as recordings come: at 0.03 the floor is a few steps, so a frame's difference (10 ms) is allowed."""
    samples = bursts([0.4, 1.3, 2.9, 4.4], seed=seed)
    quieter = (np.round(samples * gain * 32767) / 32768).astype(np.float32)
    expected, found = find(samples), find(quieter)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert abs(ours.start - theirs.start) <= HOP
        assert abs(ours.end - theirs.end) <= HOP


@pytest.mark.parametrize("offset", [-0.4, 0.01, 0.4])
def test_dc_changes_nothing(offset):
    samples = bursts([0.5, 2.0, 3.5])
    assert find((samples + np.float32(offset)).astype(np.float32)) == find(samples)


@pytest.mark.parametrize("count", [1, 2, 79, 320, 1199, 1200, 8000])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_and_dc_hold_nothing(count, value):
    assert find(np.full(count, value, dtype=np.float32)) == []


@pytest.mark.parametrize("count", [1, 2, 79, 1199])
def test_what_is_shorter_than_the_shortest_segment_holds_nothing(count):
    assert find(noise(1.0)[:count]) == []


@pytest.mark.parametrize("seed", range(10))
def test_steady_noise_holds_little(seed):
    """The floor at 1.5 times the 10th percentile lies above nearly all frames of 30 ms of white noise."""
    assert len(find(noise(10.0, seed=seed))) <= 1


def test_a_burst_that_runs_to_the_end_counts():
    samples = bursts([1.0, 5.75], decay_s=1.0)
    found = find(samples)
    assert len(found) == 2
    assert found[1].end == len(samples)
    assert abs(found[1].start / RATE - 5.75) <= 0.06


def test_a_burst_at_the_very_beginning_counts():
    found = find(bursts([0.0, 3.0]))
    assert len(found) == 2
    assert found[0].start == 0


@pytest.mark.parametrize(("pause_s", "count"), [(0.02, 1), (0.30, 2)])
def test_short_pauses_are_bridged_and_long_ones_part(pause_s, count):
    """Even bursts of 0.2 s: the 30 ms frame alone bridges 20 ms, and nothing bridges 300 ms."""
    samples = bursts([1.0, 1.2 + pause_s], length_s=0.2, decay_s=10.0, level=0.3)
    assert len(find(samples)) == count


def test_a_deep_valley_parts_coughs_without_a_pause():
    """Two bursts 0.3 s apart, the first decayed to a 40th: above `off`, below a 10th of both peaks."""
    samples = bursts([1.0, 1.3], length_s=0.6, decay_s=0.08, level=0.5, floor=1e-3)
    level = levels(samples, RATE, PARAMS).level
    sensitive = replace(PARAMS, off_ratio=0.01, floor_ratio=1.0, max_duration_ms=5000.0)
    parted = find(samples, sensitive)
    whole = find(samples, replace(sensitive, valley_ratio=0.0))
    assert len(parted) == 2
    assert len(whole) == 1
    assert parted[0].start == whole[0].start
    assert parted[1].end == whole[0].end
    deepest = 110 + int(np.argmin(level[110:131]))
    assert abs(parted[0].end / HOP - deepest) <= 1


@pytest.mark.parametrize("merge_gap_ms", [0.0, 40.0, 80.0, 120.0])
def test_a_pause_gives_the_same_edges_whether_it_was_merged_or_not(merge_gap_ms):
    """Two bursts with 80 ms between them: merged and split again, or never merged, a codec must not move their
    edges.
    """
    samples = bursts([1.0, 1.28], length_s=0.2, decay_s=10.0, level=0.3, floor=1e-4)
    expected = find(samples)
    assert len(expected) == 2
    assert find(samples, replace(PARAMS, merge_gap_ms=merge_gap_ms)) == expected


def test_what_is_too_long_is_split():
    """5 s of even noise: pieces no longer than the limit and the padding."""
    samples = bursts([0.5], seconds=8.0, length_s=5.0, decay_s=100.0, level=0.2)
    found = find(samples)
    assert len(found) >= 6
    assert (
        max(item.end - item.start for item in found) <= (PARAMS.max_duration_ms + 2 * PARAMS.padding_ms) * RATE / 1000
    )
    covered = sum(item.end - item.start for item in found)
    assert abs(covered / RATE - 5.0) <= 0.15


def test_clicks_are_too_short():
    """A click of 2 ms fills a frame of 30 ms and 40 ms of padding: less than 180 ms."""
    samples = noise(4.0, level=1e-4)
    samples[[8000, 16_000, 24_000]] = 0.9
    assert find(samples) == []


@pytest.mark.parametrize("seed", range(30))
def test_order_bounds_and_lengths(seed):
    """Random bursts on random floors at random rates: never an overlap, never out of the recording."""
    rng = np.random.default_rng(seed)
    seconds = float(rng.uniform(0.2, 8.0))
    times = np.sort(rng.uniform(0.0, seconds, int(rng.integers(0, 12))))
    samples = bursts(
        times,
        seconds,
        float(rng.uniform(0.05, 1.5)),
        float(rng.uniform(0.02, 1.0)),
        0.4,
        10 ** rng.uniform(-5, -1),
        seed,
    )
    found = find(samples)
    edges = [edge for item in found for edge in (item.start, item.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(samples) for edge in edges)
    assert all(item.end - item.start >= PARAMS.min_duration_ms * RATE / 1000 for item in found)
    longest = (PARAMS.max_duration_ms + 2 * PARAMS.padding_ms) * RATE / 1000
    assert all(item.end - item.start <= longest for item in found)
    assert found == find(samples.copy())


def test_segments_sort_by_time():
    assert sorted([Segment(5, 6), Segment(1, 9), Segment(1, 2)]) == [Segment(1, 2), Segment(1, 9), Segment(5, 6)]
