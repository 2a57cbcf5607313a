"""Stage 1, decode: the bytes of a recording -> float32 samples per channel.

libsndfile (soundfile) decodes OGG Vorbis and narrow Opus, WAV (PCM, float, µ-law, A-law, GSM 6.10), FLAC, MP3, AIFF,
AU, CAF; FFmpeg (PyAV) wide Opus and what browsers and phones add: WebM, MP4/M4A/3GP (AAC), ADTS, AMR, and whatever of
the former libsndfile refuses. The first bytes choose the decoder: FFmpeg's own guessing would open playlists and other
things that are no recordings, so it is only ever given one container by name.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from preprocess.container import Container, ends_early, opus_input_rate_hz, sniff
from preprocess.errors import (
    AudioError,
    AudioTooLong,
    TooManyChannels,
    UndecodableAudio,
    UnsupportedMedia,
    UnsupportedSampleRate,
)

_BLOCK_FRAMES = 1 << 18  # a 10 s note at 16 kHz in one read
_MOST_PACKETS = (
    100_000  # 120 s of the shortest, 2.5 ms, are 48,000; millions of empty ones shall not keep a worker busy
)
_LONGEST_PACKET_S = 0.2  # Opus packets hold at most 0.12 s; a damaged one may claim hours
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's SF_COUNT_MAX lies beyond
# Of the decoders that are used, those that gave the same bits on every processor tried
# (docs/decisions/0016-same-bits.md): integer arithmetic, or no code that is chosen by processor. A modified cosine
# transform in floats (AAC, AC-3, Vorbis, WMA) is not.
_EXACT_PREFIXES = ("pcm_", "adpcm_")
_EXACT_DECODERS = frozenset(
    {"alac", "flac", "g722", "g726", "libopencore_amrnb", "libopus", "mp2", "mp2float", "mp3", "mp3float", "tta"}
)
_CODEC_NAMES = {"MPEG_LAYER_III": "mp3", "MPEG_LAYER_II": "mp2"}


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of decoding; a file is refused from its header if that shows the excess, and otherwise while decoding."""

    max_duration_s: float
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    max_channels: int


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded audio.

    samples: float32 [shape=(channels, n)], n >= 1, in [-1, 1], finite
    sample_rate_hz: of `samples`; Opus from above 16 kHz is decoded at 48 kHz, its own clock
    source_rate_hz: what the file says that it was recorded at; for Opus the rate that the encoder was given
    codec: lower case, e.g. `opus`, `vorbis`, `pcm_16`, `ulaw`, `gsm610`, `aac`
    truncated: the file ends before its own headers say that it does, or breaks off, or a part can't be decoded
    exact: whether the decoder gives the same bits on every x86-64 processor
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    source_rate_hz: int
    codec: str
    truncated: bool
    exact: bool

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate_hz)


def decode(data: bytes, limits: DecodeLimits, container: Container | None = None) -> Recording:
    """Decode a whole recording. container: the result of `sniff`, if it is known already.

    Float files that exceed full scale are scaled down to it (levels are relative everywhere downstream).

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    container = container or sniff(data)
    recording = _decode_with_libsndfile(data, container, limits) if container.libsndfile else None
    if recording is None:
        recording = _decode_with_ffmpeg(data, container, limits)
    return _checked(recording)


def _decode_with_libsndfile(data: bytes, container: Container, limits: DecodeLimits) -> Recording | None:
    """Decode with libsndfile; None where it does not know the codec or the length, so that FFmpeg may try.

    FLAC and WAV files that were written to a pipe have no length; libsndfile then reports errors or nothing.
    """
    try:
        file = _Forward(_Buffer(data))
    except soundfile.LibsndfileError:
        return None
    with file:
        _check_header(file.channels, file.samplerate, limits)
        declared, rate = file.frames, file.samplerate
        if not 0 < declared < _UNKNOWN_FRAMES:
            return None
        if declared > limits.max_duration_s * rate:
            raise _too_long(limits)
        # Headers may be wrong: never read more than the limit, even if `frames` is larger.
        wanted = int(limits.max_duration_s * rate) + 1
        samples, broke_off = _read_blocks(file, wanted)
        codec = _CODEC_NAMES.get(file.subtype, file.subtype.lower())
        # Of libsndfile's decoders mpg123 alone chooses code by processor, and only for two channels.
        exact = not (file.subtype.startswith("MPEG_") and file.channels > 1)
    if not samples.shape[1]:
        return None
    if samples.shape[1] >= wanted:
        raise _too_long(limits)
    short_of_header = samples.shape[1] < declared and (broke_off or container.declares_frames)
    return Recording(samples, rate, rate, codec, short_of_header or ends_early(data, container), exact)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Reads forward only: soundfile sets the position after each read, and Opus then decodes again."""

    def seekable(self) -> bool:
        return False


