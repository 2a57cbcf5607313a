"""Neighbours of the files in test_heard_whole.py: the same kinds from other programs."""

from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.errors import AudioError, UnsupportedMedia
from preprocess.formats.caf import caf_facts
from preprocess.formats.ogg import links
from tests.preprocess.amr_wb import amr_wb
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile
from tests.preprocess.test_heard_whole import NO_XING, bursts, caf_chunk, check_onsets

ID3 = b"ID3\x04\0\0" + bytes([0, 0, 7, 104]) + bytes(1000)
ID3V1 = b"TAG" + b"x" * 125


def pcm(kind: str, seconds: float = 10.0, subtype: str = "PCM_16") -> bytes:
    at = (1.0, 7.0) if seconds > 7 else (1.0,)
    return by_libsndfile(bursts(16_000, *at, seconds=seconds), 16_000, kind, subtype)


def amr_nb() -> bytes:
    return by_ffmpeg(bursts(8_000, 1.0, 7.0), 8_000, "amr", "libopencore_amrnb", 12_200)


# --- lost packets -------------------------------------------------------------------------------------------------


def test_frames_lost_in_a_row_are_one_loss():
    """Each is short and lies between others that are silent, but together they are no pause."""
    data = bytearray(by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mp3", "libmp3lame", 32_000, **NO_XING))
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\x55" * 4000
    recording = decode(bytes(data), LIMITS)
    assert recording.lost_s == pytest.approx(1.0, abs=0.1)
    assert len(recording.gaps) == 1
    check_onsets(recording, 1.0, 7.0, late_s=0.15)


@pytest.mark.parametrize("wide", [False, True])
def test_amr_frames_of_a_reserved_type(wide):
    """OpenCORE takes them for shorter or longer ones, and what follows would be noise or missing."""
    data = amr_wb(bursts(16_000, 1.0, 7.0)[0], 16_000) if wide else amr_nb()
    head, size = (9, 1 + (17, 23, 32, 36, 40, 46, 50, 58, 60)[data[9] >> 3 & 15]) if wide else (6, 32)
    at = head + 250 * size
    for kind in range(10, 14) if wide else range(9, 15):
        frame = bytes([kind << 3 | 4]) + bytes(0 if wide else (6, 5, 5, 0, 0, 0)[kind - 9])
        recording = decode(data[:at] + frame + data[at:], LIMITS)
        assert recording.duration_s == pytest.approx(10.02, abs=0.02)
        assert recording.truncated
        check_onsets(recording, 1.0, 7.02, late_s=0.05)


@pytest.mark.parametrize("signature", [b"#!AMR_MC1.0\n", b"#!AMR-WB_MC1.0\n"])
def test_amr_of_several_channels_is_valid_and_not_decodable_here(signature):
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(signature + b"\0\0\0\2" + amr_nb()[6:], LIMITS)


def test_a_packet_without_a_duration_that_cannot_be_decoded_leaves_no_gap():
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "asf", "wmav2", 64_000)
    for size in range(33_000, 34_000, 50):
        assert all(gap.start < gap.end for gap in decode(data[:size], LIMITS).gaps)


# --- tags ---------------------------------------------------------------------------------------------------------

FILES = {
    "amr": amr_nb,
    "wav": lambda: pcm("WAV"),
    "au": lambda: pcm("AU"),
    "w64": lambda: pcm("W64"),
    "caf": lambda: pcm("CAF"),
    "m4a": lambda: by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "ipod", "aac", 32_000),
    "webm": lambda: by_ffmpeg(bursts(48_000, 1.0, 7.0), 48_000, "webm", "libopus", 24_000),
}


@pytest.mark.parametrize("kind", FILES)
def test_tags_in_front_and_behind_are_no_sound(kind):
    data = FILES[kind]()
    plain = decode(data, LIMITS)
    for tagged in (ID3 + data, data + ID3V1, ID3 + data + ID3V1):
        recording = decode(tagged, LIMITS)
        np.testing.assert_array_equal(recording.samples, plain.samples)
        assert not recording.truncated


