"""Speech-like sound: syllables of fricative, nasal or breath and vowel, in phrases with a falling pitch.

A formant synthesiser in the manner of Klatt 1980 (J. Acoust. Soc. Am. 67:971) with the vowels of Peterson and Barney
1952 (J. Acoust. Soc. Am. 24:175). It says nothing; it has speech's pitch, formants, rhythm and pauses, at about four
syllables a second (Greenberg 1999, Speech Communication 29:159).
"""

from dataclasses import dataclass

import numpy as np

from samples.glottis import glottal_flow
from samples.tract import (
    BLOCK,
    RATE_HZ,
    Samples,
    Tracks,
    db,
    lowpass,
    radiate,
    resonate_all,
    rms,
    upper_tracks,
)

# First three formants in Hz, means of the men in Peterson and Barney 1952
VOWELS = {"i": (270, 2290, 3010), "e": (530, 1840, 2480), "a": (730, 1090, 2440), "o": (570, 840, 2410)}
NASAL = (250.0, 1100.0, 2200.0)  # m and n have a low first formant (Stevens 1998)
BANDWIDTHS_HZ = (60.0, 90.0, 150.0, 200.0)  # Klatt 1980, table II
# Resonance and bandwidth of the cavity in front of the constriction (Stevens 1998), and level re the vowel in dB
FRICATIVES = {"s": (6500.0, 1500.0, -14.0), "sh": (3000.0, 800.0, -12.0), "f": (8000.0, 4000.0, -24.0)}
ASPIRATION_DB = -30.0  # noise source over the voice source, both as pressure (Klatt 1980 cancels radiation for noise)
GLIDE_S = 0.045  # formants move from consonant to vowel in 40-50 ms
PHRASE_FALL = 0.75  # pitch at the end of a phrase over that at its beginning


@dataclass(frozen=True)
class Speaker:
    """What stays the same from phrase to phrase."""

    pitch_hz: float
    formant_scale: float  # 1 for a man's tract; about 1.17 for a woman's (Peterson and Barney 1952)


@dataclass(frozen=True)
class Syllable:
    """One syllable: its consonant ("s", "sh", "f", "m" or "" for a breathy onset), its vowel, and their lengths."""

    consonant: str
    vowel: str
    consonant_s: float
    vowel_s: float
    accent: float  # pitch over the phrase's fall


def phrase(speaker: Speaker, count: int, rng: np.random.Generator) -> Samples:
    """`count` syllables in one breath, with root mean square 1.

    Returns float64 [shape=(n,)] at 48 kHz.
    """
    syllables = [_draw(rng) for _ in range(count)]
    lengths = [(_blocks(syllable.consonant_s), _blocks(syllable.vowel_s)) for syllable in syllables]
    n_blocks = sum(consonant + vowel for consonant, vowel in lengths)
    formants = np.empty((3, n_blocks))
    voiced, frication = np.zeros(n_blocks), {name: np.zeros(n_blocks) for name in FRICATIVES}
    accent = np.ones(n_blocks)
    first = 0
    for syllable, (consonant, vowel) in zip(syllables, lengths, strict=True):
        middle, last = first + consonant, first + consonant + vowel
        target = np.array(VOWELS[syllable.vowel], dtype=np.float64)[:, np.newaxis]
        formants[:, first:last] = target
        voiced[middle:last] = 1.0
        accent[first:last] = syllable.accent
        if syllable.consonant in FRICATIVES:
            frication[syllable.consonant][first:middle] = 1.0
        else:
            voiced[first:middle] = db(-8.0) if syllable.consonant else db(-20.0)
            formants[:, first:middle] = np.array(NASAL)[:, np.newaxis] if syllable.consonant else target
        first = last
    sound = _voiced(speaker, formants, voiced, accent, rng)
    for name, presence in frication.items():
        resonance_hz, bandwidth_hz, level_db = FRICATIVES[name]
        noise = resonate_all(rng.standard_normal(sound.size), [(resonance_hz, bandwidth_hz)])
        sound += db(level_db) * _gate(presence, 0.015) * radiate(noise) / rms(radiate(noise))
    return sound / rms(sound)


def _draw(rng: np.random.Generator) -> Syllable:
    return Syllable(
        consonant=str(rng.choice(["s", "sh", "f", "m", "m", ""])),
        vowel=str(rng.choice(list(VOWELS))),
        consonant_s=rng.uniform(0.06, 0.11),
        vowel_s=rng.uniform(0.12, 0.22),
        accent=rng.uniform(0.92, 1.15),
    )


def _blocks(seconds: float) -> int:
    return round(seconds * RATE_HZ / BLOCK)


def _voiced(speaker: Speaker, formants: Samples, voiced: Samples, accent: Samples, rng: np.random.Generator) -> Samples:
    """Vowels and nasals [shape=(n_blocks * 48,)], root mean square 1 where `voiced` is 1."""
    fall = np.linspace(1.0, PHRASE_FALL, voiced.size)
    pitch_hz = np.repeat(speaker.pitch_hz * fall * _smooth(accent, GLIDE_S), BLOCK)
    source = radiate(glottal_flow(pitch_hz, rng, jitter=0.007, shimmer=0.03))  # of healthy voices
    source += db(ASPIRATION_DB) * rms(source) * rng.standard_normal(source.size)
    tracks: Tracks = [
        (_smooth(track, GLIDE_S) * speaker.formant_scale, bandwidth_hz)
        for track, bandwidth_hz in zip(formants, BANDWIDTHS_HZ, strict=False)
    ]
    tract_m = 0.170 / speaker.formant_scale
    sound = resonate_all(source, [*tracks, *upper_tracks(tract_m, 3)])
    return sound / rms(sound) * _gate(voiced, 0.03)


def _smooth(track: Samples, seconds: float) -> Samples:
    """A moving average over `seconds`, so that articulators take time; one value per block."""
    width = _blocks(seconds)
    padded = np.pad(track, (width // 2, width - 1 - width // 2), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, width).mean(axis=1))


def _gate(presence: Samples, seconds: float) -> Samples:
    """An envelope at 48 kHz from one value per block, which rises and falls in about `seconds` and is 0 at the ends."""
    width = _blocks(seconds)
    padded = np.concatenate([np.zeros(width), presence[width:-width], np.zeros(width)])
    return lowpass(np.repeat(_smooth(padded, seconds), BLOCK), 100.0)


def speech(speaker: Speaker, phrases: list[tuple[float, int]], seconds: float, rng: np.random.Generator) -> Samples:
    """Phrases at given times: `phrases` holds pairs of start in seconds and number of syllables.

    Returns float64 [shape=(n,)] at 48 kHz, `seconds` long.
    """
    total = np.zeros(round(seconds * RATE_HZ))
    for start_s, count in phrases:
        sound = phrase(speaker, count, rng)
        first = round(start_s * RATE_HZ)
        total[first : first + sound.size] += sound[: total.size - first]
    return total