class _Buffer(io.BytesIO):
    """Damaged headers make libsndfile seek before the start, where BytesIO raises and soundfile prints a stack
    trace.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(max(offset, 0) if whence == io.SEEK_SET else offset, whence)


def _read_blocks(file: soundfile.SoundFile, wanted: int) -> tuple[NDArray[np.float32], bool]:
    """Read up to `wanted` frames, [shape=(channels, n)]; return them and whether decoding ended with an error.

    It uses its own buffer, because soundfile's `read` drops the frames before an error.
    """
    frames = np.empty((wanted, file.channels), dtype=np.float32)  # unused pages need no memory
    decoded, broke_off = 0, False
    while decoded < wanted and not broke_off:
        rest = frames[decoded : decoded + _BLOCK_FRAMES]
        try:
            read = len(file.read(out=rest))
        except soundfile.LibsndfileError:
            broke_off = True
            read = min(max(0, _position(file) - decoded), len(rest))
        decoded += read
        if read < len(rest):
            break
    return np.ascontiguousarray(frames[:decoded].T), broke_off


def _position(file: soundfile.SoundFile) -> int:
    """Return the frames decoded so far; 0 or -1 where libsndfile does not know (GSM 6.10, or a wrong header)."""
    try:
        return int(file.tell())
    except soundfile.LibsndfileError:
        return 0


def _decode_with_ffmpeg(data: bytes, container: Container, limits: DecodeLimits) -> Recording:
    try:
        with av.open(io.BytesIO(data), mode="r", format=container.ffmpeg, metadata_errors="ignore") as file:
            if not file.streams.audio:
                raise UndecodableAudio("no_audio_track")
            stream = file.streams.audio[0]
            if stream.codec_context is None:
                raise UnsupportedMedia("codec_unknown")
            codec = stream.codec_context.name
            encoder_rate = opus_input_rate_hz(stream.codec_context.extradata or b"")
            if stream.channels and stream.sample_rate:
                _check_header(stream.channels, stream.sample_rate, limits)
            declared_s = float((stream.duration or 0) * (stream.time_base or 0))
            if declared_s > limits.max_duration_s + 1.0:
                raise _too_long(limits)
            decoder = _decoder(stream)
            exact = decoder.name.startswith(_EXACT_PREFIXES) or decoder.name in _EXACT_DECODERS
            found, missing = _decode_stream(file, stream, decoder, limits)
            samples = found.samples() if found is not None and found.count else None
            declared = stream.duration if container.declares_frames else None
    except AudioError:
        raise
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise UndecodableAudio("file_broken") from error
    if found is None or samples is None or not samples.shape[1]:
        raise UndecodableAudio("no_samples")
    short_of_header = declared is not None and found.count < declared
    truncated = missing or short_of_header or ends_early(data, container)
    return Recording(samples, found.rate, encoder_rate or found.rate, codec, truncated, exact)


class _Decoded:
    """Samples from FFmpeg's decoder, of one layout and one rate.

    FFmpeg's own queue collects the frames, and each block becomes one array: there are fifty frames a second, and
    reading each frame from Python took a sixth of the decoding time.
    """

    def __init__(self, first: av.AudioFrame, limits: DecodeLimits) -> None:
        # The decoder, not the header, knows the rate (HE-AAC doubles it) and the layout.
        self.rate, self.count = first.sample_rate, 0
        self._layout, self._channels = first.layout, first.layout.nb_channels
        _check_header(self._channels, self.rate, limits)
        self._limits = limits
        self._most = int(limits.max_duration_s * self.rate)
        self._queue = av.AudioFifo()
        self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self.rate)
        self._blocks: list[NDArray[np.float32]] = []

    def samples(self) -> NDArray[np.float32]:
        """float32 [shape=(channels, count)]."""
        self._empty_queue()
        return np.concatenate(self._blocks, axis=1) if len(self._blocks) != 1 else self._blocks[0]

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
        if self._queue.samples >= _BLOCK_FRAMES:
            self._empty_queue()
        return True

    def add_silence(self, duration_s: float) -> None:
        """Add silence. Raises: AudioTooLong."""
        n = round(duration_s * self.rate)
        self._count(n)
        self._empty_queue()
        self._blocks.append(np.zeros((self._channels, n), dtype=np.float32))

    def _empty_queue(self) -> None:
        frame = self._queue.read()  # all of it
        if frame is None:
            return
        plain = self._channels == 1 and frame.format.name in ("flt", "fltp")  # already the target format
        for item in [frame] if plain else self._resampler.resample(frame):
            self._blocks.append(np.asarray(item.to_ndarray(), dtype=np.float32))

    def _count(self, samples: int) -> None:
        self.count += samples
        if self.count > self._most:
            raise _too_long(self._limits)


def _decode_stream(
    file: av.container.InputContainer, stream: av.AudioStream, decoder: av.AudioCodecContext, limits: DecodeLimits
) -> tuple[_Decoded | None, bool]:
    """Return the decoded samples, None without a frame; and whether samples are missing, because the file ends early or
    a part is damaged.

    A packet that can't be decoded becomes silence of the same length, so that later samples keep their times. A damaged
    frame may have another rate or layout than the first; it is left out.
    """
    found, missing = None, False
    decode_packet = decoder.decode
    packets = file.demux(stream)
    for _ in range(_MOST_PACKETS):
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError):
            if found is None:
                raise
            return found, True
        if packet is None:
            return found, missing
        try:
            frames = decode_packet(packet)
        except (av.FFmpegError, ValueError):
            missing = True
            if found is not None:
                duration_s = float((packet.duration or 0) * (packet.time_base or 0))
                found.add_silence(min(max(duration_s, 0.0), _LONGEST_PACKET_S))
            continue
        for frame in frames:
            if found is None:
                found = _Decoded(frame, limits)
            if not found.add(frame):
                missing = True
    return found, True


def _decoder(stream: av.AudioStream) -> av.AudioCodecContext:
    """Return the stream's own decoder, or a better decoder than FFmpeg's choice."""
    own = stream.codec_context
    if own.name == "amrnb":
        # FFmpeg's own decoder refuses the silence descriptors that phones send between words (DTX).
        decoder = av.AudioCodecContext.create("libopencore_amrnb", "r")
        decoder.sample_rate, decoder.layout = 8000, "mono"
        return decoder
    if own.name == "opus":
        # The codec's reference decoder, in float: FFmpeg's own gives other samples.
        decoder = av.AudioCodecContext.create("libopus", "r")
        decoder.extradata, decoder.options = own.extradata, {"request_sample_fmt": "flt"}
        return decoder
    return own


def _check_header(channels: int, sample_rate_hz: int, limits: DecodeLimits) -> None:
    if channels > limits.max_channels:
        raise TooManyChannels(
            "too_many_channels",
            channels=channels,
            most=limits.max_channels,
        )
    if not limits.min_sample_rate_hz <= sample_rate_hz <= limits.max_sample_rate_hz:
        raise UnsupportedSampleRate(
            "sample_rate_outside",
            rate=sample_rate_hz,
            least=limits.min_sample_rate_hz,
            most=limits.max_sample_rate_hz,
        )


def _too_long(limits: DecodeLimits) -> AudioTooLong:
    return AudioTooLong("recording_too_long", most=limits.max_duration_s)


def _checked(recording: Recording) -> Recording:
    # Extremes instead of isfinite() and abs(): they copy nothing, and NaN and Inf show in them.
    low, high = float(recording.samples.min()), float(recording.samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UndecodableAudio("samples_not_finite")
    peak = max(-low, high)
    if peak <= 1.0:
        return recording
    scaled = recording.samples / np.float32(peak)
    return replace(recording, samples=scaled)