# --- WAV, AIFF, AU, W64, CAF --------------------------------------------------------------------------------------


def with_fact(data: bytes, count: int | None) -> bytes:
    at = data.index(b"fact")
    if count is None:
        return data[:at] + b"junk" + data[at + 4 :]
    return data[: at + 8] + struct.pack("<I", count) + data[at + 12 :]


@pytest.mark.parametrize("count", [1, 159_000, 159_999, 200_000])
def test_a_fact_chunk_cuts_no_codec_without_blocks(count):
    data = pcm("WAV", subtype="FLOAT")
    assert decode(with_fact(data, count), LIMITS).duration_s == 10.0


@pytest.mark.parametrize("count", [None, 0, 1, 100_000_000])
@pytest.mark.parametrize("blocks", [250, 251])
def test_gsm_with_a_wrong_fact_ends_with_its_last_block(blocks, count):
    data = by_libsndfile(bursts(8_000, 1.0, 7.0, seconds=blocks * 320 / 8000), 8_000, "WAV", "GSM610")
    recording = decode(with_fact(data, count), LIMITS)
    assert recording.samples.shape == (1, blocks * 320)


def test_a_chunk_behind_an_odd_number_of_bytes_that_is_not_padded():
    sound = by_libsndfile(bursts(8_000, 1.0)[:, :79_999], 8_000, "WAV", "ULAW")
    at = sound.index(b"data")
    start, (size,) = at + 8, struct.unpack_from("<I", sound, at + 4)
    assert size == 79_999
    remark = b"LIST" + struct.pack("<I", 204) + b"INFO" + b"y" * 200
    for padding in (b"", b"\0"):
        recording = decode(sound[: start + size] + padding + remark, LIMITS)
        assert (recording.samples.shape[1], recording.truncated) == (79_999, False)


def test_a_second_chunk_of_sound_is_truncated():
    data = pcm("WAV")
    assert decode(data + data[data.index(b"data") :], LIMITS).truncated


def test_an_aiff_that_sox_wrote_to_a_pipe():
    data = pcm("AIFF")
    at = data.index(b"SSND") + 4
    recording = decode(data[:at] + struct.pack(">I", 0x7F000008) + data[at + 4 :], LIMITS)
    assert (recording.duration_s, recording.truncated) == (10.0, False)


def test_joined_au():
    data = pcm("AU", 3.0) + by_libsndfile(bursts(8_000, 2.0, channels=2), 8_000, "AU", "ULAW")
    recording = decode(data, LIMITS)
    assert (recording.parts, recording.truncated, len(recording.samples)) == (2, False, 2)
    assert recording.duration_s == pytest.approx(13.0, abs=1e-3)
    check_onsets(recording, 1.0, 5.0)
    assert decode(data[:-1000], LIMITS).truncated


@pytest.mark.parametrize("kind", ["W64", "CAF", "asf"])
def test_other_joined_files_are_truncated(kind):
    short = bursts(44_100, 1.0, seconds=3.0)
    data = by_ffmpeg(short, 44_100, "asf", "wmav2", 64_000) if kind == "asf" else pcm(kind, 3.0)
    recording = decode(data + data, LIMITS)
    assert recording.truncated
    assert recording.duration_s == pytest.approx(3.0, abs=0.1)
    assert not decode(data, LIMITS).truncated


def test_a_w64_from_a_pipe():
    """FFmpeg leaves the largest numbers where the sizes belong."""
    data = pcm("W64")
    at = data.index(b"data\xf3\xac") + 16
    recording = decode(data[:16] + b"\xff" * 8 + data[24:at] + b"\xff" * 7 + b"\x7f" + data[at + 8 :], LIMITS)
    assert recording.duration_s == pytest.approx(10.0, abs=1e-3)
    check_onsets(recording, 1.0, 7.0)


