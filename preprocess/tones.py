"""Stage 4, tones: beeps and mains hum, so that an answer can say what else a recording holds.

Both are found in sums, products, comparisons and square roots, with tables on a grid, so that every processor finds the
same (docs/decisions/0016-same-bits.md); both are relative to the recording's own level, so that gain changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import scipy  # its parts load at first use
from numpy.typing import NDArray

from preprocess.exact import at_percent, decibels, on_grid, percentile
from preprocess.level import LOUD_PERCENTILE, LevelParams, Levels, background

MOST_TONES = 32

# A tone's lines lie here: the lowest and highest band edge of the level.
_LOWEST_HZ, _HIGHEST_HZ = 120.0, 3900.0
_REACH = 2  # bins on either side of a line that a Hann window spreads it over
_SHARE = 0.8  # of a frame's power, at least
_SECOND_LINE_SHARE = 0.1
_SHORTEST_MS = 50.0  # a tone of 60 ms; its first and last frame are blurred
# A vowel can do for a moment what a tone does. It does not hold it, its power lies in more lines, its second line is a
# multiple of the first, and its strongest is low. Signal tones of telephones begin at 350 Hz.
_LONG_MS = 250.0
_SHARE_IN_SHORT = 0.95
_LOWEST_IN_SHORT_HZ = 330.0
_STEADY_HZ = 3.0  # a line moves no more from one frame to the next, nor over the whole tone
_HARMONIC = 0.03  # as near to a multiple, relative
_SAME_HZ = 8.0  # two tones this near are one
_FEWEST_FRAMES = 3
# Of two lines that a frame does not part: bins on either side, share of the power, and how far the centre moves.
_BEATING_REACH, _BEATING_SHARE, _BEATING_HZ = 5, 0.97, 20.0
_BRIDGED_MS = 50.0
# Under speech a tone holds less than that share of the power, and goes on: its line keeps a tenth of its power.
_GOES_ON_MS, _GOES_ON = 2000.0, 0.1
_LOOK_BACK = 8  # runs
_AUDIBLE = 1e-3  # of the power of the loud moments: what is 30 dB below them is no tone that anybody hears

_HUM_FRAME_S = 1.0
_HUM_STEP_HZ = 10  # the greatest that divides 50 and 60
_HARMONICS = 7
_LINES_OF_HUM = 2  # so many stand out, or the mains' own line alone, and by more
_STANDS_OUT = np.float32(30.0)  # times the power of its neighbours, 15 dB
_STANDS_OUT_ALONE = np.float32(1000.0)  # 30 dB: hum without harmonics to speak of
# Hum is there in quiet frames, too: they have at least its power. A short word on one pitch is not.
_STEADY = 4.0
_WITHIN_LEVELS_HZ = 150.0  # and what lies above counts in full in a level
_HUM_AUDIBLE = 1e-4  # of the power of the loud moments, 40 dB below them


def _distance(at: int, other: int) -> tuple[int, int]:
    return abs(other - at), other


# Every harmonic of either, but for 300 Hz, which both have; in tens of hertz, and the four nearest that are of neither.
_HUM_BINS = 60 * _HARMONICS // _HUM_STEP_HZ + 6
_GRID = [
    (hz, n * hz // _HUM_STEP_HZ) for hz in (50, 60) for n in range(1, _HARMONICS + 1) if n * hz % (50 * 60 // 10) != 0
]
_MAINS_HZ, _AT = np.array([hz for hz, _ in _GRID]), np.array([at for _, at in _GRID])
_OF_NEITHER = [n for n in range(2, _HUM_BINS) if n % 5 and n % 6]
_BESIDE = np.array([sorted(_OF_NEITHER, key=partial(_distance, at))[:4] for at in _AT.tolist()])


@dataclass(frozen=True, slots=True)
class Tone:
    """One or two steady lines that hold most of the power for a while; frequencies ascend."""

    start_s: float
    end_s: float
    frequencies_hz: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hum:
    """Mains hum through the whole recording.

    hz: 50 or 60; db: its RMS, harmonics included, over that of the recording's loud moments
    """

    hz: int
    db: float


def find_hum(samples: NDArray[np.float32], sample_rate_hz: int, levels: Levels) -> Hum | None:
    """Look for harmonics of 50 and 60 Hz that are there in every second. None in less than a second.

    samples: float32 [shape=(n,)]; levels: of them

    Each second is weighted with a Hann window and folded to a tenth: what is left is what repeats ten times a second,
    the multiples of 10 Hz, and those of 50 and 60 are among them. That costs much less than the whole spectrum.
    """
    frame, fold = round(_HUM_FRAME_S * sample_rate_hz), round(sample_rate_hz / _HUM_STEP_HZ)
    n_frames = len(samples) // frame
    if not n_frames:
        return None
    frames = samples[: n_frames * frame].reshape(n_frames, -1, fold)
    folded = (frames * _hum_window(frame, fold)).sum(axis=1)
    spectra = scipy.fft.rfft(folded, axis=-1)[:, :_HUM_BINS]
    # What is there in every second is there in a quiet one: that which three quarters exceed.
    power = np.sort(spectra.real**2 + spectra.imag**2, axis=0)[(n_frames - 1) // 4]
    floor = np.sort(power[_BESIDE], axis=1)[:, 1:3].sum(axis=1) / np.float32(2.0)
    stands_out = power[_AT] > _STANDS_OUT * floor
    alone = (power[_AT] > _STANDS_OUT_ALONE * floor) & (_AT * _HUM_STEP_HZ == _MAINS_HZ)
    found = []
    for hz in (50, 60):
        mine = stands_out & (hz == _MAINS_HZ)
        if np.count_nonzero(mine) >= _LINES_OF_HUM or (mine & alone).any():
            # A sine of amplitude 1 has 0.25 here, and a mean square of 0.5.
            total = 2.0 * float(power[_AT[mine]].sum())
            in_band = 2.0 * float(power[_AT[mine & (_AT * _HUM_STEP_HZ >= _WITHIN_LEVELS_HZ)]].sum())
            found.append((total, in_band, hz))
    if not found:
        return None
    quiet, loud = background(levels.rms), float(percentile(levels.rms, LOUD_PERCENTILE))
    total, _, hz = max((one for one in found if one[1] <= _STEADY * quiet**2), default=(0.0, 0.0, 0))
    return Hum(hz, decibels(total / loud**2)) if total > _HUM_AUDIBLE * loud**2 > 0.0 else None


def tone_fraction(tones: Sequence[Tone], duration_s: float) -> float:
    """Share of the time in which at least one tone sounds. duration_s: of the recording, positive"""
    covered, until = 0.0, 0.0
    for tone in tones:
        covered += max(0.0, tone.end_s - max(tone.start_s, until))
        until = max(until, tone.end_s)
    return min(covered / duration_s, 1.0)


@lru_cache(maxsize=2)
def _hum_window(frame: int, fold: int) -> NDArray[np.float32]:
    window = np.hanning(frame + 1)[:-1]
    return on_grid(window / window.sum()).reshape(-1, fold)


def find_tones(levels: Levels, params: LevelParams, hum: Hum | None) -> tuple[Tone, ...]:
    """Find tones of one or two lines, in order of their starts, the MOST_TONES first; lines of the hum are not among
    them.
    """
    hop_s = params.hop_ms / 1000.0
    shortest, long, near, far = (round(ms / params.hop_ms) for ms in (_SHORTEST_MS, _LONG_MS, _BRIDGED_MS, _GOES_ON_MS))
    peaks = _peaks(levels)
    if not len(peaks.frames):
        return ()
    runs = [
        run
        for run in _joined(_steady(*_tonal_frames(peaks, levels)), near)
        if run.end - run.start >= (long if run.voice_like else shortest) and not (hum and _is_of(hum, run.lines_hz))
    ]
    runs += [pair for pair in _beating(peaks, levels, long) if not any(_overlap(pair, run) for run in runs)]
    runs.sort(key=lambda run: run.start)
    # Frame i is centred on sample i * hop, so the first lies half a hop after a tone's start on the average.
    return tuple(
        Tone(
            max(0.0, (run.start - 0.5) * hop_s),
            min(run.end - 0.5, len(levels.rms) - 1) * hop_s,
            tuple(round(hz, 1) for hz in run.lines_hz),
        )
        for run in _gone_on(runs, levels, far)[:MOST_TONES]
    )


def _is_of(hum: Hum, frequencies: Sequence[float]) -> bool:
    """Whether all of these lines are harmonics of the hum."""
    nearest = [max(1, min(round(hz / hum.hz), _HARMONICS)) * hum.hz for hz in frequencies]
    return all(abs(hz - line) <= _SAME_HZ for hz, line in zip(frequencies, nearest, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Peaks:
    """Frames with a strong line. All [shape=(n, ...)]

    frames: their numbers; spectrum: of each; first: the strongest bin; total: the bands' power
    """

    frames: NDArray[np.int64]
    spectrum: NDArray[np.float32]
    first: NDArray[np.int64]
    total: NDArray[np.float32]


def _limits(levels: Levels) -> tuple[int, int]:
    return round(_LOWEST_HZ / levels.bin_hz), round(_HIGHEST_HZ / levels.bin_hz)


def _peaks(levels: Levels) -> _Peaks:
    spectrum = levels.spectrum
    low, high = _limits(levels)
    total = np.square(levels.rms) * np.float32(0.75)  # the bands' power, see `levels`
    first = low + spectrum[:, low:high].argmax(axis=1)
    # Half a bin off, a line has 0.48 of its power in its own bin, the stronger of two half as much.
    strongest = spectrum[np.arange(len(spectrum)), first]
    rows = np.flatnonzero((strongest >= np.float32(0.2 * _SHARE) * total) & (total > 0.0))
    if len(rows):
        loud = max(float(percentile(total, LOUD_PERCENTILE)), 0.01 * float(total.max()))
        rows = rows[total[rows] > np.float32(_AUDIBLE * loud)]
    return _Peaks(rows, spectrum[rows], first[rows], total[rows])


def _tonal_frames(peaks: _Peaks, levels: Levels) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """The frames that one or two lines fill, [shape=(n,)], the lines in Hz, ascending, 0 for none [shape=(n, 2)], and
    their share of the frame's power [shape=(n,)].
    """
    spectrum, first, total = peaks.spectrum, peaks.first, peaks.total
    second = _second_line(spectrum, first, *_limits(levels))
    around_first, around_second = _around(spectrum, first), _around(spectrum, second)
    share, share_second = _line_power(around_first) / total, _line_power(around_second) / total
    lines = np.stack([_interpolated(first, around_first), _interpolated(second, around_second)], axis=1)
    lines *= levels.bin_hz
    two = (share_second >= _SECOND_LINE_SHARE) & _is_top(around_second)
    lines[two] = np.sort(lines[two], axis=1)
    lines[~two, 1] = 0.0
    share = np.where(two, share + share_second, share)
    # What spills over from below the bands (hum, a thump) is no line within them.
    kept = (share >= _SHARE) & (lines[:, 0] >= _LOWEST_HZ)
    return peaks.frames[kept], lines[kept], share[kept]


def _beating(peaks: _Peaks, levels: Levels, shortest: int) -> list[_Run]:
    """Find long runs of two lines so near that a frame does not part them; they beat, but their centre stays.

    Dial and ringing tones of North America are such pairs.
    """
    beside = np.arange(-_BEATING_REACH, _BEATING_REACH + 1)
    bins = np.clip(peaks.first[:, None] + beside, 0, peaks.spectrum.shape[1] - 1)
    power = np.take_along_axis(peaks.spectrum, bins, axis=1)
    near = power.sum(axis=1)
    centre = (peaks.first + (power * beside.astype(np.float32)).sum(axis=1) / near) * levels.bin_hz
    full = np.flatnonzero((near >= np.float32(_BEATING_SHARE) * peaks.total) & (centre >= _LOWEST_IN_SHORT_HZ))
    if len(full) < shortest:
        return []
    frames, centre = peaks.frames[full], centre[full]
    still = (np.abs(np.diff(centre)) <= _BEATING_HZ) & (np.diff(frames) == 1)
    edges = np.concatenate(([0], np.flatnonzero(~still) + 1, [len(full)]))
    runs = []
    for a, b in itertools.pairwise(edges.tolist()):
        if b - a >= shortest:
            lines = _parted(peaks.spectrum[full[a:b]].mean(axis=0), float(np.median(centre[a:b])), levels.bin_hz)
            runs.append(_Run(int(frames[a]), int(frames[b - 1]) + 1, lines, voice_like=False))
    return runs


def _parted(mean: NDArray[np.float32], centre_hz: float, bin_hz: float) -> tuple[float, ...]:
    """The two lines of the mean spectrum, if they can be told apart, else their centre."""
    low = max(round(centre_hz / bin_hz) - _BEATING_REACH, 1)
    part = mean[low : min(round(centre_hz / bin_hz) + _BEATING_REACH + 1, len(mean) - 1)]  # each has a bin beside it
    tops = low + np.flatnonzero(
        (part > mean[low - 1 : low - 1 + len(part)]) & (part >= mean[low + 1 : low + 1 + len(part)])
    )
    tops = tops[mean[tops] >= np.float32(0.1) * mean[tops].max(initial=0.0)]
    if len(tops) != 2:
        return (centre_hz,)
    first, second = _interpolated(tops, _around(np.stack([mean, mean]), tops)) * bin_hz
    return float(first), float(second)


def _around(spectrum: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float32]:
    """The bins that a line at `at` reaches in each row, float32 [shape=(1 + 2 * _REACH, n)]: it is in the middle."""
    beside = np.arange(-_REACH, _REACH + 1)[:, None]
    places = np.arange(len(at)) * spectrum.shape[1] + at + beside
    return np.asarray(spectrum.ravel().take(places, mode="clip"))  # beyond an end there is no line to ask for


def _line_power(around: NDArray[np.float32]) -> NDArray[np.float32]:
    power = around[_REACH].copy()
    for offset in range(1, _REACH + 1):
        power += around[_REACH - offset]
        power += around[_REACH + offset]
    return np.asarray(power)


def _is_top(around: NDArray[np.float32]) -> NDArray[np.bool_]:
    below, here, above = around[_REACH - 1 : _REACH + 2]
    return np.asarray((here >= below) & (here >= above))


def _second_line(spectrum: NDArray[np.float32], first: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """The strongest bin that the first line does not reach."""
    beyond = spectrum[:, low:high].copy()
    reached = np.arange(-2 * _REACH, 2 * _REACH + 1)[:, None] + (first - low)
    np.put(beyond, np.arange(len(first)) * (high - low) + np.clip(reached, 0, high - low - 1), np.float32(-1.0))
    return np.asarray(low + beyond.argmax(axis=1))


def _interpolated(at: NDArray[np.int64], around: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where between the bins a line lies: with a Hann window the ratio of the two largest magnitudes tells."""
    below, here, above = around[_REACH - 1 : _REACH + 2]
    below, above = below.astype(np.float64), above.astype(np.float64)
    ratio = np.sqrt(np.maximum(below, above) / here)
    offset = (2.0 * ratio - 1.0) / (ratio + 1.0)
    return np.asarray(at + np.where(above >= below, offset, -offset))


