"""Stage 1, decode with FFmpeg (PyAV): containers with time stamps, and streams of frames.

FFmpeg's own guessing would open playlists and other things that are no recordings, so it is only ever given one
container by name, or one frame after the other.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from preprocess.decoders.pieces import DecodeLimits, Gap, Piece, trimmed
from preprocess.errors import AudioError, UndecodableAudio, UnsupportedMedia
from preprocess.formats.container import Container, opus_input_rate_hz
from preprocess.formats.frames import LAYER_III_DELAY, FrameRun

_BLOCK_SAMPLES = 1 << 15
# FFmpeg's sample formats, planar (with a "p" behind) or not: type, middle and full scale.
_SAMPLE_TYPES: dict[str, tuple[type[np.generic], int, int]] = {
    "u8": (np.uint8, 128, 1 << 7), "s16": (np.int16, 0, 1 << 15), "s32": (np.int32, 0, 1 << 31),
    "s64": (np.int64, 0, 1 << 63), "flt": (np.float32, 0, 1), "dbl": (np.float64, 0, 1),
}  # fmt: skip
_MOST_PACKETS = (
    100_000  # 120 s of the shortest, 2.5 ms, are 48,000; millions of empty ones shall not keep a worker busy
)
_LONGEST_PACKET_S = 0.2  # Opus packets hold at most 0.12 s; a damaged one may claim hours
# Time stamps of live recordings jitter by some milliseconds, and those of WebM are rounded to one. The shortest packets
# that are lost in practice hold 20 ms.
_LEAST_GAP_S = 0.015
_DTX_BYTES = 2  # RFC 6716, section 2.1.9: a sender that has nothing to say sends packets of one or two bytes
# Of the decoders that are used, those that gave the same bits on every processor tried
# (docs/decisions/0016-same-bits.md): integer arithmetic, or no code that is chosen by processor. A modified cosine
# transform in floats (AAC, AC-3, Vorbis, WMA) is not.
_EXACT_PREFIXES = ("pcm_", "adpcm_")
_EXACT_DECODERS = frozenset(
    {
        "alac", "flac", "g722", "g726", "libopencore_amrnb", "libopencore_amrwb", "libopus", "mp2", "mp2float", "mp3",
        "mp3float", "tta",
    }
)  # fmt: skip
# FFmpeg has decoders for over two hundred kinds of sound, most of them of games and films, and for pictures. These are
# of telephones, recorders, browsers and their files; the others are not even opened to look into a stream.
_DECODERS = frozenset(
    {
        "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha", "alac", "amrnb", "amrwb",
        "atrac3", "dca", "eac3", "evrc", "flac", "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms", "ilbc",
        "libopencore_amrnb", "libopencore_amrwb", "libopus", "mace3", "mace6", "mp1", "mp1float", "mp2", "mp2float",
        "mp3", "mp3float", "msnsiren", "opus", "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le",
        "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s64be",
        "pcm_s64le", "pcm_s8", "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le", "pcm_u8",
        "qcelp", "qdm2", "qdmc", "sipr", "speex", "truespeech", "tta", "vorbis", "wavpack", "wmalossless", "wmapro",
        "wmav1", "wmav2", "wmavoice",
    }
)  # fmt: skip
# FFmpeg's AV_CODEC_FLAG2_SKIP_MANUAL: samples that the container says to leave out are not left out.
_SKIP_MANUAL = 1 << 29
_Packet: TypeAlias = "av.Packet[Any]"
# FFmpeg's names of what libsndfile and we name otherwise.
_CODEC_NAMES = {
    "mp3float": "mp3", "mp2float": "mp2", "pcm_mulaw": "ulaw", "pcm_alaw": "alaw", "gsm": "gsm610", "gsm_ms": "gsm610",
    "adpcm_ms": "ms_adpcm", "adpcm_ima_wav": "ima_adpcm", "adpcm_ima_qt": "ima_adpcm",
}  # fmt: skip
# Decoders that do more than FFmpeg's own: OpenCORE's know the silence descriptors that phones send between words (DTX);
# libopus is the codec's reference.
_BETTER = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb", "opus": "libopus"}


def codec_name(decoder: str) -> str:
    """Return our name of the codec, which does not depend on the decoder."""
    if decoder.startswith("pcm_") and decoder not in _CODEC_NAMES:
        kind = decoder.removeprefix("pcm_").removesuffix("le").removesuffix("be")
        return {"s8": "pcm_s8", "u8": "pcm_u8", "f32": "float", "f64": "double"}.get(kind, f"pcm_{kind[1:]}")
    name = decoder.removeprefix("libopencore_").removeprefix("lib")
    return _CODEC_NAMES.get(name, name)


def track_count(data: bytes, container: Container) -> int:
    """Return the number of audio tracks. Raises: UndecodableAudio."""
    with _refusing(), _opened(data, container) as file:
        return len(file.streams.audio)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn FFmpeg's errors into ours."""
    try:
        yield
    except AudioError:
        raise
    except (av.error.PatchWelcomeError, av.error.DecoderNotFoundError, av.error.NotImplementedError) as error:
        # Valid, and FFmpeg says itself that it lacks a part of the format.
        raise UnsupportedMedia("codec_unknown") from error
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise UndecodableAudio("file_broken") from error


