"""Encode and decode with the codecs of telephones and messengers: libopus, LAME and OpenCORE's AMR-NB (FFmpeg), µ-law
and GSM 6.10 (libsndfile).

`encoded` gives the bytes that a caller would send; `through_codec` what is left of the sound.
"""

from __future__ import annotations

import io

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from preprocess.decode import DecodeLimits, decode

Samples = NDArray[np.float32]

_FFMPEG = {"opus": ("libopus", "ogg"), "mp3": ("libmp3lame", "mp3"), "amr": ("libopencore_amrnb", "amr")}
_AMR_BIT_RATES = (4750, 5150, 5900, 6700, 7400, 7950, 10_200, 12_200)  # 3GPP TS 26.071
_AT_8_KHZ = ("ulaw", "gsm", "amr")
_LIBSNDFILE = {"ulaw": "ULAW", "gsm": "GSM610", "pcm16": "PCM_16"}
_ANY = DecodeLimits(max_duration_s=3600.0, min_sample_rate_hz=1, max_sample_rate_hz=192_000, max_channels=1)
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)


def through_codec(samples: Samples, sample_rate_hz: int, codec: str, bit_rate: int = 24_000) -> tuple[Samples, int]:
    """Encode and decode, as serving does; codec:

    `none`, `opus`, `mp3`, or `ulaw`, `gsm` and `amr`, which resample to 8 kHz first.
    """
    if codec == "none":
        return samples, sample_rate_hz
    recording = decode(encoded(samples, sample_rate_hz, codec, bit_rate), _ANY)
    return recording.samples[0], recording.sample_rate_hz


def encoded(
    samples: Samples, sample_rate_hz: int, codec: str, bit_rate: int = 24_000, *, same_bits: bool = False
) -> bytes:
    """A file: OGG Opus or MP3 at about `bit_rate` bit/s, AMR-NB in the mode nearest to it, or WAV.

    samples: float32 [shape=(n,)]. Rates that Opus does not take are resampled to 48 kHz for both.
    same_bits: the same bytes on every processor. Opus then has forward error correction, as calls have it, which keeps
        the encoder to SILK: in CELT it works with estimates of reciprocals, which Intel's and AMD's processors give
        differently.
    """
    samples = np.clip(samples, -1.0, 1.0)
    if codec in _AT_8_KHZ and sample_rate_hz != 8000:
        samples, sample_rate_hz = np.clip(soxr.resample(samples, sample_rate_hz, 8000), -1.0, 1.0), 8000
    if codec == "amr":
        bit_rate = min(_AMR_BIT_RATES, key=lambda mode: abs(mode - bit_rate))
    if codec in _FFMPEG:
        if sample_rate_hz not in OPUS_RATES_HZ:
            samples, sample_rate_hz = np.clip(soxr.resample(samples, sample_rate_hz, 48_000), -1.0, 1.0), 48_000
        return _with_ffmpeg(samples, sample_rate_hz, *_FFMPEG[codec], bit_rate, same_bits)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, format="WAV", subtype=_LIBSNDFILE[codec])
    return buffer.getvalue()


def _with_ffmpeg(
    samples: Samples, sample_rate_hz: int, codec: str, container: str, bit_rate: int, same_bits: bool
) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as output:  # no random serial number
        options = {"application": "voip"} if codec == "libopus" else {}
        if codec == "libopus" and same_bits:
            options |= {"fec": "1", "packet_loss": "10", "cutoff": "8000"}
        stream = output.add_stream(codec, rate=sample_rate_hz, layout="mono", options=options)
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - for the type checker: these codecs are audio
        stream.bit_rate = bit_rate
        integers = np.rint(samples * 32767.0).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="mono")
        frame.sample_rate = sample_rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return buffer.getvalue()
