"""Stage 1, decode: the bytes of a recording -> float32 samples per channel.

The first bytes choose the way: streams of frames (MP3, ADTS, AMR) are cut into frames here, Ogg into packets;
libsndfile decodes Vorbis, FLAC and what lies in WAV, AIFF, AU, CAF, W64; libopus decodes Ogg Opus; FFmpeg the rest. A
recording without a header is decoded as what somebody has said that it is, if it can be that.
What a file declares is compared with what it holds: only decoded samples count (docs/decisions/0020-heard-whole.md).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from preprocess.decoders.edits import edited
from preprocess.decoders.ffmpeg import decode_run, decode_track, track_count
from preprocess.decoders.headerless import decode_headerless
from preprocess.decoders.opus import decode_opus
from preprocess.decoders.pieces import DecodeLimits, Gap, Piece, join, judged, trimmed
from preprocess.decoders.sndfile import decode_with_libsndfile
from preprocess.errors import AudioError, AudioTooLong, EmptyAudio, UndecodableAudio, UnsupportedMedia
from preprocess.formats import frames, mp4
from preprocess.formats.au import au_files
from preprocess.formats.caf import caf_facts
from preprocess.formats.completeness import (
    audio_chunk,
    ebml_files,
    is_complete,
    w64_chunk,
    wav_codec_tag,
    wav_samples,
)
from preprocess.formats.container import Container, sniff
from preprocess.formats.flac import flac_files, late_samples, with_true_length
from preprocess.formats.frames import MOST_PARTS
from preprocess.formats.headerless import HEADERLESS
from preprocess.formats.ogg import OggLink, links

__all__ = ["DecodeLimits", "Gap", "Recording", "decode"]

_MOST_TRACKS = 8
_ROUNDING_S = 1e-6  # less than a sample; `join` checks the sum of the parts exactly
_Part = TypeVar("_Part")
_NO_SOUND = 64 / 32768  # a track that stays below is silence, or the noise of its encoder
_MPEG_TAGS = (0x50, 0x55)  # of MPEG audio and MP3 in WAV (RFC 2361)
_ID3V1_BYTES = 128
_LONGEST_BLOCK = 4_096  # samples; of GSM 320, of ADPCM up to 2,041 at 44.1 kHz
_AMR_OF_CHANNELS = (b"#!AMR_MC", b"#!AMR-WB_MC")  # RFC 4867, section 5: several channels; no library reads it
_W64_HEADER_BYTES = 24
_MOST_PADDING_S = 0.6  # of CAF: two packets of HE-AAC at 8 kHz
_MOST_FRAMES = 1_000  # of FLAC on a page: a page has 255 segments


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded audio.

    samples: float32 [shape=(channels, n)], n >= 1, in [-1, 1], finite
    sample_rate_hz: of `samples`; Ogg Opus is decoded at 16 kHz, Opus elsewhere at 48 kHz, its own clock
    source_rate_hz: what the file says that it was recorded at; for Opus the rate that the encoder was given
    codec: lower case, e.g. `opus`, `vorbis`, `pcm_16`, `ulaw`, `gsm610`, `aac`
    truncated: there was more than was heard: the file ends before its own headers say that it does, breaks off, a part
        can't be decoded, or something follows that no decoder reads
    exact: whether the decoder gives the same bits on every x86-64 processor
    parts: files that were joined to this one (1: none)
    track, tracks: which sound track was heard, counted from 0, and how many there are
    gaps: what the file does not hold and silence stands for
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    source_rate_hz: int
    codec: str
    truncated: bool
    exact: bool
    parts: int = 1
    track: int = 0
    tracks: int = 1
    gaps: tuple[Gap, ...] = ()

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate_hz)

    @property
    def lost_s(self) -> float:
        """Seconds that were sent and are missing; silence stands for them."""
        return sum(gap.end - gap.start for gap in self.gaps if gap.lost) / self.sample_rate_hz

    @property
    def pauses_s(self) -> float:
        """Seconds in which nothing was sent; silence stands for them."""
        return sum(gap.end - gap.start for gap in self.gaps if not gap.lost) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was made of a file; truncated: besides what the piece misses."""

    piece: Piece
    parts: int = 1
    track: int = 0
    tracks: int = 1
    truncated: bool = False