def _opened(data: bytes, container: Container, **options: str) -> av.container.InputContainer:
    only = {"codec_whitelist": ",".join(_DECODERS)}
    return av.open(
        io.BytesIO(data), mode="r", format=container.ffmpeg, metadata_errors="ignore", container_options=options | only
    )


def decode_track(
    data: bytes,
    container: Container,
    number: int,
    limits: DecodeLimits,
    *,
    edits: bool = True,
    untrimmed_channels: int | None = None,
) -> Piece:
    """Decode one audio track of a container.

    edits: apply an MP4 file's edit list as FFmpeg does
    untrimmed_channels: keep what the container says to leave out, of so many channels

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    options = {} if edits else {"ignore_editlist": "1"}
    with _refusing(), _opened(data, container, **options) as file:
        if number >= len(file.streams.audio):
            raise UndecodableAudio("no_audio_track")
        stream = file.streams.audio[number]
        if stream.codec_context is None:
            raise UnsupportedMedia("codec_unknown")
        encoder_rate = opus_input_rate_hz(stream.codec_context.extradata or b"")
        if stream.channels and stream.sample_rate:
            limits.check(stream.channels, stream.sample_rate)
        decoder = _decoder(stream, untrimmed_channels)
        if untrimmed_channels is not None:
            decoder.flags2 |= _SKIP_MANUAL
        _open(decoder)
        found, missing = _decode_packets(file.demux(stream), decoder, limits, container.time_stamps)
        declared = stream.duration if container.declares_frames else None
        if found is None or not found.count:
            raise UndecodableAudio("no_samples")
        missing = missing or (declared is not None and found.count < declared)
        piece = found.piece(decoder.name, encoder_rate, missing=missing)
        return replace(piece, tracks=len(file.streams.audio))


def decode_run(data: bytes, run: FrameRun, decoder_name: str, limits: DecodeLimits) -> Piece:
    """Decode frames without a container. What a LAME tag calls delay and padding is left out.

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    first = run.first
    limits.check(first.channels or 1, first.rate_hz)
    limits.check_count(len(run.spans) * first.samples - run.delay - run.padding, first.rate_hz)
    with _refusing():
        found, missing = _decode_frames(data, run, decoder_name, limits)
    if found is None or not found.count:
        raise UndecodableAudio("no_samples")
    piece = found.piece(decoder_name, None, missing=missing or run.broken)
    if not run.delay and not run.padding:
        return piece
    start = run.delay + LAYER_III_DELAY
    keep = piece.samples.shape[1] - run.delay - run.padding
    return trimmed(piece, start, keep) if keep > 0 and start < piece.samples.shape[1] else piece


def _decode_frames(
    data: bytes, run: FrameRun, decoder_name: str, limits: DecodeLimits
) -> tuple[Collector | None, bool]:
    whole = [span for span in run.spans if span is not None]
    if len(whole) == len(run.spans) and whole[-1][1] - whole[0][0] == sum(end - start for start, end in whole):
        # The decoders take one frame after the other from a long packet: a third less time than a packet for each.
        try:
            packet = av.Packet(data[whole[0][0] : whole[-1][1]])
            found, missing = _decode_packets([packet], _frame_decoder(decoder_name, run), limits, time_stamps=False)
            # Some end at a damaged frame without a word. One frame may be the decoder's delay.
            least = (len(whole) - 2) * run.first.samples / run.first.rate_hz
            if not missing and found is not None and found.count >= least * found.rate:
                return found, False
        except (av.FFmpegError, ValueError):
            pass  # frame by frame, a damaged one costs only itself
    length_s = run.first.samples / run.first.rate_hz
    packets = [av.Packet(data[span[0] : span[1]]) if span else None for span in run.spans]
    decoder = _frame_decoder(decoder_name, run)
    return _decode_packets(packets, decoder, limits, time_stamps=False, packet_s=length_s)