@dataclass(frozen=True, slots=True)
class _Run:
    """Frames with the same lines, [start, end). voice_like: a vowel may be such a run, unless it is long."""

    start: int
    end: int
    lines_hz: tuple[float, ...]
    voice_like: bool


def _steady(frames: NDArray[np.int64], lines: NDArray[np.float64], share: NDArray[np.float32]) -> list[_Run]:
    """Part the frames where a line moves."""
    if not len(frames):
        return []
    still = (np.abs(np.diff(lines, axis=0)) <= _STEADY_HZ).all(axis=1) & (np.diff(frames) == 1)
    edges = np.concatenate(([0], np.flatnonzero(~still) + 1, [len(frames)]))
    runs = []
    for a, b in itertools.pairwise(edges.tolist()):
        if b - a < _FEWEST_FRAMES:  # at an edge, where a line is blurred
            continue
        ranked = np.sort(lines[a:b], axis=0)
        low, middle, high = (at_percent(ranked, percent) for percent in (20.0, 50.0, 80.0))
        if (high - low).max() <= _STEADY_HZ:
            present = tuple(float(hz) for hz in middle if hz)
            voice_like = (
                float(share[a:b].mean()) < _SHARE_IN_SHORT or present[0] < _LOWEST_IN_SHORT_HZ or _is_harmonic(present)
            )
            runs.append(_Run(int(frames[a]), int(frames[b - 1]) + 1, present, voice_like))
    return runs


