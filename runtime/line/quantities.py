"""What is measured of a diagnosis, and its bins: one definition for serving, training and the command line.

A call counts once in each quantity, however many coughs it has: coughs of one call are alike.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from runtime.config import digest
from runtime.diagnosis import Diagnosis

Bins: TypeAlias = dict[str, int]  # quantity -> number of its bin; without the quantities that the call lacks
Counts: TypeAlias = dict[str, list[int]]  # quantity -> calls in each of its bins

LAST = "+Inf"
LOSSLESS, OTHER = "lossless", "other"
NO_HUM_DB = -100.0

# Codecs that do the same to a cough are one bin. Those of telephones, messengers and recorders; the rest is `other`.
_FAMILY_OF = {
    **dict.fromkeys(("flac", "alac", "tta", "wavpack", "wmalossless", "float", "double"), LOSSLESS),
    **dict.fromkeys(("pcm_16", "pcm_24", "pcm_32", "pcm_64"), LOSSLESS),
    **dict.fromkeys(("ulaw", "alaw"), "g711"),
    **dict.fromkeys(("aac", "aac_latm"), "aac"),
    **dict.fromkeys(("ima_adpcm", "ms_adpcm", "g726", "g726le"), "adpcm"),
    "opus": "opus",
    "mp3": "mp3",
    "gsm610": "gsm",
    "amrnb": "amr_nb",
    "amrwb": "amr_wb",
    "vorbis": "vorbis",
    "speex": "speex",
    "g722": "g722",
}
CODECS = (*dict.fromkeys(_FAMILY_OF.values()), OTHER)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measured quantity.

    bins: their names; of an ordered quantity the upper edges, inclusive, and LAST
    value: of a diagnosis and the model's cough threshold; None where the call has none
    rare, low, high: what it is called when more calls than usual lie in bins that training hardly knows: anywhere, at
        the lower end, at the upper end; empty where that alarms nobody
    """

    name: str
    what: str
    unit: str
    bins: tuple[str, ...]
    value: Callable[[Diagnosis, float], float | None]
    edges: tuple[float, ...] = ()
    rare: str = ""
    low: str = ""
    high: str = ""

    def bin_of(self, diagnosis: Diagnosis, cough_threshold: float) -> int | None:
        """Return the number of the bin; None where the call has no such quantity."""
        value = self.value(diagnosis, cough_threshold)
        if value is None:
            return None
        return bisect_left(self.edges, value) if self.edges else int(value)


def codec_family(codec: str) -> str:
    """Return the bin of a codec's name in a diagnosis."""
    return _FAMILY_OF.get(codec, OTHER)


def _codec(diagnosis: Diagnosis, _: float) -> float:
    return CODECS.index(codec_family(diagnosis.audio.codec))


def _hum(diagnosis: Diagnosis, _: float) -> float:
    return NO_HUM_DB if diagnosis.audio.hum_db is None else diagnosis.audio.hum_db


def _cough_s(diagnosis: Diagnosis, _: float) -> float | None:
    lengths = [segment.end_s - segment.start_s for segment in diagnosis.segments if segment.is_cough]
    return statistics.median(lengths) if lengths else None


def _score(diagnosis: Diagnosis, _: float) -> float | None:
    return max((segment.cough_probability for segment in diagnosis.segments), default=None)


def _distance(diagnosis: Diagnosis, cough_threshold: float) -> float | None:
    score = _score(diagnosis, cough_threshold)
    return None if score is None else abs(score - cough_threshold)


def _class_score(diagnosis: Diagnosis, _: float) -> float | None:
    # The last label is `positive` (runtime.model_facts.LABELS).
    scores = [list(one.class_probabilities.values())[-1] for one in diagnosis.segments if one.class_probabilities]
    return statistics.median(scores) if scores else None


def _ordered(
    name: str,
    what: str,
    unit: str,
    value: Callable[[Diagnosis, float], float | None],
    edges: tuple[float, ...],
    low: str = "",
    high: str = "",
) -> Quantity:
    return Quantity(name, what, unit, (*(f"{edge:g}" for edge in edges), LAST), value, edges, low=low, high=high)


QUANTITIES = (
    Quantity("codec", "codec", "", CODECS, _codec, rare="new_codec"),
    _ordered(
        "bandwidth_hz", "upper end of the band", "Hz", lambda one, _: one.audio.bandwidth_hz,
        (1000, 1500, 2000, 2250, 2500, 2750, 3000, 3250, 3500, 3750), low="narrower_band",
    ),
    _ordered(
        "snr_db", "signal-to-noise ratio", "dB", lambda one, _: one.audio.snr_db,
        (2, 3, 4, 5, 7.5, 10, 15, 20, 30, 40, 60), low="more_noise",
    ),
    _ordered(
        "clipped_fraction", "share of clipped samples", "", lambda one, _: one.audio.clipped_fraction,
        # Codecs overshoot: in the train split, as loud as it came, 0.6 % of the recordings by more than 0.0005.
        (0.0005, 0.002, 0.01, 0.03), high="more_clipping",
    ),
    _ordered(
        "hum_db", "level of mains hum, the first bin without hum", "dB", _hum,
        (NO_HUM_DB, -30, -20, -10, 0), high="more_hum",
    ),
    _ordered("duration_s", "length of the recording", "s", lambda one, _: one.audio.duration_s,
             (0.5, 1, 2, 3, 5, 7.5, 10, 15, 30)),
    _ordered("coughs", "coughs in the recording", "", lambda one, _: len(one.coughs), (0, 1, 2, 3, 4, 6, 9)),
    _ordered(
        "cough_s", "length of a cough, the median of the recording", "s", _cough_s,
        (0.2, 0.225, 0.25, 0.275, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1), low="shorter_coughs", high="longer_coughs",
    ),
    _ordered("score", "cough probability of the likeliest candidate", "", _score,
             (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)),
    _ordered(
        "distance", "distance of that score to the cough threshold", "", _distance,
        (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6), low="near_threshold",
    ),
    _ordered("class_score", "probability of the last class, the median over the coughs", "", _class_score,
             (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
)  # fmt: skip
KINDS = tuple(kind for one in QUANTITIES for kind in (one.rare, one.low, one.high) if kind)
# A release's reference is of use only with these very bins.
BINS_SHA256 = digest({one.name: one.bins for one in QUANTITIES})


def bins_of(diagnosis: Diagnosis, cough_threshold: float) -> Bins:
    """Return where a call lies. cough_threshold: of the release that made the diagnosis"""
    found = ((one.name, one.bin_of(diagnosis, cough_threshold)) for one in QUANTITIES)
    return {name: number for name, number in found if number is not None}


def no_counts() -> Counts:
    """Return zeros for every bin."""
    return {one.name: [0] * len(one.bins) for one in QUANTITIES}


def count(bins: Bins, counts: Counts) -> None:
    """Add one call."""
    for name, number in bins.items():
        counts[name][number] += 1
