"""Lines as callers have them: what is added to a recording or done to it, drawn by seed.

A family is one kind of disturbance. Half of them may be looked at while a segmenter is designed (DEVELOPED_ON); the
others only judge (JUDGED_BY). The split was committed before anything was measured. Amplitudes are in times of the
recording's peak.

Tones of telephone networks: ITU-T E.180 Supplement 2 (1994) and Q.23 (DTMF).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """Recorded sounds that some families need: each float32 [shape=(n,)] at `rate_hz`, peak 1.

    prompts: spoken, in Spanish; music: of waiting loops
    """

    prompts: Sequence[Samples]
    music: Sequence[Samples]
    rate_hz: int


@dataclass(frozen=True)
class Line:
    """A disturbed recording. samples: float32 [shape=(n,)]; later_s: how much later its sounds are than before.

    added_s: start and end of what was put before it, after it or between its sounds
    """

    samples: Samples
    later_s: float = 0.0
    added_s: tuple[float, float] | None = None


Family = Callable[[Samples, int, np.random.Generator, Material], Line]

# ITU-T E.180: frequencies in Hz, and seconds of tone and pause. Names say where and what.
_CALL_PROGRESS: Sequence[tuple[tuple[float, ...], tuple[float, ...]]] = (
    ((425.0,), (0.2, 0.2)),  # busy: Spain
    ((425.0,), (0.25, 0.25)),  # busy: Mexico, Brazil
    ((425.0,), (0.3, 0.2)),  # busy: Argentina
    ((425.0,), (0.5, 0.5)),  # busy: Chile
    ((425.0,), (1.0, 4.0)),  # ringing: Mexico, Brazil, Chile
    ((425.0,), (1.5, 3.0)),  # ringing: Spain
    ((440.0, 480.0), (2.0, 4.0)),  # ringing: North America
    ((480.0, 620.0), (0.5, 0.5)),  # busy: North America, Colombia
    ((350.0, 440.0), (1.0, 0.0)),  # dial tone: North America
)
_SPECIAL_INFORMATION_HZ = (950.0, 1400.0, 1800.0)  # each for a third of a second
_DTMF_LOW_HZ, _DTMF_HIGH_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)


def drawn(family: str, path: str, samples: Samples, rate_hz: int, material: Material, seed: int) -> Line:
    """Put a recording on a line of this family; the same for the same path and seed."""
    digest = hashlib.sha256(f"{seed}:{family}:{path}".encode()).digest()
    return put_on(family, samples, rate_hz, np.random.default_rng(int.from_bytes(digest[:8], "big")), material)


def put_on(family: str, samples: Samples, rate_hz: int, rng: np.random.Generator, material: Material) -> Line:
    """Put a recording on a line of this family."""
    line = FAMILIES[family](samples, rate_hz, rng, material)
    peak = float(np.abs(line.samples).max(initial=0.0))
    # A line never clips here: clipping is a damage of its own.
    return replace(line, samples=line.samples / np.float32(max(1.0, peak / 0.99)))


def _peak(samples: Samples) -> float:
    return max(float(np.abs(samples).max(initial=0.0)), 1e-6)


def _ramped(sound: NDArray[np.floating], rate_hz: int, ramp_s: float = 0.005) -> Samples:
    ramp = min(len(sound) // 2, round(ramp_s * rate_hz))
    shaped = np.asarray(sound, dtype=np.float64).copy()
    if ramp:
        edge = np.linspace(0.0, 1.0, ramp)
        shaped[:ramp] *= edge
        shaped[len(shaped) - ramp :] *= edge[::-1]
    return shaped.astype(np.float32)


def _sines(frequencies_hz: Sequence[float], seconds: float, rate_hz: int) -> NDArray[np.float64]:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.asarray(sum(np.sin(2 * np.pi * hz * t) for hz in frequencies_hz)) / len(frequencies_hz)


def _insert(samples: Samples, sound: Samples, rate_hz: int, rng: np.random.Generator, places: str) -> Line:
    """Put a sound before or after with a pause, or over the quietest place in between."""
    place = str(rng.choice(places.split()))
    pause = np.zeros(round(rng.uniform(0.05, 0.6) * rate_hz), dtype=np.float32)
    if place == "before":
        later_s = (len(sound) + len(pause)) / rate_hz
        return Line(np.concatenate([sound, pause, samples]), later_s, (0.0, len(sound) / rate_hz))
    if place == "after":
        changed = np.concatenate([samples, pause, sound])
        return Line(changed, 0.0, ((len(changed) - len(sound)) / rate_hz, len(changed) / rate_hz))
    at = _quietest(samples, min(len(sound), len(samples)))
    changed = samples.copy()
    end = min(at + len(sound), len(samples))
    changed[at:end] += sound[: end - at]
    return Line(changed, 0.0, (at / rate_hz, end / rate_hz))


def _quietest(samples: Samples, length: int) -> int:
    """Return the start of the stretch with least energy; a tone between coughs lies over none where there is room."""
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return int(np.argmin(total[length:] - total[: len(total) - length]))


def tone(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """A beep of 300 to 3000 Hz, 0.1 to 3 s, 0.2 to 2 times the peak: before, between, after."""
    hz, seconds = (
        float(np.exp(rng.uniform(np.log(300), np.log(3000)))),
        float(np.exp(rng.uniform(np.log(0.1), np.log(3)))),
    )
    sound = _ramped(_sines([hz], seconds, rate_hz) * rng.uniform(0.2, 2.0) * _peak(samples), rate_hz)
    return _insert(samples, sound, rate_hz, rng, "before between after")


def call_progress(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """One to four bursts of a network's tones, or the special information tone, 0.2 to 2 times the peak."""
    amplitude = rng.uniform(0.2, 2.0) * _peak(samples)
    if rng.random() < 0.1:
        parts = [_ramped(_sines([hz], 0.33, rate_hz) * amplitude, rate_hz) for hz in _SPECIAL_INFORMATION_HZ]
    else:
        frequencies, (on_s, off_s) = _CALL_PROGRESS[int(rng.integers(len(_CALL_PROGRESS)))]
        burst = _ramped(_sines(frequencies, on_s, rate_hz) * amplitude, rate_hz)
        pause = np.zeros(round(min(off_s, 1.0) * rate_hz), dtype=np.float32)
        parts = [burst, pause] * int(rng.integers(1, 5))
    return _insert(samples, np.concatenate(parts), rate_hz, rng, "before after")