def _overlap(one: _Run, other: _Run) -> bool:
    return max(one.start, other.start) < min(one.end, other.end)


def _is_harmonic(lines_hz: Sequence[float]) -> bool:
    if len(lines_hz) < 2:
        return False
    ratio = lines_hz[1] / lines_hz[0]
    return abs(ratio - round(ratio)) <= _HARMONIC * ratio


def _joined(runs: Sequence[_Run], gap: int) -> list[_Run]:
    """Join neighbours with the same lines; where one has a line more, it stays."""
    joined: list[_Run] = []
    for run in runs:
        if joined and run.start - joined[-1].end <= gap and _alike(joined[-1].lines_hz, run.lines_hz, _SAME_HZ):
            joined[-1] = _both(joined[-1], run)
        else:
            joined.append(run)
    return joined


def _gone_on(tones: Sequence[_Run], levels: Levels, gap: int) -> list[_Run]:
    """Join tones between which the line goes on under other sounds."""
    joined: list[_Run] = []
    for tone in tones:
        for index in range(len(joined) - 1, max(len(joined) - 1 - _LOOK_BACK, -1), -1):
            before = joined[index]
            if (
                tone.start - before.end <= gap
                and _alike(before.lines_hz, tone.lines_hz, _STEADY_HZ)
                and _goes_on(before, tone, levels)
            ):
                joined[index] = _both(before, tone)
                break
        else:
            joined.append(tone)
    return joined


def _both(before: _Run, after: _Run) -> _Run:
    lines = max(before.lines_hz, after.lines_hz, key=len)
    return _Run(before.start, max(before.end, after.end), lines, before.voice_like or after.voice_like)


def _goes_on(before: _Run, after: _Run, levels: Levels) -> bool:
    """Whether the first line keeps its power between two runs."""
    if after.start <= before.end:
        return True
    line = levels.spectrum[:, round(before.lines_hz[0] / levels.bin_hz)]
    usual = min(float(line[run.start : run.end].mean()) for run in (before, after))
    return float(percentile(line[before.end : after.start], 10.0)) >= _GOES_ON * usual


def _alike(one: Sequence[float], other: Sequence[float], within_hz: float) -> bool:
    few, many = sorted((one, other), key=len)
    return all(any(abs(hz - line) <= within_hz for line in many) for hz in few)
