"""Decode recordings without a header, if they are what somebody has said.

Every byte is some sample in every one of these formats, so a wrong word makes noise, not an error. Two measures tell
them apart (docs/decisions/0035-headerless.md has figures): the bytes of 16-bit samples alternate between two
distributions, and what is decoded rightly can be predicted from the samples before, much better than what is not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from preprocess.decoders.ffmpeg import decode_track
from preprocess.decoders.pieces import DecodeLimits, Piece
from preprocess.decoders.sndfile import decode_with_libsndfile
from preprocess.errors import UndecodableAudio, UnsupportedMedia
from preprocess.formats.container import Container
from preprocess.formats.headerless import GSM_FRAME_BYTES, RATE_HZ, check_headerless, with_header

# Chosen on the training split of the cough data, judged on its validation split.
LEAST_GAIN_DB = 1.8
_FRAME = RATE_HZ * 32 // 1000
_ORDER = 8
_MOST_FRAMES = 200
_RANGE_DB = 40.0  # frames further below the loudest one tell of its noise only
_SILENT_POWER = 1e-7  # -70 dBFS: nothing can be told, and nothing will be taken for a cough
_ALTERNATING, _ALTERNATING_FEW = 0.2, 4.0  # the distance of two samples of one distribution goes with 1/sqrt(n)
_HANDICAP_DB = 6.0
_MOST_OFFSET = 0.25
_WORDS_OF_BYTES = ("ulaw", "alaw", "sln")
_PIECES, _PIECE_BYTES = 32, 32_768  # what is looked at of a long recording: half a minute of 16-bit samples or more
_TABLE_LIMITS = DecodeLimits(1.0, RATE_HZ, RATE_HZ, 1)


def decode_headerless(data: bytes, container: Container, limits: DecodeLimits) -> Piece:
    """Decode a recording that was said to be this. Raises: UnsupportedMedia where it is not, or another AudioError."""
    check_headerless(data, container)
    if container.name != "gsm" and not _is_plausible(data, container.name):
        raise UnsupportedMedia("format_is_other", format=container.name)
    if container.name in _WORDS_OF_BYTES:
        piece = decode_with_libsndfile(with_header(data, container.name), limits)
        if piece is None:
            raise UndecodableAudio("no_samples")
        return piece
    piece = decode_track(data, container, 0, limits)
    cut = container.name == "gsm" and len(data) % GSM_FRAME_BYTES != 0
    return Piece(piece.samples, piece.sample_rate_hz, piece.source_rate_hz, piece.codec, piece.exact, cut)


def _is_plausible(data: bytes, word: str) -> bool:
    """Whether the bytes may be this, compared with what else they may be."""
    data = _excerpt(data)
    alternates = byte_distance(data) > _ALTERNATING + _ALTERNATING_FEW / np.sqrt(max(1, len(data) // 2))
    gains = {candidate: _gain_of(_samples(data, candidate)) for candidate in _WORDS_OF_BYTES}
    if word == "g722":
        return not alternates and all(gain is not None and gain < LEAST_GAIN_DB for gain in gains.values())
    own = gains[word]
    if own is None:
        return True  # silence in this format
    # A steady tone alternates, too; but only bytes of 16-bit samples seem to be predicted a little in one law.
    against = {
        name: (gain or 0.0) - (_HANDICAP_DB if alternates and name != "sln" else 0.0) for name, gain in gains.items()
    }
    if word == "sln":
        samples = _words(data, "<i2")
        for other in (_words(data, ">i2"), _words(data[1:] + b"\0", "<i2")):  # the other byte order; a byte was lost
            if (gain_db(other, where=samples) or 0.0) > own:
                return False
    return own >= LEAST_GAIN_DB and against[word] == max(against.values())


def _excerpt(data: bytes) -> bytes:
    """Return pieces from everywhere, so that no length costs more than another."""
    if len(data) <= _PIECES * _PIECE_BYTES:
        return data
    step = (len(data) - _PIECE_BYTES) // (_PIECES - 1) // 2 * 2
    return b"".join(data[n * step : n * step + _PIECE_BYTES] for n in range(_PIECES))


def _gain_of(samples: NDArray[np.float64]) -> float | None:
    if abs(float(samples.mean())) > _MOST_OFFSET:  # text is like that: its bytes are all of one sign
        return 0.0
    return gain_db(samples)


def byte_distance(data: bytes) -> float:
    """Return the total variation distance of the bytes at even places from those at odd ones, 0 to 1."""
    pairs = np.frombuffer(data[: len(data) // 2 * 2], np.uint8).reshape(-1, 2)
    if not len(pairs):
        return 0.0
    even, odd = (np.bincount(pairs[:, n], minlength=256) for n in (0, 1))
    return float(np.abs(even - odd).sum() / (2.0 * len(pairs)))


def gain_db(samples: NDArray[np.float64], where: NDArray[np.float64] | None = None) -> float | None:
    """Return the median gain of linear prediction over loud frames, in dB; None for silence.

    where: samples, as many, that tell which frames are loud; by default the same ones. In the other byte order the
    quietest frames are the loudest, and well predicted.

    The ratio of a frame's power to that of the error of a predictor of order 8 (Makhoul, "Linear prediction: a
    tutorial review", 1975, autocorrelation method). NumPy adds, not BLAS, so that processors agree.
    """
    frames = _frames_of(samples)
    power = _power_of(frames if where is None else _frames_of(where))
    loudest = float(power.max())
    if loudest < _SILENT_POWER:
        return None
    frames = frames[power > loudest * 10.0 ** (-_RANGE_DB / 10.0)]
    frames = frames[:: max(1, len(frames) // _MOST_FRAMES)] * np.hanning(_FRAME)
    lags = np.stack(
        [np.einsum("ij,ij->i", frames[:, : _FRAME - lag], frames[:, lag:]) for lag in range(_ORDER + 1)], axis=1
    )
    # As if a little noise were added: no frame is predicted without an error, and none has no power.
    lags[:, 0] = np.maximum((1.0 + 1e-4) * lags[:, 0], 1e-20)
    return float(np.median(10.0 * np.log10(lags[:, 0] / _prediction_errors(lags))))


def _frames_of(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(samples) < _FRAME:
        samples = np.pad(samples, (0, _FRAME - len(samples)))
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return np.asarray(frames - frames.mean(axis=1, keepdims=True))


def _power_of(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", frames, frames) / _FRAME)


def _prediction_errors(lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the errors' power by Levinson's recursion, for all frames at once. lags: [shape=(frames, order + 1)]"""
    error = lags[:, 0].copy()
    coefficients = np.zeros((len(lags), _ORDER))
    for n in range(_ORDER):
        known = np.einsum("ij,ij->i", coefficients[:, :n], lags[:, n:0:-1]) if n else 0.0
        reflection = (lags[:, n + 1] - known) / error
        before = coefficients[:, :n].copy()
        coefficients[:, :n] = before - reflection[:, None] * before[:, ::-1]
        coefficients[:, n] = reflection
        error *= 1.0 - reflection**2
    return np.maximum(error, 1e-9 * lags[:, 0])


def _samples(data: bytes, word: str) -> NDArray[np.float64]:
    if word == "sln":
        return _words(data, "<i2")
    samples: NDArray[np.float64] = _table(word)[np.frombuffer(data, np.uint8)]
    return samples


def _words(data: bytes, kind: str) -> NDArray[np.float64]:
    return np.frombuffer(data[: len(data) // 2 * 2], np.dtype(kind)).astype(np.float64) / 32768.0


@cache
def _table(word: str) -> NDArray[np.float64]:
    """Return the sample of each byte, as libsndfile decodes it."""
    piece = decode_with_libsndfile(with_header(bytes(range(256)), word), _TABLE_LIMITS)
    if piece is None:
        raise UndecodableAudio("no_samples")
    table: NDArray[np.float64] = piece.samples[0].astype(np.float64)
    return table