def dtmf(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """One to four keys of 60 to 250 ms, 0.2 to 2 times the peak."""
    amplitude, parts = rng.uniform(0.2, 2.0) * _peak(samples), []
    for _key in range(int(rng.integers(1, 5))):
        pair = [float(rng.choice(_DTMF_LOW_HZ)), float(rng.choice(_DTMF_HIGH_HZ))]
        parts.append(_ramped(_sines(pair, rng.uniform(0.06, 0.25), rate_hz) * amplitude, rate_hz))
        parts.append(np.zeros(round(rng.uniform(0.05, 0.15) * rate_hz), dtype=np.float32))
    return _insert(samples, np.concatenate(parts), rate_hz, rng, "before between after")


def _recorded(samples: Samples, rate_hz: int, rng: np.random.Generator, choice: Sequence[Samples], at_hz: int) -> Line:
    sound = choice[int(rng.integers(len(choice)))]
    seconds = rng.uniform(1.0, 4.0)
    length = round(seconds * at_hz)
    start = int(rng.integers(max(1, len(sound) - length)))
    piece = scipy.signal.resample_poly(sound[start : start + length].astype(np.float64), rate_hz, at_hz)
    scaled = _ramped(piece / max(float(np.abs(piece).max(initial=0.0)), 1e-6), rate_hz, 0.02)
    return _insert(samples, scaled * np.float32(rng.uniform(0.2, 1.0) * _peak(samples)), rate_hz, rng, "before after")


def prompt(samples: Samples, rate_hz: int, rng: np.random.Generator, material: Material) -> Line:
    """1 to 4 s of a Spanish prompt before or after, 0.2 to 1 times the peak."""
    return _recorded(samples, rate_hz, rng, material.prompts, material.rate_hz)


def music(samples: Samples, rate_hz: int, rng: np.random.Generator, material: Material) -> Line:
    """1 to 4 s of hold music before or after, 0.2 to 1 times the peak."""
    return _recorded(samples, rate_hz, rng, material.music, material.rate_hz)


def _hum(samples: Samples, rate_hz: int, rng: np.random.Generator, mains_hz: float) -> Line:
    """0.02 to 0.3 times the peak throughout; harmonics up to the seventh, each 6 to 12 dB below the one before."""
    t = np.arange(len(samples)) / rate_hz
    hz, level, hum = mains_hz * rng.uniform(0.998, 1.002), 1.0, np.zeros(len(samples))
    for harmonic in range(1, 8):
        hum += level * np.sin(2 * np.pi * hz * harmonic * t + rng.uniform(0, 2 * np.pi))
        level *= 10 ** (-rng.uniform(6.0, 12.0) / 20.0)
    amplitude = float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))) * _peak(samples)
    return Line((samples + amplitude * hum / np.abs(hum).max()).astype(np.float32))


