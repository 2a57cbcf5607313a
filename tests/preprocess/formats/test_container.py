"""Which container it is, and whether the file breaks off: told of the files that do, and of no others."""

import struct

import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.errors import EmptyAudio, UnsupportedMedia
from preprocess.formats.completeness import is_complete
from preprocess.formats.container import sniff
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, likeness, warble

LIVE = "frag_every_frame+empty_moov"

# name of the container, the file, share of the audio that must be left of 60 % of the file. Whole pages of a second are
# lost with the page that is cut (OGG), whole FLAC frames of 4,096 samples too.
CUT = {
    "ogg-opus": ("ogg", lambda: by_libsndfile(warble(48_000, 5.0), 48_000, "OGG", "OPUS"), 0.35),
    "ogg-vorbis": ("ogg", lambda: by_libsndfile(warble(44_100, 5.0), 44_100, "OGG", "VORBIS"), 0.3),
    "wav": ("wav", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "WAV", "PCM_16"), 0.59),
    "wav-stereo": ("wav", lambda: by_libsndfile(warble(16_000, 5.0, 2), 16_000, "WAV", "PCM_16"), 0.59),
    "wav-ulaw": ("wav", lambda: by_libsndfile(warble(8000, 5.0), 8000, "WAV", "ULAW"), 0.59),
    "wav-gsm": ("wav", lambda: by_libsndfile(warble(8000, 5.0), 8000, "WAV", "GSM610"), 0.55),
    "wav-adpcm": ("wav", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "WAV", "IMA_ADPCM"), 0.55),
    "rf64": ("wav", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "RF64", "PCM_16"), 0.59),
    "rf64-ffmpeg": ("wav", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "wav", "pcm_s16le", rf64="always"), 0.59),
    "w64": ("w64", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "W64", "PCM_16"), 0.59),
    "aiff": ("aiff", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "AIFF", "PCM_16"), 0.59),
    "au": ("au", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "AU", "PCM_16"), 0.59),
    "caf": ("caf", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "CAF", "PCM_16"), 0.55),
    "caf-alac": ("caf", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "CAF", "ALAC_16"), 0.5),
    "flac": ("flac", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "FLAC", "PCM_16"), 0.5),
    "flac-ffmpeg": ("flac", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "flac", "flac"), 0.45),
    "mp3": ("mp3", lambda: by_libsndfile(warble(16_000, 5.0), 16_000, "MP3", "MPEG_LAYER_III"), 0.55),
    "mp3-stereo": ("mp3", lambda: by_libsndfile(warble(44_100, 5.0, 2), 44_100, "MP3", "MPEG_LAYER_III"), 0.5),
    "mp3-ffmpeg": ("mp3", lambda: by_ffmpeg(warble(44_100, 5.0), 44_100, "mp3", "libmp3lame", 64_000), 0.55),
    "webm": ("webm", lambda: by_ffmpeg(warble(48_000, 5.0), 48_000, "webm", "libopus", 32_000), 0.55),
    "webm-live": ("webm", lambda: by_ffmpeg(warble(48_000, 5.0), 48_000, "webm", "libopus", 32_000, live="1"), 0.55),
    "m4a": ("mp4", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "mp4", "aac", movflags="faststart"), 0.5),
    "mp4-live": ("mp4", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "mp4", "aac", movflags=LIVE), 0.5),
    "adts": ("adts", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "adts", "aac"), 0.55),
    "amr": ("amr", lambda: by_ffmpeg(warble(8000, 5.0), 8000, "amr", "libopencore_amrnb", 12_200), 0.59),
    "asf": ("asf", lambda: by_ffmpeg(warble(16_000, 5.0), 16_000, "asf", "wmav2", 64_000), 0.4),
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_at_60_percent(name):
    container, make, least = CUT[name]
    data = make()
    whole, cut = decode(data, LIMITS), decode(data[: int(len(data) * 0.6)], LIMITS)
    found = sniff(data)
    assert found is not None
    assert found.name == container
    assert not whole.truncated
    assert cut.truncated
    assert least * whole.duration_s <= cut.duration_s <= 0.7 * whole.duration_s
    # What is left is the beginning, as the whole file has it; decoders end a stream a little differently, so the last
    # tenth of a second is left out. 0.98: the lag may be a codec's delay that the missing end no longer tells.
    kept = cut.samples[0, : -cut.sample_rate_hz // 10]
    beginning = whole.samples[0, : len(kept)]
    assert likeness(beginning, whole.sample_rate_hz, kept, cut.sample_rate_hz)[0] >= 0.98


@pytest.mark.parametrize(
    "name", ["wav", "aiff", "au", "caf", "w64", "rf64", "flac", "ogg-opus", "webm", "webm-live", "amr"]
)
def test_one_byte_is_missed(name):
    assert decode(CUT[name][1]()[:-1], LIMITS).truncated


def test_an_mp4_without_its_index_is_undecodable_not_truncated():
    """Phones write `moov` last: without it nobody knows where a frame begins. Nothing to diagnose is left."""
    data = by_ffmpeg(warble(16_000, 5.0), 16_000, "ipod", "aac")
    with pytest.raises(ValueError, match="broken"):
        decode(data[: int(len(data) * 0.6)], LIMITS)


@pytest.mark.parametrize("mode", range(8))
def test_amr_frames_of_every_speech_mode_and_of_none(mode):
    """RFC 4867: frames of the eight modes, silence descriptors (8) and NO_DATA (15), each as long as its type says."""
    sizes = (12, 13, 15, 17, 19, 20, 26, 31)
    rng = np.random.default_rng(mode)
    frames = [bytes([mode << 3 | 4]) + rng.bytes(sizes[mode]) for _ in range(20)]
    data = b"#!AMR\n" + b"".join(frames) + bytes([8 << 3 | 4]) + bytes(5) + bytes([15 << 3 | 4]) * 4
    recording = decode(data, LIMITS)
    assert (recording.codec, recording.sample_rate_hz, recording.truncated) == ("amrnb", 8000, False)
    assert recording.samples.shape == (1, 25 * 160)
    assert decode(data[:-8], LIMITS).truncated


def test_amr_wideband():
    """23.85 kbit/s is mode 8 with 60 bytes; there is no encoder for it here, so the frames are made of random bits."""
    rng = np.random.default_rng(0)
    data = b"#!AMR-WB\n" + b"".join(bytes([8 << 3 | 4]) + rng.bytes(60) for _ in range(50))
    recording = decode(data, LIMITS)
    assert (recording.codec, recording.sample_rate_hz, recording.truncated) == ("amrwb", 16_000, False)
    assert recording.duration_s == pytest.approx(1.0, abs=1e-9)
    assert decode(data[:-1], LIMITS).truncated


def test_an_ogg_whose_last_page_is_gone():
    """Cut exactly between pages, only the missing end-of-stream flag tells."""
    data = by_libsndfile(warble(48_000, 5.0), 48_000, "OGG", "OPUS")
    recording = decode(data[: data.rindex(b"OggS")], LIMITS)
    assert recording.truncated
    assert recording.duration_s >= 3.5


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_length_that_means_unknown_tells_nothing(size):
    wav = by_libsndfile(warble(16_000), 16_000, "WAV", "PCM_16")
    container = sniff(wav)
    assert is_complete(wav[:40] + struct.pack("<I", size) + wav[44:-1000], container)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xf1\x50\x80", "adts"),
        (b"\xff\xf9\x50\x80", "adts"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x40\xc4", "mp3"),
        (b"\xff\xfd\x90\x64", "mp3"),
        (b"\xff\xe3\x40\xc4", "mp3"),
        (b"ID3\4\0\0\0\0\0\1\0\xff\xf1\x50\x80", "adts"),
        (b"#!AMR-WB\n", "amr"),
        (b"RIFX\0\0\0\0WAVE", "wav"),
    ],
)
def test_signatures(head, name):
    found = sniff(head + bytes(100))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfe\x48\x00",  # UTF-16
        b"\xff\xd8\xff\xe0",  # JPEG
        b"\xff\xff\xff\xff",  # erased flash
        b"\xff\xfb\xf0\x64",  # a reserved bit rate
        b"\xff\xfb\x9c\x64",  # a reserved sampling rate
        b"\xff\xeb\x90\x64",  # a reserved version
        b"\xff\xf9",  # no whole word
        b"",
    ],
)
def test_what_only_looks_like_a_frame_of_mpeg_audio(head):
    with pytest.raises(UnsupportedMedia if head else EmptyAudio):
        sniff(head + bytes(100) if len(head) == 4 else head)


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("keep", [1, 12, 20, 40])
def test_the_shortest_beginnings_are_survived(name, keep):
    """is_complete reads what any truncation leaves."""
    container, make, _ = CUT[name]
    found = sniff(make()[:64])
    assert found is not None
    assert found.name == container
    assert isinstance(is_complete(make()[:keep], found), bool)