def decode(data: bytes, limits: DecodeLimits, container: Container | None = None) -> Recording:
    """Decode a whole recording. container: the result of `sniff`, if it is known already; for a
    file without a header that of `headerless`.

    Float files that exceed full scale are scaled down to it (levels are relative everywhere downstream).

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    container = container or sniff(data)
    if not data:
        raise EmptyAudio("file_empty")
    if container.name in HEADERLESS:
        return _headerless(data, container, limits)
    if data[-_ID3V1_BYTES:].startswith(b"TAG") and container.name not in ("mp3", "adts"):
        data = data[:-_ID3V1_BYTES]
    if data.startswith(b"ID3") and container.name not in _FRAMES:
        data = data[frames.skip_id3(data) :]
    try:
        heard = _DECODERS.get(container.name, _decode_file)(data, container, limits)
    except AudioTooLong as error:  # of a part: it was given what the parts before had left
        raise AudioTooLong("recording_too_long", most=limits.max_duration_s) from error
    piece = judged(heard.piece) if heard.piece.gaps else heard.piece
    if not piece.samples.shape[1]:
        raise UndecodableAudio("no_samples")
    truncated = piece.missing or heard.truncated or not is_complete(data, container)
    return Recording(
        _checked(piece.samples),
        piece.sample_rate_hz,
        piece.source_rate_hz,
        piece.codec,
        truncated,
        piece.exact,
        heard.parts,
        heard.track,
        heard.tracks,
        piece.gaps,
    )


def _headerless(data: bytes, container: Container, limits: DecodeLimits) -> Recording:
    piece = decode_headerless(data, container, limits)
    samples = _checked(piece.samples)
    return Recording(
        samples, piece.sample_rate_hz, piece.source_rate_hz, piece.codec, piece.missing, piece.exact, gaps=piece.gaps
    )


def _decode_frames(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    runs = _FRAMES[container.name](data)
    if data.startswith(_AMR_OF_CHANNELS, frames.skip_id3(data)):
        raise UnsupportedMedia("codec_unknown")
    if not runs:
        raise UndecodableAudio("no_samples")
    return _decode_runs(data, runs, container, limits)


def _decode_runs(data: bytes, runs: list[frames.FrameRun], container: Container, limits: DecodeLimits) -> _Heard:
    return _in_turn(runs, limits, lambda run, rest: _Heard(decode_run(data, run, _decoder_of(container, run), rest)))


def _in_turn(
    parts: Sequence[_Part], limits: DecodeLimits, decode_part: Callable[[_Part, DecodeLimits], _Heard]
) -> _Heard:
    """Decode the parts of a joined file one after the other, each within what those before left of the limit.

    A part that can't be decoded is left out, and the recording is truncated. Raises: its error, if all are like that.
    """
    heard: list[_Heard] = []
    errors: list[AudioError] = []
    left_s = limits.max_duration_s
    for part in parts[:MOST_PARTS]:
        try:
            one = decode_part(part, replace(limits, max_duration_s=left_s + _ROUNDING_S) if heard else limits)
        except AudioTooLong:
            raise
        except AudioError as error:
            errors.append(error)
            continue
        heard.append(one)
        left_s -= one.piece.samples.shape[1] / one.piece.sample_rate_hz
    if not heard:
        raise errors[0]
    truncated = bool(errors) or len(parts) > MOST_PARTS or any(one.truncated for one in heard)
    piece = join([one.piece for one in heard], limits)
    return _Heard(piece, len(parts), heard[0].track, heard[0].tracks, truncated)


def _decoder_of(container: Container, run: frames.FrameRun) -> str:
    if container.name == "amr":
        return "libopencore_amrwb" if run.first.format[0] else "libopencore_amrnb"
    if container.name == "adts":
        return "aac"
    return "mp3float" if run.first.format[1] == 1 else "mp2float"


def _decode_flac(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    def decode_one(file: bytes, rest: DecodeLimits) -> _Heard:
        whole, promised_more = with_true_length(file)
        piece = decode_with_libsndfile(whole, rest, declares_frames=True)
        return _Heard(piece or decode_track(whole, container, 0, rest), truncated=promised_more)

    return _in_turn(flac_files(data), limits, decode_one)


def _decode_wav(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    if wav_codec_tag(data) in _MPEG_TAGS:
        start, end = audio_chunk(data)
        runs = frames.mpeg_runs(data[start:end])
        if runs:
            return replace(_decode_runs(data[start:end], runs, container, limits), parts=1)
    if data[:4] == b"BW64":  # ITU-R BS.2088 renames RF64; libsndfile knows the older name only
        data = (b"RF64" if data[12:16] == b"ds64" else b"RIFF") + data[4:]
    heard = _decode_file(data, container, limits)
    count = wav_samples(data)
    # Codecs of blocks fill the last one up, and RIFF pads an odd number of bytes.
    excess = heard.piece.samples.shape[1] - count if count is not None else 0
    if 0 < excess < _LONGEST_BLOCK:
        heard = _Heard(trimmed(heard.piece, 0, count), truncated=heard.truncated)
    return heard


def _decode_w64(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    start, size = w64_chunk(data)
    if start < len(data) and (size == 0 or start + size > len(data)):  # from a pipe, or cut
        data = data[: start - 8] + struct.pack("<Q", len(data) - start + _W64_HEADER_BYTES) + data[start:]
    elif size:
        data = data[: start + size]  # libsndfile would hear what follows
    return _decode_file(data, container, limits)


def _decode_au(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    def decode_one(file: bytes, rest: DecodeLimits) -> _Heard:
        return replace(_decode_file(file, container, rest), truncated=not is_complete(file, container))

    return _in_turn(au_files(data), limits, decode_one)


def _decode_file(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    return _Heard(decode_with_libsndfile(data, limits) or decode_track(data, container, 0, limits))


def _decode_caf(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    piece = decode_with_libsndfile(data, limits)
    if piece is not None:
        return _Heard(piece)
    facts = caf_facts(data)
    if facts is None or facts.priming is None or facts.frames is None:
        return _Heard(decode_track(data, container, 0, limits))
    # FFmpeg counts the priming of Opus in samples of the file's clock, and leaves out as many of its own, at 48 kHz.
    piece = decode_track(data, container, 0, limits, untrimmed_channels=facts.channels)
    scale = piece.sample_rate_hz / facts.rate_hz
    first, count = max(0, round(facts.priming * scale)), round(facts.frames * scale)
    # Encoders fill up their last packets; a number that leaves out more is wrong.
    padded = 0 <= piece.samples.shape[1] - first - count <= _MOST_PADDING_S * piece.sample_rate_hz
    return _Heard(trimmed(piece, first, count if padded else None))


def _decode_tracks(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    return _first_with_sound(
        lambda number: decode_track(data, container, number, limits), lambda: track_count(data, container)
    )


def _first_with_sound(decode_number: Callable[[int], Piece], count: Callable[[], int]) -> _Heard:
    """Return the first track that has sound; if none has, the first that can be decoded; else its error is raised.

    count: finds the number of tracks where the first can't be decoded; pieces know it (to open a container again costs)
    """
    silent: _Heard | None = None
    first_error: AudioError | None = None
    number, tracks = 0, 1
    while number < min(tracks, _MOST_TRACKS):
        try:
            piece = decode_number(number)
        except AudioError as error:
            tracks = tracks if first_error else count()
            first_error = first_error or error
        else:
            tracks = piece.tracks
            heard = _Heard(piece, track=number, tracks=tracks)
            is_empty = not piece.samples.shape[1]
            if tracks <= 1 or (not is_empty and float(np.ptp(piece.samples, axis=1).max()) > 2 * _NO_SOUND):
                return heard
            if silent is None or not silent.piece.samples.shape[1]:
                silent = heard
        number += 1
    if silent is None:
        raise first_error or UndecodableAudio("no_audio_track")
    return silent


def _decode_webm(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    return _in_turn(ebml_files(data), limits, lambda file, rest: _decode_tracks(file, container, rest))


def _decode_mp4(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    lists = mp4.edit_lists(data)

    def by_edits(number: int) -> Piece:
        edits = lists[number] if number < len(lists) else []
        if mp4.is_simple(edits, fragmented=mp4.is_fragmented(data)):
            return decode_track(data, container, number, limits)
        return edited(decode_track(data, container, number, limits, edits=False), edits, limits)

    return _first_with_sound(by_edits, lambda: track_count(data, container))


def _decode_ogg(data: bytes, container: Container, limits: DecodeLimits) -> _Heard:
    """Decode the links of a chain one after the other; streams side by side are tracks of one link.

    A link that can't be decoded is left out, and the recording is truncated.
    """
    streams = links(data)
    if not streams:
        raise UndecodableAudio("file_broken")
    if len(streams) == 1:
        return _Heard(_decode_link(streams[0], data, data, container, limits))
    groups = _side_by_side(streams)

    def decode_group(group: list[OggLink], rest: DecodeLimits) -> _Heard:
        def decode_number(number: int) -> Piece:
            file = group[number].file(data)
            return replace(_decode_link(group[number], data, file, container, rest), tracks=len(group))

        return _first_with_sound(decode_number, lambda: len(group))

    heard = _in_turn(groups, limits, decode_group)
    late = any(
        link.begin > group[0].pages[1].begin for group in groups for link in group[1:] if len(group[0].pages) > 1
    )
    return replace(heard, truncated=heard.truncated or late)


def _side_by_side(streams: list[OggLink]) -> list[list[OggLink]]:
    """Group the streams that overlap in the file; pictures and unknown streams are left out beside sound."""
    groups: list[list[OggLink]] = []
    for link in streams:
        if groups and link.begin < max(other.end for other in groups[-1]):
            groups[-1].append(link)
        else:
            groups.append([link])
    return [[link for link in group if link.codec != "unknown"] or group[:1] for group in groups]


def _decode_link(link: OggLink, data: bytes, file: bytes, container: Container, limits: DecodeLimits) -> Piece:
    """Decode one stream. data: the whole file; file: its pages alone."""
    if link.codec == "opus":
        return decode_opus(link, limits)
    if link.codec == "flac" and (late := _late(link)):
        file = link.file(data, late)  # FFmpeg takes the first page's frames for frames from 0 on, and then sees a gap
    piece = decode_with_libsndfile(file, limits, declares_frames=True)
    if piece is None or piece.missing:  # it passes over gaps in the time stamps
        with_gaps = decode_track(file, container, 0, limits)
        piece = piece if piece is not None and with_gaps.samples.shape[1] <= piece.samples.shape[1] else with_gaps
    return replace(piece, missing=piece.missing or link.missing or not link.ended)


def _late(link: OggLink) -> int:
    """Return the samples that passed before the first frame of FLAC, by the first page of sound; 0 if it is missing."""
    for page in link.pages[1:]:
        if page.jumped:
            break
        if page.granule > 0:
            return late_samples(
                [link.packet(number) for number in range(min(page.packets, _MOST_FRAMES))], page.granule
            )
    return 0


def _checked(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    # Extremes instead of isfinite() and abs(): they copy nothing, and NaN and Inf show in them.
    low, high = float(samples.min()), float(samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UndecodableAudio("samples_not_finite")
    peak = max(-low, high)
    return samples if peak <= 1.0 else samples / np.float32(peak)


_FRAMES: dict[str, Callable[[bytes], list[frames.FrameRun]]] = {
    "mp3": frames.mpeg_runs,
    "adts": frames.adts_runs,
    "amr": frames.amr_runs,
}
_DECODERS: dict[str, Callable[[bytes, Container, DecodeLimits], _Heard]] = {
    "mp3": _decode_frames,
    "adts": _decode_frames,
    "amr": _decode_frames,
    "flac": _decode_flac,
    "wav": _decode_wav,
    "au": _decode_au,
    "w64": _decode_w64,
    "caf": _decode_caf,
    "webm": _decode_webm,
    "mp4": _decode_mp4,
    "asf": _decode_tracks,
    "ogg": _decode_ogg,
}
