"""Every format that phones, browsers and programs send comes back as the sound that went in."""

import io
import math
import struct

import av
import numpy as np
import pytest
import soundfile

from preprocess.decode import decode
from preprocess.formats.frames import adts_runs
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, flac_that_says, likeness, warble

# container, subtype, rate in Hz, codec, s too long at most, least correlation, channels.
# Transparent codecs keep 0.999 at these rates; GSM 6.10 at 13 kbit/s keeps 0.976, and ADPCM is rounded up to its
# blocks.
LIBSNDFILE = [
    ("OGG", "OPUS", 48_000, "opus", 0.0, 0.999, (1, 2)),
    ("OGG", "OPUS", 16_000, "opus", 0.0, 0.999, (1, 2)),
    ("OGG", "VORBIS", 44_100, "vorbis", 0.0, 0.999, (1, 2)),
    ("WAV", "PCM_U8", 16_000, "pcm_u8", 0.0, 0.999, (1, 2)),
    ("WAV", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("WAV", "PCM_24", 44_100, "pcm_24", 0.0, 0.999, (1, 2)),
    ("WAV", "PCM_32", 16_000, "pcm_32", 0.0, 0.999, (1, 2)),
    ("WAV", "FLOAT", 16_000, "float", 0.0, 0.999, (1, 2)),
    ("WAV", "DOUBLE", 16_000, "double", 0.0, 0.999, (1, 2)),
    ("WAV", "ULAW", 8_000, "ulaw", 0.0, 0.999, (1, 2)),
    ("WAV", "ALAW", 8_000, "alaw", 0.0, 0.999, (1, 2)),
    ("WAV", "GSM610", 8_000, "gsm610", 0.08, 0.95, (1,)),
    ("WAV", "IMA_ADPCM", 16_000, "ima_adpcm", 0.064, 0.999, (1, 2)),
    ("WAV", "MS_ADPCM", 16_000, "ms_adpcm", 0.064, 0.995, (1, 2)),
    ("WAVEX", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("RF64", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("W64", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("AIFF", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("AIFF", "FLOAT", 16_000, "float", 0.0, 0.999, (1, 2)),
    ("CAF", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("CAF", "ALAC_16", 16_000, "alac", 0.0, 0.999, (1, 2)),
    ("AU", "PCM_16", 16_000, "pcm_16", 0.0, 0.999, (1, 2)),
    ("AU", "ULAW", 8_000, "ulaw", 0.0, 0.999, (1, 2)),
    ("FLAC", "PCM_16", 16_000, "flac", 0.0, 0.999, (1, 2)),
    ("FLAC", "PCM_24", 96_000, "flac", 0.0, 0.999, (1, 2)),
    ("MP3", "MPEG_LAYER_III", 16_000, "mp3", 0.0, 0.999, (1, 2)),
    ("MP3", "MPEG_LAYER_III", 44_100, "mp3", 0.0, 0.999, (1, 2)),
]

# container, codec, bit rate of one channel, rate in Hz, our name of the codec, s too long at most, least correlation,
# channels, options. AAC and MP3 without a gapless header keep up to 3 frames of padding; AMR at 12.2 kbit/s keeps 0.96.
AAC_44, AAC_16, MP3_16 = 3 * 1024 / 44_100, 3 * 1024 / 16_000, 3 * 576 / 16_000
FFMPEG = [
    ("webm", "libopus", 32_000, 48_000, "opus", 0.001, 0.995, (1, 2), {}),
    ("webm", "libopus", 32_000, 48_000, "opus", 0.001, 0.995, (1,), {"live": "1"}),
    ("ogg", "libopus", 32_000, 48_000, "opus", 0.001, 0.99, (1, 2), {}),
    ("ogg", "libopus", 32_000, 16_000, "opus", 0.001, 0.99, (1, 2), {}),
    ("ogg", "flac", None, 16_000, "flac", 0.0, 0.999, (1, 2), {}),
    ("mp4", "libopus", 32_000, 48_000, "opus", 0.02, 0.995, (1, 2), {}),
    ("ipod", "aac", 64_000, 44_100, "aac", AAC_44, 0.98, (1, 2), {}),
    ("mp4", "aac", 64_000, 44_100, "aac", AAC_44, 0.98, (1, 2), {"movflags": "frag_keyframe+empty_moov"}),
    ("mp4", "aac", 64_000, 16_000, "aac", AAC_16, 0.98, (1, 2), {"movflags": "frag_every_frame+empty_moov"}),
    ("mp4", "aac", 64_000, 16_000, "aac", AAC_16, 0.98, (1, 2), {"movflags": "faststart"}),
    ("adts", "aac", 64_000, 44_100, "aac", AAC_44, 0.98, (1, 2), {}),
    ("3gp", "libopencore_amrnb", 12_200, 8_000, "amrnb", 0.02, 0.95, (1,), {}),
    ("amr", "libopencore_amrnb", 12_200, 8_000, "amrnb", 0.02, 0.95, (1,), {}),
    ("mp3", "libmp3lame", 64_000, 44_100, "mp3", 0.0, 0.995, (1, 2), {}),
    ("mp3", "libmp3lame", 64_000, 16_000, "mp3", MP3_16, 0.99, (1, 2), {"write_xing": "0", "id3v2_version": "0"}),
    ("wav", "pcm_s16le", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {}),
    ("wav", "pcm_s16le", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {"rf64": "always"}),
    ("wav", "pcm_mulaw", None, 8_000, "ulaw", 0.0, 0.999, (1, 2), {}),
    ("wav", "libmp3lame", 64_000, 44_100, "mp3", 0.04, 0.99, (1, 2), {}),
    ("flac", "flac", None, 16_000, "flac", 0.0, 0.999, (1, 2), {}),
    ("aiff", "pcm_s16be", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {}),
    ("w64", "pcm_s16le", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {}),
    ("caf", "pcm_s16le", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {}),
    ("au", "pcm_s16be", None, 16_000, "pcm_16", 0.0, 0.999, (1, 2), {}),
    ("mov", "alac", None, 16_000, "alac", 0.0, 0.999, (1, 2), {}),
    ("asf", "wmav2", 96_000, 44_100, "wmav2", 0.0, 0.97, (1, 2), {}),
]


def check(data, sent, rate, codec, longer_s, correlation):
    recording = decode(data, LIMITS)
    assert recording.codec == codec
    assert recording.source_rate_hz == rate
    # The model listens at 8 kHz: of Ogg Opus no more than 16 kHz is decoded.
    assert recording.sample_rate_hz == (16_000 if data[:4] == b"OggS" and codec == "opus" else rate)
    assert recording.samples.dtype == np.float32
    assert len(recording.samples) == len(sent)
    assert not recording.truncated
    # Never a frame of 20 ms too short; WMA loses its last half block.
    shorter_s = 0.02 if codec == "wmav2" else 1e-3
    duration_s = sent.shape[1] / rate
    assert duration_s - shorter_s <= recording.duration_s <= duration_s + longer_s + 1e-9
    for ours, theirs in zip(sent, recording.samples, strict=True):
        found, lag_ms = likeness(ours, rate, theirs, recording.sample_rate_hz)
        assert found >= correlation
        assert abs(lag_ms) <= 75.0  # AAC and MP3 encoders delay by up to 1,160 samples, 73 ms at 16 kHz


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "codec", "longer_s", "correlation", "channels"),
    [(*case[:-1], n) for case in LIBSNDFILE for n in case[-1]],
)
def test_written_by_libsndfile(container, subtype, rate, codec, longer_s, correlation, channels):
    sent = warble(rate, channels=channels)
    check(by_libsndfile(sent, rate, container, subtype), sent, rate, codec, longer_s, correlation)


@pytest.mark.parametrize(
    ("container", "encoder", "bit_rate", "rate", "codec", "longer_s", "correlation", "options", "channels"),
    [(*case[:-2], case[-1], n) for case in FFMPEG for n in case[-2]],
)
def test_written_by_ffmpeg(container, encoder, bit_rate, rate, codec, longer_s, correlation, options, channels):
    sent = warble(rate, channels=channels)
    data = by_ffmpeg(sent, rate, container, encoder, bit_rate and bit_rate * channels, **options)
    check(data, sent, rate, codec, longer_s, correlation)


@pytest.mark.parametrize("rate", [0, 8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_voice_note_lasts_as_long_as_it_sounds_whatever_rate_its_header_names(rate):
    """RFC 7845: the rate in the header is only what the encoder was given, timing runs at 48 kHz."""
    data = bytearray(by_libsndfile(warble(48_000, seconds=3.0), 48_000, "OGG", "OPUS"))
    head = data.index(b"OpusHead")
    data[head + 12 : head + 16] = struct.pack("<I", rate)
    seal_first_ogg_page(data)
    recording = decode(bytes(data), LIMITS)
    assert recording.duration_s == pytest.approx(3.0, abs=1e-3)
    assert not recording.truncated
    sent = warble(48_000, seconds=3.0)
    assert likeness(sent[0], 48_000, recording.samples[0], recording.sample_rate_hz)[0] >= 0.99


def seal_first_ogg_page(data: bytearray) -> None:
    """Writes the checksum anew (RFC 3533, section 6: CRC-32 of the page, polynomial 04C11DB7, not reflected)."""
    end = 27 + data[26] + sum(data[27 : 27 + data[26]])
    data[22:26] = bytes(4)
    checksum = 0
    for byte in data[:end]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    data[22:26] = struct.pack("<I", checksum)


def test_pcm_survives_exactly():
    """16-bit PCM is decoded to multiples of 1/32768, exactly."""
    sent = np.random.default_rng(1).integers(-32768, 32768, 5000).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, sent, 16_000, format="WAV", subtype="PCM_16")
    np.testing.assert_array_equal(decode(buffer.getvalue(), LIMITS).samples[0] * 32768, sent)


@pytest.mark.parametrize(
    ("container", "subtype", "codec"), [("MP3", "MPEG_LAYER_III", "mp3"), (None, None, "aac")], ids=["mp3", "adts"]
)
def test_an_id3_tag_in_front_hides_nothing(container, subtype, codec):
    sent = warble(16_000)
    data = by_libsndfile(sent, 16_000, container, subtype) if container else by_ffmpeg(sent, 16_000, "adts", "aac")
    tag = b"ID3\x04\0\0" + bytes([0, 0, 16, 0]) + bytes(16 << 7)
    recording, plain = decode(tag + data, LIMITS), decode(data, LIMITS)
    assert (recording.codec, recording.truncated) == (codec, False)
    np.testing.assert_array_equal(recording.samples, plain.samples)


def test_chunks_before_the_audio_are_skipped():
    """LIST in front of `data`, of an odd length, as RIFF pads it."""
    data = by_libsndfile(warble(16_000), 16_000, "WAV", "PCM_16")
    text = b"INFOINAM\x05\0\0\0cough"
    chunk = b"LIST" + struct.pack("<I", len(text)) + text + b"\0"
    longer = data[:36] + chunk + data[36:]
    longer = longer[:4] + struct.pack("<I", len(longer) - 8) + longer[8:]
    recording = decode(longer, LIMITS)
    assert not recording.truncated
    np.testing.assert_array_equal(recording.samples, decode(data, LIMITS).samples)


@pytest.mark.parametrize("extra", [1, 99])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "CAF", "OGG", "MP3"])
def test_bytes_after_the_end_change_nothing(container, extra):
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(container, "PCM_16")
    data = by_libsndfile(warble(16_000), 16_000, container, subtype)
    recording = decode(data + bytes(extra), LIMITS)
    assert not recording.truncated
    assert recording.samples.shape == (1, 32_000)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_wav_from_a_pipe_has_no_length_and_is_whole(size):
    """What ffmpeg, SoX and arecord leave in a header that they can't go back to."""
    data = by_libsndfile(warble(16_000), 16_000, "WAV", "PCM_16")
    piped = data[:4] + struct.pack("<I", size) + data[8:40] + struct.pack("<I", size) + data[44:]
    recording = decode(piped, LIMITS)
    assert not recording.truncated
    np.testing.assert_array_equal(recording.samples, decode(data, LIMITS).samples)


@pytest.mark.parametrize(("frames", "truncated"), [(0, False), (32_001, True), (119 * 16_000, True)])
def test_flac_with_another_length_in_its_header(frames, truncated):
    """0 is what a pipe leaves there; more than the file holds means that the rest was lost."""
    data = by_libsndfile(warble(16_000), 16_000, "FLAC", "PCM_16")
    recording = decode(flac_that_says(data, frames), LIMITS)
    assert recording.truncated is truncated
    np.testing.assert_array_equal(recording.samples, decode(data, LIMITS).samples)


def test_one_frame_of_another_layout_is_damage():
    """A damaged ADTS header may claim a second channel for one frame; AAC frames hold 1024 samples."""
    mono = by_ffmpeg(warble(16_000), 16_000, "adts", "aac")
    stereo = by_ffmpeg(warble(16_000, channels=2), 16_000, "adts", "aac")
    frame = adts_runs(stereo)[0].spans[9]
    whole, recording = decode(mono + mono, LIMITS), decode(mono + stereo[slice(*frame)] + mono, LIMITS)
    assert not whole.truncated
    assert recording.truncated
    assert (len(recording.samples), recording.parts) == (1, 1)
    assert recording.samples.shape[1] == pytest.approx(whole.samples.shape[1], abs=3 * 1024)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 2), (44_100, 1), (8_000, 2)])