@pytest.mark.parametrize("valid", [0, 1, 80_000, 10_000_000])
def test_a_caf_whose_number_of_frames_is_wrong(valid):
    mp2 = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mp2", "mp2", 64_000)
    size = 288
    count = len(mp2) // size
    data = (
        b"caff\0\1\0\0"
        + caf_chunk(b"desc", struct.pack(">d4sIIIII", 16_000, b".mp2", 0, size, 1152, 1, 0))
        + caf_chunk(b"pakt", struct.pack(">qqii", count, valid, 0, 0))
        + caf_chunk(b"data", b"\0\0\0\1" + mp2)
    )
    recording = decode(data, LIMITS)
    assert recording.duration_s == pytest.approx(count * 0.072, abs=0.1)


@pytest.mark.parametrize("rate_hz", [math.nan, math.inf, -math.inf, 0.0, -1.0, 0.5, 5e-324, 1e308])
def test_a_caf_whose_rate_is_none(rate_hz):
    """Whatever FFmpeg makes of it, nothing is counted by such a rate. `make fuzz` met one."""
    mp2 = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mp2", "mp2", 64_000)
    data = (
        b"caff\0\1\0\0"
        + caf_chunk(b"desc", struct.pack(">d4sIIIII", rate_hz, b".mp2", 0, 288, 1152, 1, 0))
        + caf_chunk(b"pakt", struct.pack(">qqii", len(mp2) // 288, 0, 1, 0))
        + caf_chunk(b"data", b"\0\0\0\1" + mp2)
    )
    with contextlib.suppress(AudioError):
        assert decode(data, LIMITS).samples.shape[1] > 0
    facts = caf_facts(data)
    assert facts is None or facts.rate_hz == 1e308


# --- others -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_s", [0.7, 200.0])
def test_ogg_flac_that_was_joined_late(late_s):
    data = by_ffmpeg(bursts(44_100, 1.0, 7.0), 44_100, "ogg", "flac")
    (link,) = links(data)
    late = link.file(data, -round(late_s * 44_100))
    assert late != data
    assert link.file(data, 0) == data
    recording = decode(late, LIMITS)
    assert (recording.gaps, recording.truncated) == ((), False)
    check_onsets(recording, 1.0, 7.0)


LYRICS = b"LYRICSBEGININD00002102LYR00050" + b"l" * 50 + b"000080LYRICS200"


@pytest.mark.parametrize("rest", [b"\n", b"3DI\4\0\x10" + bytes(4), LYRICS + ID3V1])
def test_remarks_behind_an_mp3(rest):
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mp3", "libmp3lame", 32_000)
    assert not decode(data + rest, LIMITS).truncated
    assert decode(data[:-30], LIMITS).truncated


def test_mp3_of_free_format_is_valid_and_not_decodable_here():
    data = by_ffmpeg(bursts(16_000, 1.0), 16_000, "mp3", "libmp3lame", 32_000, **NO_XING)
    frame = data[:2] + bytes([data[2] & 0x0F]) + data[3:200]
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(frame * 20, LIMITS)


def test_an_object_type_that_ffmpeg_does_not_implement():
    """AAC Scalable (ISO 14496-3, object type 6)."""
    data = by_ffmpeg(bursts(16_000, 1.0), 16_000, "mp4", "aac", 32_000)
    at = data.index(b"\x05\x80\x80\x80", data.index(b"esds"))
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(data[: at + 5] + bytes([6 << 3 | data[at + 5] & 7]) + data[at + 6 :], LIMITS)


@pytest.mark.parametrize("kind", [b"udta", b"prfl", b"PICT", b"junk", b"styp"])
def test_quicktime_that_begins_with_another_box(kind):
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mov", "aac", 32_000)
    assert data[4:8] == b"ftyp"
    check_onsets(decode(data[:4] + kind + data[8:], LIMITS), 1.0, 7.0, late_s=0.1)
