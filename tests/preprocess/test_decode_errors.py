"""What can't be decoded is refused with the right leaf of the error tree, and names the sentence that says what
to do.
"""

import io
import struct
import zipfile

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from preprocess.decode import decode
from preprocess.errors import (
    AudioError,
    AudioTooLong,
    EmptyAudio,
    TooManyChannels,
    UndecodableAudio,
    UnsupportedMedia,
    UnsupportedSampleRate,
)
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, flac_that_says, warble


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("cough.ogg", bytes(1000))
    return buffer.getvalue()


def video_without_sound() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("mjpeg", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def test_no_bytes():
    with pytest.raises(EmptyAudio, match="file_empty"):
        decode(b"", LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"This is a text that someone named cough.ogg.\n" * 20,
        ("This is a text in UTF-16, which starts with FF FE. " * 40).encode("utf-16"),
        "Ceci est un texte. ".encode("utf-8-sig") * 40,
        b"O",
        b"OggX" + bytes(2000),
        bytes(5000),
        b"\xff" * 5000,
        b"<!DOCTYPE html><html><body>502</body></html>",
        b'{"audio": "T2dnUw=="}',
        b"%PDF-1.7\n" + bytes(1000),
        b"\x7fELF" + bytes(1000),
        b"RIFF\x24\0\0\0AVI LIST" + bytes(1000),
        b"RIFF\x24\0\0\0WEBPVP8 " + bytes(1000),
        b"MThd\0\0\0\x06" + bytes(1000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"[playlist]\nFile1=http://169.254.169.254/latest\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        picture("PNG"),
        picture("JPEG"),
        picture("GIF"),
        archive(),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_recording(data):
    """Playlists among it: FFmpeg would open the files and addresses that they name."""
    with pytest.raises(UnsupportedMedia, match="format_unknown"):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    "magic",
    [
        b"OggS",
        b"fLaC",
        b"RIFF\0\0\0\0WAVE",
        b"RIFX\0\0\0\0WAVE",
        b"RF64\xff\xff\xff\xffWAVEds64",
        b"FORM\0\0\0\0AIFF",
        b"FORM\0\0\0\0AIFC",
        b".snd",
        b"caff",
        bytes.fromhex("726966662e91cf11a5d628db04c10000"),
        b"\x1aE\xdf\xa3",
        b"\0\0\0\x18ftypM4A ",
        b"\0\0\0\x18ftyp3gp4",
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_garbage_after_the_right_signature(magic, seed):
    """Containers with a header of their own say that it is broken; nothing comes out."""
    wanted = r"file_broken|no_samples|no_audio_track|codec_unknown"
    with pytest.raises((UndecodableAudio, UnsupportedMedia), match=wanted):
        decode(magic + np.random.default_rng(seed).bytes(4000), LIMITS)


@pytest.mark.parametrize("magic", [b"#!AMR\n", b"#!AMR-WB\n", b"\xff\xf1\x50\x80", b"\xff\xfb\x90\x64"])
@pytest.mark.parametrize("seed", range(5))
def test_garbage_in_a_stream_of_frames(magic, seed):
    """AMR, ADTS and MP3 are frames without a header, so garbage may hold some: noise, or a refusal."""
    try:
        recording = decode(magic + np.random.default_rng(seed).bytes(4000), LIMITS)
    except (UndecodableAudio, TooManyChannels):
        return
    assert np.isfinite(recording.samples).all()
    assert float(np.abs(recording.samples).max()) <= 1.0


@pytest.mark.parametrize(
    "head",
    [b"OggS", b"fLaC", b"RIFF\0\0\0\0WAVE", b"#!AMR\n", b"\0\0\0\x18ftyp", b"\x1aE\xdf\xa3", b"ID3\4\0\0\0\0\0\0"],
)
def test_nothing_but_the_signature(head):
    with pytest.raises(UndecodableAudio, match=r"file_broken|no_samples|no_audio_track"):
        decode(head, LIMITS)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS")])
def test_no_samples(container, subtype):
    with pytest.raises(UndecodableAudio, match="no_samples"):
        decode(by_libsndfile(np.zeros((1, 0), dtype=np.float32), 16_000, container, subtype), LIMITS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_not_a_number(value, subtype):
    samples = warble(16_000)
    samples[0, 1234] = value
    with pytest.raises(UndecodableAudio, match="samples_not_finite"):
        decode(by_libsndfile(samples, 16_000, "WAV", subtype), LIMITS)


def test_double_beyond_float32s_range():
    """1e300 is infinite once it is float32, so it is refused as infinite, and no warning comes of it."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array([0.0, 1e300, 0.5]), 16_000, format="WAV", subtype="DOUBLE")
    with pytest.raises(UndecodableAudio, match="samples_not_finite"):
        decode(buffer.getvalue(), LIMITS)


def test_video_without_sound():
    with pytest.raises(UndecodableAudio, match="no_audio_track"):
        decode(video_without_sound(), LIMITS)


def test_a_codec_that_nobody_knows():
    """The container is fine, but its audio track names a codec without a decoder."""
    data = by_ffmpeg(warble(48_000), 48_000, "webm", "libopus", 32_000)
    assert data.count(b"A_OPUS") == 1
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(data.replace(b"A_OPUS", b"A_ZZZZ"), LIMITS)


def in_blocks(container: str, subtype: str, rate: int, seconds: int) -> bytes:
    """Silence, a minute at a time."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, subtype, format=container) as file:
        for _ in range(seconds // 60):
            file.write(np.zeros(60 * rate, dtype=np.float32))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "subtype", "rate"),
    [
        ("WAV", "ULAW", 8000),
        ("FLAC", "PCM_16", 8000),
        pytest.param("OGG", "OPUS", 8000, marks=pytest.mark.system),  # seven seconds to make
        ("MP3", "MPEG_LAYER_III", 8000),
    ],
)
def test_ten_minutes(container, subtype, rate):
    with pytest.raises(AudioTooLong, match=r"most=120\.0"):
        decode(in_blocks(container, subtype, rate, 600), LIMITS)


def test_ten_minutes_by_ffmpeg_are_refused_with_and_without_a_length_in_the_header():
    samples = np.zeros((1, 600 * 8000), dtype=np.float32)
    for container, options in (("mp4", {}), ("mp4", {"movflags": "frag_every_frame+empty_moov"}), ("adts", {})):
        with pytest.raises(AudioTooLong, match=r"most=120\.0"):
            decode(by_ffmpeg(samples, 8000, container, "aac", 8000, **options), LIMITS)


def test_two_hours_of_silence_are_refused_from_the_header(monkeypatch):
    """Small on disk, 230 MB decoded: not one sample is read."""
    data = in_blocks("FLAC", "PCM_16", 8000, 7200)
    assert len(data) < 1_000_000

    def read(*_: object, **__: object) -> None:
        raise AssertionError("decoded although the header was enough")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    with pytest.raises(AudioTooLong):
        decode(data, LIMITS)


def test_a_flac_that_hides_its_length_is_still_refused():
    """With 0 in the header, as pipes write it, the limit is met while decoding."""
    with pytest.raises(AudioTooLong):
        decode(flac_that_says(in_blocks("FLAC", "PCM_16", 8000, 180), 0), LIMITS)


def test_a_flac_that_claims_more_than_fits_anywhere_is_heard_as_far_as_it_goes():
    data = by_libsndfile(warble(16_000), 16_000, "FLAC", "PCM_16")
    recording = decode(flac_that_says(data, 2**36 - 1), LIMITS)
    assert (recording.duration_s, recording.truncated) == (2.0, True)


def test_the_limit_itself_is_allowed():
    samples = np.zeros((1, 120 * 4000), dtype=np.float32)
    assert decode(by_libsndfile(samples, 4000, "WAV", "PCM_16"), LIMITS).duration_s == 120.0
    with pytest.raises(AudioTooLong):
        decode(by_libsndfile(np.zeros((1, 120 * 4000 + 1), dtype=np.float32), 4000, "WAV", "PCM_16"), LIMITS)


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_too_many_channels(container, subtype, channels):
    with pytest.raises(TooManyChannels, match=f"channels={channels}"):
        decode(by_libsndfile(np.zeros((channels, 16_000), dtype=np.float32), 16_000, container, subtype), LIMITS)


def test_too_many_channels_by_ffmpeg():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("pcm_s16le", rate=16_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * 16_000), dtype=np.int16), format="s16", layout="7.1")
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
    with pytest.raises(TooManyChannels, match="channels=8"):
        decode(buffer.getvalue(), LIMITS)


@pytest.mark.parametrize("rate", [1000, 3999, 192_001, 384_000])
def test_sample_rates_beyond_the_limits(rate):
    with pytest.raises(UnsupportedSampleRate, match=f"rate={rate}"):
        decode(by_libsndfile(np.zeros((1, rate), dtype=np.float32), rate, "WAV", "PCM_16"), LIMITS)


@pytest.mark.parametrize("rate", [4000, 192_000])
def test_sample_rates_at_the_limits(rate):
    assert decode(by_libsndfile(np.zeros((1, rate), dtype=np.float32), rate, "WAV", "PCM_16"), LIMITS).duration_s == 1.0


def test_a_wav_without_a_sample_rate():
    data = by_libsndfile(warble(16_000), 16_000, "WAV", "PCM_16")
    with pytest.raises((UnsupportedSampleRate, UndecodableAudio)):
        decode(data[:24] + struct.pack("<I", 0) + data[28:], LIMITS)


def test_every_leaf_says_what_to_do_in_one_sentence():
    assert {item.__name__ for item in AudioError.__subclasses__()} == {
        "EmptyAudio",
        "UnsupportedMedia",
        "UndecodableAudio",
        "AudioTooLong",
        "TooManyChannels",
        "UnsupportedSampleRate",
    }