def hum_50(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """Mains of 50 Hz, see `_hum`."""
    return _hum(samples, rate_hz, rng, 50.0)


def hum_60(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """Mains of 60 Hz, see `_hum`."""
    return _hum(samples, rate_hz, rng, 60.0)


def wander(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """A slow drift of 0.3 to 20 Hz, 0.05 to 0.5 times the peak."""
    t = np.arange(len(samples)) / rate_hz
    frequencies = np.exp(rng.uniform(np.log(0.3), np.log(20.0), 3))
    drift = sum(np.sin(2 * np.pi * hz * t + rng.uniform(0, 2 * np.pi)) for hz in frequencies)
    return Line((samples + rng.uniform(0.05, 0.5) * _peak(samples) * drift / 3.0).astype(np.float32))


def steps(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """One to three steps of the mean, each up to 0.5 times the peak."""
    changed = samples.astype(np.float64)
    for _step in range(int(rng.integers(1, 4))):
        changed[int(rng.integers(len(samples))) :] += rng.uniform(-0.5, 0.5) * _peak(samples)
    return Line(changed.astype(np.float32))


def settling(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """An offset of 0.1 to 0.5 times the peak that settles within 0.05 to 1 s (time constant)."""
    t = np.arange(len(samples)) / rate_hz
    offset = rng.uniform(0.1, 0.5) * _peak(samples) * np.exp(-t / rng.uniform(0.05, 1.0)) * rng.choice([-1.0, 1.0])
    return Line((samples + offset).astype(np.float32))


def thumps(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """One to three knocks on the device, 40 to 150 Hz and gone in 0.2 s, 0.5 to 4 times the peak."""
    parts = []
    for _thump in range(int(rng.integers(1, 4))):
        t = np.arange(round(0.3 * rate_hz)) / rate_hz
        knock = np.sin(2 * np.pi * rng.uniform(40.0, 150.0) * t) * np.exp(-t / rng.uniform(0.02, 0.06))
        parts.append((knock * rng.uniform(0.5, 4.0) * _peak(samples)).astype(np.float32))
        parts.append(np.zeros(round(rng.uniform(0.1, 0.5) * rate_hz), dtype=np.float32))
    return _insert(samples, np.concatenate(parts), rate_hz, rng, "before between after")


def clicks(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """One to eight clicks of 0.2 to 3 ms anywhere, 0.5 to 4 times the peak."""
    changed = samples.copy()
    for _click in range(int(rng.integers(1, 9))):
        length = max(1, round(rng.uniform(0.0002, 0.003) * rate_hz))
        at = int(rng.integers(max(1, len(samples) - length)))
        changed[at : at + length] += np.float32(rng.uniform(0.5, 4.0) * _peak(samples) * rng.choice([-1.0, 1.0]))
    return Line(changed)


def squelch(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """A burst of white noise of 0.05 to 0.5 s, 0.2 to 2 times the peak, as a radio gives when it closes."""
    burst = rng.standard_normal(round(rng.uniform(0.05, 0.5) * rate_hz)) / 3.0
    sound = _ramped(burst * rng.uniform(0.2, 2.0) * _peak(samples), rate_hz)
    return _insert(samples, sound, rate_hz, rng, "before after")


def packet_loss(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """1 to 10 % lost in runs of 20 to 100 ms, filled with silence."""
    changed, share, lost = samples.copy(), rng.uniform(0.01, 0.1), 0
    while lost < share * len(samples):
        length = round(0.02 * int(rng.integers(1, 6)) * rate_hz)
        at = int(rng.integers(max(1, len(samples) - length)))
        changed[at : at + length] = 0.0
        lost += length
    return Line(changed)


def _envelope(samples: Samples, rate_hz: int, attack_s: float, release_s: float) -> NDArray[np.float64]:
    """A follower of the level in blocks of 5 ms, for each sample."""
    block = max(1, round(0.005 * rate_hz))
    count = -(-len(samples) // block)
    blocks = np.abs(np.pad(samples, (0, count * block - len(samples)))).reshape(count, block).max(axis=1)
    level, follow = 0.0, np.empty(count)
    up, down = 1.0 - np.exp(-0.005 / attack_s), 1.0 - np.exp(-0.005 / release_s)
    for index, value in enumerate(blocks):
        level += (value - level) * (up if value > level else down)
        follow[index] = level
    return np.repeat(follow, block)[: len(samples)]


def agc(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """Automatic gain: attack 10 ms to 1 s, at most 6 to 20 dB of gain."""
    attack_s = float(np.exp(rng.uniform(np.log(0.01), np.log(1.0))))
    level = _envelope(samples, rate_hz, attack_s, attack_s * rng.uniform(1.0, 5.0))
    most = 10 ** (rng.uniform(6.0, 20.0) / 20.0)
    gain = np.minimum(_peak(samples) / np.maximum(level, 1e-6), most)
    return Line((samples * gain / most).astype(np.float32))


def gate(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """A noise gate that closes 6 to 20 dB under the peak."""
    level = _envelope(samples, rate_hz, 0.002, rng.uniform(0.02, 0.1))
    return Line(
        np.where(level >= _peak(samples) * 10 ** (-rng.uniform(6.0, 20.0) / 20.0), samples, 0.0).astype(np.float32)
    )


def comfort_noise(samples: Samples, rate_hz: int, rng: np.random.Generator, _: Material) -> Line:
    """A gate whose pauses are filled with noise, 40 to 60 dB under the peak."""
    open_ = _envelope(samples, rate_hz, 0.002, 0.05) >= _peak(samples) * 10 ** (-rng.uniform(20.0, 30.0) / 20.0)
    noise = rng.standard_normal(len(samples)) * _peak(samples) * 10 ** (-rng.uniform(40.0, 60.0) / 20.0)
    return Line(np.where(open_, samples, noise).astype(np.float32))


DEVELOPED_ON: Mapping[str, Family] = {
    "tone": tone, "dtmf": dtmf, "prompt": prompt, "hum_60": hum_60, "wander": wander, "steps": steps,
    "clicks": clicks, "packet_loss": packet_loss, "agc": agc,
}  # fmt: skip
JUDGED_BY: Mapping[str, Family] = {
    "call_progress": call_progress, "music": music, "hum_50": hum_50, "settling": settling, "thumps": thumps,
    "squelch": squelch, "comfort_noise": comfort_noise, "gate": gate,
}  # fmt: skip
FAMILIES: Mapping[str, Family] = {**DEVELOPED_ON, **JUDGED_BY}