def _frame_decoder(name: str, run: FrameRun) -> av.AudioCodecContext:
    decoder = _created(name)
    if name.startswith("libopencore"):
        decoder.sample_rate, decoder.layout = run.first.rate_hz, "mono"
    return decoder


def _open(decoder: av.AudioCodecContext) -> None:
    """Raises: UnsupportedMedia where the decoder does not take this kind of its codec."""
    try:
        decoder.open(strict=False)
    except (av.error.ArgumentError, av.error.ExternalError) as error:
        raise UnsupportedMedia("codec_unknown") from error


def _created(name: str) -> av.AudioCodecContext:
    decoder = av.CodecContext.create(name, "r")
    if not isinstance(decoder, av.AudioCodecContext):
        raise TypeError(name)
    return decoder


class Collector:
    """Samples from FFmpeg's decoder, of one format, with silence where time stamps leave a gap.

    FFmpeg's own queue collects some frames, since to look into each from Python costs a tenth of the decoding. Each
    such block is written into one array, which is as long as the limit: pages that nothing is written to need no
    memory, and a further copy of a recording would cost as much in fresh pages as decoding PCM does.
    """

    def __init__(self, first: av.AudioFrame, limits: DecodeLimits) -> None:
        # The decoder, not the header, knows the rate (HE-AAC doubles it) and the layout.
        self.rate, self.count = first.sample_rate, 0
        self._layout, self._format = first.layout, first.format.name
        channels = first.layout.nb_channels
        limits.check(channels, self.rate)
        self._limits, self._most = limits, int(limits.max_duration_s * self.rate)
        # One for the whole stream: a frame makes a fraction each time it is asked, which costs more than the rest.
        self._unit_s = float(first.time_base or 0)
        self._begin_s = self._next_s = self._time_s(first)
        self._type, self._middle, self._full = _SAMPLE_TYPES[self._format.removesuffix("p")]
        self._planar = self._format.endswith("p") or channels == 1
        self._queue = av.AudioFifo()
        self._samples = np.empty((channels, self._most), dtype=np.float32)
        self._written = 0
        self._gaps: list[Gap] = []

    def piece(self, decoder: str, source_rate_hz: int | None, *, missing: bool) -> Piece:
        """Return what was collected."""
        self._empty_queue()
        exact = decoder.startswith(_EXACT_PREFIXES) or decoder in _EXACT_DECODERS
        rate = source_rate_hz or self.rate
        samples = self._samples[:, : self.count]
        return Piece(samples, self.rate, rate, codec_name(decoder), exact, missing, tuple(self._gaps))

    def add(self, frame: av.AudioFrame) -> bool:
        """Add a frame if it has the first frame's format; return whether it has. Raises: AudioTooLong."""
        if frame.layout != self._layout or frame.sample_rate != self.rate:  # the queue checks the sample format
            return False
        frame.pts = None  # the queue would refuse gaps
        try:
            self._queue.write(frame)
        except ValueError:
            return False
        self._count(frame.samples)
        if self._queue.samples >= _BLOCK_SAMPLES:
            self._empty_queue()
        return True

    def _empty_queue(self) -> None:
        frame = self._queue.read()  # all of it
        if frame is None:
            return
        n = frame.samples
        rows = self._samples[:, self._written : self._written + n]
        self._written += n
        if self._planar:
            for row, plane in zip(rows, frame.planes, strict=True):
                row[:] = self._scaled(np.frombuffer(plane, self._type, n))  # type: ignore[call-overload]
        else:
            both = np.frombuffer(frame.planes[0], self._type, n * len(rows))  # type: ignore[call-overload]
            rows[:] = self._scaled(both.reshape(n, len(rows)).T)

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        """As FFmpeg's swresample does: integers times a power of two, so only the conversion itself rounds."""
        if self._full == 1:
            return values
        if values.itemsize > 2:
            return values.astype(np.float64) * (1.0 / self._full)
        return (values.astype(np.float32) - np.float32(self._middle)) * np.float32(1.0 / self._full)

    def keep_time(self, frame: av.AudioFrame, *, lost: bool) -> None:
        """Fill the gap before a frame, if its time stamp leaves one. Raises: AudioTooLong.

        There is a gap only where the stamps jump and the sound so far is too short, too: the clock of a recorder may
        run apart from that of its time stamps, slowly, and stamps jitter to both sides.
        """
        start_s = self._time_s(frame)
        if start_s is None or self._next_s is None or self._begin_s is None:
            return
        jump_s, ahead_s = start_s - self._next_s, start_s - self._begin_s - self.count / self.rate
        length_s = frame.samples / self.rate
        if min(jump_s, ahead_s) >= max(_LEAST_GAP_S, 0.5 * length_s):
            self.add_silence(ahead_s, lost=lost)
        self._next_s = start_s + length_s

    def add_silence(self, duration_s: float, *, lost: bool, proven: bool = False) -> None:
        """Add silence. Raises: AudioTooLong, before memory is taken for it."""
        n = round(duration_s * self.rate)
        if n <= 0:  # of a packet that does not say how long it is
            return
        self._count(n)
        self._empty_queue()
        self._samples[:, self._written : self.count] = 0.0
        self._gaps.append(Gap(self._written, self.count, lost, proven))
        self._written = self.count

    def _time_s(self, frame: av.AudioFrame) -> float | None:
        pts = frame.pts
        return None if pts is None or not self._unit_s else pts * self._unit_s

    def _count(self, samples: int) -> None:
        self.count += samples
        if self.count > self._most:
            self._limits.check_count(self.count, self.rate)