@pytest.mark.parametrize(("container", "encoder"), [("adts", "aac"), ("mp3", "libmp3lame")])
def test_joined_streams_of_another_kind_are_heard(container, encoder, rate, channels):
    mono = by_ffmpeg(warble(16_000), 16_000, container, encoder)
    other = by_ffmpeg(warble(rate, seconds=1.0, channels=channels), rate, container, encoder)
    whole, recording = decode(mono + mono, LIMITS), decode(mono + other + mono, LIMITS)
    assert not recording.truncated
    assert recording.parts == 3
    assert recording.duration_s == pytest.approx(whole.duration_s + 1.0, abs=0.4)
    assert len(recording.samples) == channels
    assert recording.sample_rate_hz == max(16_000, rate)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("container", "encoder"),
    [
        ("mov", "pcm_u8"), ("mov", "pcm_s16be"), ("matroska", "pcm_s24le"), ("mov", "pcm_s32be"), ("mov", "pcm_f64be"),
        ("matroska", "pcm_f32le"), ("mov", "alac"), ("ogg", "flac"),
    ],
)  # fmt: skip
def test_samples_of_every_format_are_those_of_ffmpegs_own_conversion(container, encoder, channels):
    """Integers of all widths, floats, planar and interleaved."""
    data = by_ffmpeg(warble(16_000, channels=channels), 16_000, container, encoder)
    with av.open(io.BytesIO(data)) as file:
        resampler = av.AudioResampler(format="fltp", layout=file.streams.audio[0].layout, rate=16_000)
        parts = [part.to_ndarray() for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    np.testing.assert_array_equal(decode(data, LIMITS).samples, np.concatenate(parts, axis=1))


def test_a_damaged_packet_becomes_silence_in_its_place():
    """300 bytes in the middle of the audio: what follows stays where it was, to the sample."""
    data = by_ffmpeg(warble(16_000), 16_000, "mp4", "aac", movflags="faststart")
    middle = (data.index(b"mdat") + len(data)) // 2
    whole, recording = decode(data, LIMITS), decode(data[:middle] + b"\xff" * 300 + data[middle + 300 :], LIMITS)
    assert not whole.truncated
    assert recording.truncated
    assert recording.samples.shape == whole.samples.shape
    np.testing.assert_allclose(recording.samples[0, -8000:], whole.samples[0, -8000:], atol=1e-3)


@pytest.mark.parametrize("peak", [2.5, 1e30])
def test_float_files_above_full_scale_are_scaled_down_to_it(peak):
    sent = warble(16_000)
    loud = (sent / np.abs(sent).max() * np.float32(peak)).astype(np.float32)
    recording = decode(by_libsndfile(loud, 16_000, "WAV", "FLOAT"), LIMITS)
    assert float(np.abs(recording.samples).max()) == 1.0
    assert likeness(sent[0], 16_000, recording.samples[0], 16_000)[0] == pytest.approx(1.0, abs=1e-5)


def test_values_below_float32s_normal_range_are_kept_finite():
    tiny = np.full((1, 4000), 1e-40, dtype=np.float32)
    recording = decode(by_libsndfile(tiny, 16_000, "WAV", "FLOAT"), LIMITS)
    assert float(np.abs(recording.samples).max()) <= 1e-39


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("AIFF", "PCM_16"), ("CAF", "PCM_16")],
)
def test_a_few_samples_are_a_recording(container, subtype, count):
    rate = 48_000 if subtype == "OPUS" else 16_000
    recording = decode(by_libsndfile(np.full((1, count), 0.1, dtype=np.float32), rate, container, subtype), LIMITS)
    assert recording.samples.shape == (1, math.ceil(count * recording.sample_rate_hz / rate))
    assert not recording.truncated


def test_dc_stays_dc():
    recording = decode(by_libsndfile(np.full((1, 8000), 0.25, dtype=np.float32), 8000, "WAV", "PCM_16"), LIMITS)
    np.testing.assert_array_equal(recording.samples, np.float32(0.25))
