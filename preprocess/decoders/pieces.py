"""Stage 1, decode: what decoders return, and how the pieces of one recording become one signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import AudioTooLong, TooManyChannels, UnsupportedSampleRate
from preprocess.resample import resample

_LONGEST_DTX_S = 0.42
_BESIDE_S = 0.02
_QUIET_POWER = 0.01  # 20 dB below the loudest 20 ms


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of decoding. What a header claims refuses nothing: the samples are counted while they are decoded."""

    max_duration_s: float
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    max_channels: int

    def check(self, channels: int, sample_rate_hz: int) -> None:
        """Raises: TooManyChannels, UnsupportedSampleRate."""
        if channels > self.max_channels:
            raise TooManyChannels("too_many_channels", channels=channels, most=self.max_channels)
        if not self.min_sample_rate_hz <= sample_rate_hz <= self.max_sample_rate_hz:
            raise UnsupportedSampleRate(
                "sample_rate_outside",
                rate=sample_rate_hz,
                least=self.min_sample_rate_hz,
                most=self.max_sample_rate_hz,
            )

    def check_count(self, samples: int, sample_rate_hz: int) -> None:
        """Check a number of samples of one channel. Raises: AudioTooLong."""
        if samples > self.max_duration_s * sample_rate_hz:
            raise AudioTooLong("recording_too_long", most=self.max_duration_s)


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that the file does not hold, filled with silence: half-open range of a piece's samples.

    proven: the file's own numbers or a broken packet show the loss; else only time stamps do
    lost: something was sent and is missing; otherwise the sender had nothing to send (DTX, a pause)
    """

    start: int
    end: int
    lost: bool
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """What one decoder made of one stretch of a file.

    samples: float32 [shape=(channels, n)]
    source_rate_hz, codec, exact: as in `preprocess.decode.Recording`
    missing: samples are missing at the end, or a part could not be decoded
    gaps: in their order, within the samples
    tracks: sound tracks of the container that it comes from
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    source_rate_hz: int
    codec: str
    exact: bool
    missing: bool
    gaps: tuple[Gap, ...] = ()
    tracks: int = 1


def join(pieces: Sequence[Piece], limits: DecodeLimits) -> Piece:
    """Put pieces one after the other: at the highest rate, and with two channels if one of them has two.

    Raises: AudioTooLong.
    """
    if len(pieces) == 1:
        return pieces[0]
    rate = max(piece.sample_rate_hz for piece in pieces)
    channels = max(len(piece.samples) for piece in pieces)
    limits.check_count(sum(round(piece.samples.shape[1] * rate / piece.sample_rate_hz) for piece in pieces), rate)
    parts, gaps, start = [], [], 0
    for piece in pieces:
        part = resample(piece.samples, piece.sample_rate_hz, rate)
        parts.append(np.broadcast_to(part, (channels, part.shape[1])) if len(part) == 1 else part)
        scale = rate / piece.sample_rate_hz
        gaps += [
            replace(gap, start=start + round(gap.start * scale), end=start + round(gap.end * scale))
            for gap in piece.gaps
        ]
        start += part.shape[1]
    return Piece(
        np.concatenate(parts, axis=1),
        rate,
        max(piece.source_rate_hz for piece in pieces),
        pieces[0].codec,
        all(piece.exact for piece in pieces),
        any(piece.missing for piece in pieces),
        tuple(gaps),
    )


def trimmed(piece: Piece, first: int, count: int | None = None) -> Piece:
    """Return the piece from this sample on, so many samples or all."""
    last = piece.samples.shape[1] if count is None else min(first + count, piece.samples.shape[1])
    if first == 0 and last == piece.samples.shape[1]:
        return piece
    gaps = [replace(gap, start=max(gap.start, first) - first, end=min(gap.end, last) - first) for gap in piece.gaps]
    return replace(piece, samples=piece.samples[:, first:last], gaps=tuple(gap for gap in gaps if gap.end > gap.start))


def judged(piece: Piece) -> Piece:
    """Return the piece with short gaps between quiet stretches counted as silence that was not sent.

    Senders with DTX leave packets out while nobody speaks, at most 0.4 s at a time (libopus: 20 packets of 20 ms; AMR:
    8 frames), and not every container keeps the small packets that would say so. What is proven to be lost stays lost.
    """
    if not any(gap.lost for gap in piece.gaps):
        return piece
    piece = replace(piece, gaps=_merged(piece.gaps))
    beside = max(1, round(_BESIDE_S * piece.sample_rate_hz))
    power = np.einsum("cn,cn->n", piece.samples, piece.samples)  # in floats: a copy of 120 s in doubles is too large
    blocks = power[: len(power) // beside * beside].reshape(-1, beside).mean(axis=1, dtype=np.float64)
    quiet = _QUIET_POWER * float(blocks.max(initial=0.0))

    def not_sent(gap: Gap) -> bool:
        around = (power[max(0, gap.start - beside) : gap.start], power[gap.end : gap.end + beside])
        short = gap.end - gap.start <= _LONGEST_DTX_S * piece.sample_rate_hz
        return short and not gap.proven and all(len(part) == 0 or float(part.mean()) < quiet for part in around)

    return replace(piece, gaps=tuple(replace(gap, lost=gap.lost and not not_sent(gap)) for gap in piece.gaps))


def _merged(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """Return the gaps with those of one kind that touch as one: packets that are lost one after the other."""
    merged: list[Gap] = []
    for gap in gaps:
        if merged and (merged[-1].lost, merged[-1].proven) == (gap.lost, gap.proven) and merged[-1].end >= gap.start:
            merged[-1] = replace(merged[-1], end=max(gap.end, merged[-1].end))
        else:
            merged.append(gap)
    return tuple(merged)