def _duration_s(packet: _Packet) -> float:
    return float((packet.duration or 0) * (packet.time_base or 0))


def _decode_packets(
    packets: Iterable[_Packet | None],
    decoder: av.AudioCodecContext,
    limits: DecodeLimits,
    time_stamps: bool,
    packet_s: float | None = None,
) -> tuple[Collector | None, bool]:
    """Return the decoded samples, None without a frame; and whether samples are missing, because the file ends early or
    a part is damaged.

    A packet that is lost (None) or can't be decoded becomes silence of the same length, so that later samples keep
    their times. A damaged frame may have another rate or layout than the first; it is left out.
    packet_s: of each packet, where the packets don't know it
    """
    found, missing, silent = None, False, False
    decode_packet = decoder.decode
    stream = iter(packets)
    for _ in range(_MOST_PACKETS):
        try:
            packet = next(stream)
        except StopIteration:
            return found, missing
        except (av.FFmpegError, ValueError):
            if found is None:
                raise
            return found, True
        try:
            frames = decode_packet(packet) if packet is not None else None
        except av.error.PatchWelcomeError:
            raise
        except (av.FFmpegError, ValueError):
            frames = None
        if packet is None or frames is None:
            missing = True
            if found is not None:
                duration_s = packet_s or (0.0 if packet is None else _duration_s(packet))
                found.add_silence(min(max(duration_s, 0.0), _LONGEST_PACKET_S), lost=True, proven=True)
            continue
        for frame in frames:
            if found is None:
                found = Collector(frame, limits)
            if time_stamps:
                found.keep_time(frame, lost=not silent)
            if not found.add(frame):
                missing = True
        silent = packet.size <= _DTX_BYTES
    return found, True


def _decoder(stream: av.AudioStream, channels: int | None) -> av.AudioCodecContext:
    """Return the stream's own decoder, or a better decoder than FFmpeg's choice. Raises: UnsupportedMedia."""
    own = stream.codec_context
    if own.name not in _DECODERS:
        raise UnsupportedMedia("codec_unknown")
    name = _BETTER.get(own.name)
    if name is None:
        return own
    decoder = _created(name)
    if name == "libopus":
        decoder.options = {"request_sample_fmt": "flt"}
        if own.extradata and own.extradata.startswith(b"OpusHead"):
            decoder.extradata = own.extradata
        else:
            decoder.layout = own.layout if channels is None else "mono" if channels == 1 else "stereo"
    else:
        decoder.sample_rate, decoder.layout = (16_000 if own.name == "amrwb" else 8_000), "mono"
    return decoder
