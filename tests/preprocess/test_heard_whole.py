"""A file is heard whole and at its own times, whatever its headers say (docs/decisions/0020-heard-whole.md)."""

from __future__ import annotations

import io
import itertools
import re
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.decode import Recording, decode
from preprocess.decoders.ffmpeg import codec_name
from preprocess.errors import AudioTooLong, UndecodableAudio, UnsupportedMedia
from preprocess.formats import frames
from preprocess.formats.ogg import links
from preprocess.level import levels
from preprocess.quality import measure_quality
from preprocess.segment import segment
from tests.preprocess.amr_wb import amr_wb
from tests.preprocess.ogg_pages import BEGINS, TAGS, head, page
from tests.preprocess.recordings import (
    LIMITS,
    SEGMENTATION,
    Samples,
    by_ffmpeg,
    by_libsndfile,
    flac_that_says,
    noise,
    warble,
)

NO_XING = {"write_xing": "0", "id3v2_version": "0"}


def bursts(rate_hz: int, *at_s: float, seconds: float = 10.0, channels: int = 1) -> Samples:
    """Noise of 0.3 s at these times in a quiet room, (channels, n): their places show whether times are right."""
    samples = noise(seconds, rate_hz, 2e-4)
    for number, start_s in enumerate(at_s):
        start = round(start_s * rate_hz)
        samples[start : start + round(0.3 * rate_hz)] += noise(0.3, rate_hz, 0.2, seed=number + 1)
    return np.tile(samples, (channels, 1))


def onsets(recording: Recording) -> list[float]:
    """The times at which the sound begins after at least 0.1 s of quiet, in s."""
    rate = recording.sample_rate_hz
    loud = np.flatnonzero(np.abs(recording.samples[0]) > 0.06)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-rate) > 0.1 * rate)]
    return [round(float(start / rate), 2) for start in starts]


def check_onsets(recording: Recording, *expected: float, late_s: float = 0.03) -> None:
    found = onsets(recording)
    assert len(found) == len(expected), found
    for at, wanted in zip(found, expected, strict=True):
        assert -0.02 <= at - wanted <= late_s, (found, expected)


# --- joined files -------------------------------------------------------------------------------------------------

JOINED = {
    "opus-16k": lambda x: by_ffmpeg(x, 16_000, "ogg", "libopus", 16_000),
    "opus-48k": lambda x: by_ffmpeg(x, 48_000, "ogg", "libopus", 24_000),
    "vorbis": lambda x: by_libsndfile(x, 16_000, "OGG", "VORBIS"),
    "ogg-flac": lambda x: by_ffmpeg(x, 16_000, "ogg", "flac"),
    "mp3": lambda x: by_ffmpeg(x, 16_000, "mp3", "libmp3lame", 32_000),
    "mp3-no-xing": lambda x: by_ffmpeg(x, 16_000, "mp3", "libmp3lame", 32_000, **NO_XING),
    "mp2": lambda x: by_ffmpeg(x, 16_000, "mp2", "mp2", 64_000),
    "flac": lambda x: by_libsndfile(x, 16_000, "FLAC", "PCM_16"),
    "adts": lambda x: by_ffmpeg(x, 16_000, "adts", "aac", 32_000),
    "amr": lambda x: by_ffmpeg(x, 8_000, "amr", "libopencore_amrnb", 12_200),
    "awb": lambda x: amr_wb(x[0], 16_000),
    "webm": lambda x: by_ffmpeg(x, 48_000, "webm", "libopus", 24_000),
}
RATES = {"opus-48k": 48_000, "webm": 48_000, "amr": 8_000}


@pytest.mark.parametrize("kind", JOINED)
def test_joined_files_are_heard_one_after_the_other(kind):
    rate = RATES.get(kind, 16_000)
    first, second = bursts(rate, 1.0, seconds=3.0), bursts(rate, 2.0, 5.0)
    one, two = JOINED[kind](first), JOINED[kind](second)
    alone = decode(one, LIMITS)
    recording = decode(one + two, LIMITS)
    assert not recording.truncated
    assert recording.parts == (1 if kind in ("mp3-no-xing", "mp2", "adts") else 2)  # no header tells these apart
    assert alone.parts == 1
    assert recording.duration_s == pytest.approx(13.0, abs=0.2)  # up to three frames of padding each
    shift = alone.duration_s
    check_onsets(recording, 1.0, shift + 2.0, shift + 5.0, late_s=0.2)


@pytest.mark.parametrize("kind", ["opus-16k", "flac", "mp3", "webm"])
def test_three_parts_and_the_limit_counts_them_all(kind):
    rate = RATES.get(kind, 16_000)
    part = JOINED[kind](np.zeros((1, 50 * rate), dtype=np.float32))
    assert decode(part + part, LIMITS).duration_s == pytest.approx(100.0, abs=0.2)
    with pytest.raises(AudioTooLong):
        decode(part * 3, LIMITS)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16")])
def test_joined_files_of_one_chunk_are_truncated(container, subtype):
    """FFmpeg reads the first part, too; a word is what is due."""
    data = by_libsndfile(bursts(16_000, 1.0, seconds=3.0), 16_000, container, subtype)
    recording = decode(data + data, LIMITS)
    assert (recording.duration_s, recording.truncated) == (3.0, True)
    assert not decode(data, LIMITS).truncated


def test_joined_m4a_is_truncated():
    data = by_ffmpeg(bursts(16_000, 1.0, seconds=3.0), 16_000, "ipod", "aac", 32_000)
    recording = decode(data + data, LIMITS)
    assert recording.truncated
    assert recording.duration_s == pytest.approx(3.0, abs=0.2)
    assert not decode(data, LIMITS).truncated


# --- wrong lengths ------------------------------------------------------------------------------------------------


def with_xing_frames(data: bytes, count: int) -> bytes:
    tag = data.index(b"Xing") if b"Xing" in data else data.index(b"Info")
    return data[: tag + 8] + struct.pack(">I", count) + data[tag + 12 :]


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_whose_xing_count_is_too_small(rate, channels):
    data = by_ffmpeg(bursts(rate, 1.0, 8.0, channels=channels), rate, "mp3", "libmp3lame", 64_000)
    recording = decode(with_xing_frames(data, 60), LIMITS)
    assert recording.duration_s == pytest.approx(10.0, abs=0.1)
    check_onsets(recording, 1.0, 8.0)


def test_an_mp3_whose_xing_count_is_too_large_is_truncated():
    data = by_ffmpeg(bursts(16_000, 1.0), 16_000, "mp3", "libmp3lame", 64_000)
    assert not decode(data, LIMITS).truncated
    assert decode(with_xing_frames(data, 5000), LIMITS).truncated
    assert decode(data[: len(data) // 2], LIMITS).truncated


@pytest.mark.parametrize("container", ["mp3", "wav"])
@pytest.mark.parametrize("loud_first", [True, False])
def test_vbr_mp3_without_a_xing_header(container, loud_first):
    """What lame, ffmpeg and SoX write to a pipe: libsndfile guesses the length from the first frames."""
    loud, quiet = noise(5.0, 16_000, 0.2), bursts(16_000, 1.0, 8.0, seconds=20.0)[0]
    samples = np.concatenate([loud, quiet] if loud_first else [np.zeros(16_000 * 3, np.float32), *[loud] * 8, quiet])
    data = vbr(samples, 16_000, container)
    recording = decode(data, LIMITS)
    assert recording.duration_s == pytest.approx(len(samples) / 16_000, abs=0.2)
    assert (recording.codec, recording.truncated) == ("mp3", False)
    assert onsets(recording)[-1] == pytest.approx(len(samples) / 16_000 - 12.0, abs=0.1)


def vbr(samples: NDArray[np.float32], rate_hz: int, container: str) -> bytes:
    buffer = io.BytesIO()
    options = NO_XING if container == "mp3" else {}
    with av.open(buffer, "w", format=container, options=options) as file:
        stream = file.add_stream(
            "libmp3lame", rate=rate_hz, layout="mono", options={"flags": "+qscale", "global_quality": str(118 * 9)}
        )
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("total", [40_000, 1])
def test_a_flac_whose_total_is_too_small(total):
    data = by_libsndfile(bursts(16_000, 1.0, 8.0), 16_000, "FLAC", "PCM_16")
    recording = decode(flac_that_says(data, total), LIMITS)
    assert (recording.duration_s, recording.truncated) == (10.0, False)
    check_onsets(recording, 1.0, 8.0)


@pytest.mark.parametrize("size", [32_000, 0, 1])
def test_an_au_whose_size_is_too_small(size):
    data = by_libsndfile(bursts(16_000, 1.0, 8.0), 16_000, "AU", "PCM_16")
    recording = decode(data[:8] + struct.pack(">I", size) + data[12:], LIMITS)
    assert (recording.duration_s, recording.truncated) == (10.0, False)


def test_a_wav_whose_size_is_too_small_is_truncated():
    data = by_libsndfile(bursts(16_000, 1.0, 8.0), 16_000, "WAV", "PCM_16")
    recording = decode(data[:40] + struct.pack("<I", 32_000) + data[44:], LIMITS)
    assert (recording.duration_s, recording.truncated) == (1.0, True)


@pytest.mark.parametrize("kib", [64, 128])
@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]
)
def test_an_id3_tag_in_front_of_another_format(container, subtype, kib):
    data = by_libsndfile(bursts(16_000, 1.0, 8.0), 16_000, container, subtype)
    size = (kib << 10) - 10
    tag = b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    recording = decode(tag + data, LIMITS)
    assert (recording.duration_s, recording.truncated) == (10.0, False)
    np.testing.assert_array_equal(recording.samples, decode(data, LIMITS).samples)


@pytest.mark.parametrize("kind", ["adts", "amr", "awb"])
def test_thirty_seconds_that_start_quietly(kind):
    """FFmpeg extrapolates the length of these streams from their first frames."""
    rate = 8_000 if kind == "amr" else 16_000
    samples = bursts(rate, 5.0, 20.0, seconds=30.0)
    samples[:, : 2 * rate] = 0.0
    if kind == "adts":
        data = by_ffmpeg(samples, rate, "adts", "aac", 64_000)
    else:
        data = amr_wb(samples[0], rate, dtx=True) if kind == "awb" else amr_nb_dtx(samples)
    recording = decode(data, LIMITS)
    assert recording.duration_s == pytest.approx(30.0, abs=0.2)
    assert not recording.truncated
    check_onsets(recording, 5.0, 20.0, late_s=0.2)


def amr_nb_dtx(samples: Samples) -> bytes:
    """samples: float32 [shape=(1, n)] at 8 kHz"""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="amr") as file:
        stream = file.add_stream("libopencore_amrnb", rate=8_000, layout="mono", options={"dtx": "1"})
        stream.bit_rate = 12_200
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8_000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


# --- times --------------------------------------------------------------------------------------------------------


def remuxed(data: bytes, container: str, *, without_s: tuple[float, float] = (0.0, 0.0), later_s: float = 0.0) -> bytes:
    """The same packets in a container, without those of a stretch of time, all of them later."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is None or without_s[0] <= float(packet.pts * packet.time_base) < without_s[1]:
                continue
            packet.pts += round(later_s / packet.time_base)
            packet.dts = packet.pts
            packet.stream = stream
            target.mux(packet)
    return buffer.getvalue()


GAPS = {
    "webm": ("webm", "libopus", 48_000), "mka": ("matroska", "libopus", 48_000), "mp4": ("mp4", "libopus", 48_000),
    "ogg": ("ogg", "libopus", 48_000), "m4a": ("ipod", "aac", 16_000), "mka-aac": ("matroska", "aac", 44_100),
    "3gp": ("3gp", "libopencore_amrnb", 8_000), "wma": ("asf", "wmav2", 44_100), "mka-mp3": ("matroska", "mp3", 16_000),
}  # fmt: skip


@pytest.mark.parametrize("kind", GAPS)
def test_a_gap_in_the_time_stamps_is_silence_and_a_loss(kind):
    container, encoder, rate = GAPS[kind]
    data = by_ffmpeg(bursts(rate, 1.0, 4.0, 7.0), rate, container, encoder, 12_200 if kind == "3gp" else 32_000)
    whole = decode(data, LIMITS)
    assert whole.gaps == ()
    assert whole.lost_s == whole.pauses_s == 0.0
    recording = decode(remuxed(data, container, without_s=(3.2, 5.2)), LIMITS)
    assert recording.duration_s == pytest.approx(whole.duration_s, abs=0.15)
    assert recording.lost_s == pytest.approx(2.0, abs=0.15)
    found, before = onsets(recording), onsets(whole)
    assert found == pytest.approx([before[0], before[2]], abs=0.03)
    rate = recording.sample_rate_hz
    (gap,) = recording.gaps
    assert not recording.samples[:, gap.start : gap.end].any()
    quality = measured(recording)
    assert quality.dropout_fraction == pytest.approx(0.2, abs=0.02)


def measured(recording: Recording):
    rate = recording.sample_rate_hz
    samples = recording.samples[0]
    course = levels(samples, rate, SEGMENTATION)
    found = segment(course.level, len(samples), rate, SEGMENTATION)
    return measure_quality(samples, rate, course, rate, found, SEGMENTATION, recording.gaps)


@pytest.mark.parametrize("container", ["webm", "matroska", "mp4"])
def test_packets_that_dtx_does_not_send_are_pauses(container):
    """As libopus does with DTX: in silence one packet of 20 is sent. (The libopus of PyAV 18.1 has no such option.)"""
    full = by_ffmpeg(bursts(48_000, 1.0, 4.0, 7.0), 48_000, "webm", "libopus", 16_000)
    sent, dropped = io.BytesIO(), 0
    with av.open(io.BytesIO(full)) as source, av.open(sent, "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for number, packet in enumerate(source.demux(audio=0)):
            if packet.pts is None:
                continue
            time_s = float(packet.pts * packet.time_base)
            since_s = min((time_s - at for at in (0.0, 1.0, 4.0, 7.0) if time_s >= at - 0.05), default=0.0)
            if since_s > 0.6 and number % 20:
                dropped += 1
                continue
            packet.stream = stream
            target.mux(packet)
    assert dropped > 100
    recording = decode(sent.getvalue(), LIMITS)
    assert recording.lost_s == 0.0
    assert recording.pauses_s == pytest.approx(dropped * 0.02, rel=0.1)
    assert recording.duration_s == pytest.approx(10.0, abs=0.5)
    check_onsets(recording, 1.0, 4.0, 7.0, late_s=0.06)
    assert not recording.truncated
    assert measured(recording).dropout_fraction == 0.0


def test_silence_that_is_filled_in_counts_and_is_refused_before_memory_is_taken():
    data = by_ffmpeg(bursts(48_000, 1.0), 48_000, "webm", "libopus", 32_000)
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None:
                packet.pts += 3_600_000 * (packet.pts > 5_000)  # ms: an hour later
                packet.dts, packet.stream = packet.pts, stream
                target.mux(packet)
    with little_memory(), pytest.raises(AudioTooLong):
        decode(buffer.getvalue(), LIMITS)


@contextmanager
def little_memory() -> Iterator[None]:
    """At most what the limit of 120 s needs twice; an hour of silence would be 690 MB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("container", ["ogg", "webm", "mp4"])
def test_a_recording_that_was_joined_late(container):
    """Its times begin at 200 s: that is no gap and no length."""
    data = by_ffmpeg(bursts(48_000, 1.0, 7.0), 48_000, container, "libopus", 32_000)
    recording = decode(remuxed(data, container, later_s=200.0), LIMITS)
    assert recording.duration_s == pytest.approx(10.0, abs=0.1)
    assert recording.gaps == ()
    check_onsets(recording, 1.0, 7.0)


def with_edits(data: bytes, entries: list[tuple[int, int]]) -> bytes:
    """Replace the edit list of an MP4 file. entries: duration in ms, start in the track (-1: a pause)"""
    changed = bytearray(data)
    at = changed.index(b"elst") - 4
    old = struct.unpack_from(">I", changed, at)[0]
    new = b"elst" + struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">Iihh", *e, 1, 0) for e in entries)
    new = struct.pack(">I", len(new) + 4) + new
    for name in (b"moov", b"trak", b"edts"):
        box = changed.index(name) - 4
        struct.pack_into(">I", changed, box, struct.unpack_from(">I", changed, box)[0] + len(new) - old)
    changed[at : at + old] = new
    return bytes(changed)


def test_an_m4a_with_a_pause_in_the_middle():
    data = by_ffmpeg(bursts(44_100, 1.0, 4.0, 7.0), 44_100, "mp4", "aac", 64_000)
    recording = decode(with_edits(data, [(3000, 1024), (2000, -1), (7000, 1024 + 3 * 44_100)]), LIMITS)
    assert recording.duration_s == pytest.approx(12.0, abs=0.05)
    check_onsets(recording, 1.0, 6.0, 9.0)
    assert (recording.lost_s, recording.pauses_s) == (0.0, pytest.approx(2.0, abs=1e-3))
    assert measured(recording).dropout_fraction == 0.0


def test_an_edit_list_that_leaves_out_the_middle():
    data = by_ffmpeg(bursts(44_100, 1.0, 4.0, 7.0), 44_100, "mp4", "aac", 64_000)
    recording = decode(with_edits(data, [(3000, 1024), (4000, 1024 + 6 * 44_100)]), LIMITS)
    assert recording.duration_s == pytest.approx(7.0, abs=0.05)
    check_onsets(recording, 1.0, 4.0)


def test_an_edit_without_a_length_plays_the_rest():
    data = by_ffmpeg(bursts(44_100, 1.0, 4.0, 7.0), 44_100, "mp4", "aac", 64_000)
    recording = decode(with_edits(data, [(0, 1024)]), LIMITS)
    assert recording.duration_s == pytest.approx(10.0, abs=0.05)
    check_onsets(recording, 1.0, 4.0, 7.0)


def test_a_page_that_is_missing_by_its_number_is_lost_though_all_is_quiet_there():
    """Else it could be the silence that a sender with DTX leaves out."""
    data = by_ffmpeg(bursts(48_000, 1.0, 7.0), 48_000, "ogg", "libopus", 16_000, page_duration="200000")
    (link,) = links(data)
    at = next(n for n, one in enumerate(link.pages) if one.granule > 4 * 48_000)
    lost = link.pages[at]
    recording = decode(data[: lost.begin] + data[lost.end :], LIMITS)
    assert recording.lost_s == pytest.approx(0.2, abs=0.05)
    assert recording.pauses_s == 0.0
    check_onsets(recording, 1.0, 7.0)


def test_an_edit_list_that_repeats_is_refused_before_memory_is_taken():
    data = by_ffmpeg(bursts(44_100, 1.0), 44_100, "mp4", "aac", 64_000)
    with little_memory(), pytest.raises(AudioTooLong):
        decode(with_edits(data, [(10_000, 1024)] * 900), LIMITS)
    with little_memory(), pytest.raises(AudioTooLong):
        decode(with_edits(data, [(1000, 1024), (2**32 - 1, -1), (1000, 1024)]), LIMITS)


# --- tracks -------------------------------------------------------------------------------------------------------


def in_tracks(container: str, encoder: str, rate: int, *tracks: Samples) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        streams = [file.add_stream(encoder, rate=rate, layout="mono") for _ in tracks]
        for stream in streams:
            stream.bit_rate = 64_000
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            wanted = stream.codec_context.codec.audio_formats[0].name
            for converted in av.AudioResampler(format=wanted, layout="mono", rate=rate).resample(frame):
                file.mux(stream.encode(converted))
            file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "encoder"), [("mp4", "aac"), ("matroska", "libopus"), ("webm", "libopus"), ("asf", "wmav2")]
)
@pytest.mark.parametrize("sounding", [0, 1])
def test_the_track_that_has_sound_is_heard(container, encoder, sounding):
    tracks = [np.zeros((1, 480_000), dtype=np.float32)] * 2
    tracks[sounding] = bursts(48_000, 1.0, 7.0)
    recording = decode(in_tracks(container, encoder, 48_000, *tracks), LIMITS)
    assert (recording.track, recording.tracks) == (sounding, 2)
    assert onsets(recording) == pytest.approx([1.0, 7.0], abs=0.1)


def test_all_tracks_silent():
    silence = np.zeros((1, 480_000), dtype=np.float32)
    recording = decode(in_tracks("mp4", "aac", 48_000, silence, silence), LIMITS)
    assert (recording.track, recording.tracks) == (0, 2)


def test_a_first_track_that_nobody_can_decode():
    data = in_tracks("matroska", "libopus", 48_000, *[bursts(48_000, 1.0, 7.0)] * 2)
    assert data.count(b"A_OPUS") == 2
    recording = decode(data.replace(b"A_OPUS", b"A_ZZZZ", 1), LIMITS)
    assert (recording.track, recording.tracks) == (1, 2)
    check_onsets(recording, 1.0, 7.0)


def test_a_track_without_a_sample_beside_others():
    """`make fuzz` met one: the loudest of no samples is not a number."""
    flac = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "ogg", "flac")
    second, third = (at.start() for at in itertools.islice(re.finditer(b"OggS", flac), 1, 3))
    opus_head, opus_tags = page([head()], 0, 77, 0, BEGINS), page([TAGS], 0, 77, 1)
    recording = decode(opus_head + flac[:second] + opus_tags + flac[second:], LIMITS)
    assert (recording.track, recording.tracks) == (1, 2)
    check_onsets(recording, 1.0, 7.0)
    with pytest.raises(UndecodableAudio):
        decode(opus_head + flac[:second] + opus_tags + flac[second:third], LIMITS)


# --- containers and codecs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [70, 71])
def test_gsm_in_wav_ends_where_the_header_says(blocks):
    samples = bursts(8_000, 1.0, seconds=blocks * 320 / 8000)
    recording = decode(by_libsndfile(samples, 8_000, "WAV", "GSM610"), LIMITS)
    assert recording.samples.shape == (1, blocks * 320)
    assert not recording.truncated


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_opus_in_caf(rate, channels):
    """As iMessage sends it; the packet table says what the encoder added."""
    webm = by_ffmpeg(bursts(48_000, 1.0, 7.0, channels=channels), 48_000, "webm", "libopus", 32_000)
    with av.open(io.BytesIO(webm)) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    per_packet = rate // 50
    priming = 312 * rate // 48_000
    valid = len(packets) * per_packet - priming - 84
    table = b"".join(as_base_128(len(packet)) for packet in packets)
    data = (
        b"caff\0\1\0\0"
        + caf_chunk(b"desc", struct.pack(">d4sIIIII", rate, b"opus", 0, 0, per_packet, channels, 0))
        + caf_chunk(b"pakt", struct.pack(">qqii", len(packets), valid, priming, 84) + table)
        + caf_chunk(b"data", b"\0\0\0\1" + b"".join(packets))
    )
    recording = decode(data, LIMITS)
    whole = decode(webm, LIMITS)
    assert len(recording.samples) == channels
    assert recording.duration_s == pytest.approx(valid / rate, abs=1e-4)
    shared = min(recording.samples.shape[1], whole.samples.shape[1]) - 960
    np.testing.assert_allclose(recording.samples[:, :shared], whole.samples[:, :shared], atol=1e-6)


def caf_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">q", len(body)) + body


def as_base_128(number: int) -> bytes:
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


@pytest.mark.parametrize("front", [b"\0" * 5000, b"\0" * 100_000])
@pytest.mark.parametrize(("container", "encoder"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_zeros_in_front_of_a_stream(container, encoder, front):
    options = NO_XING if container == "mp3" else {}
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, container, encoder, 32_000, **options)
    recording = decode(front + data, LIMITS)
    np.testing.assert_array_equal(recording.samples, decode(data, LIMITS).samples)
    assert not recording.truncated


@pytest.mark.parametrize("cut", [1, 50, 333])
@pytest.mark.parametrize(("container", "encoder"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_a_stream_that_starts_inside_a_frame(container, encoder, cut):
    options = NO_XING if container == "mp3" else {}
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, container, encoder, 64_000, **options)
    recording = decode(data[cut:], LIMITS)
    assert recording.codec == ("mp3" if container == "mp3" else "aac")
    assert recording.duration_s == pytest.approx(10.0, abs=0.25)
    check_onsets(recording, 1.0, 7.0, late_s=0.1)


def test_quicktime_without_ftyp():
    data = by_ffmpeg(bursts(16_000, 1.0, 7.0), 16_000, "mov", "aac", 32_000)
    size = struct.unpack(">I", data[:4])[0]
    assert data[4:8] == b"ftyp"
    free = struct.pack(">I", size) + b"free" + data[8:size]  # nothing moves, or the index would point elsewhere
    for kind in (b"free", b"wide", b"skip"):
        recording = decode(free.replace(b"free", kind, 1) + data[size:], LIMITS)
        check_onsets(recording, 1.0, 7.0, late_s=0.1)
        assert not recording.truncated


@pytest.mark.parametrize("kind", ["RF64", "WAV"])
def test_bw64(kind):
    """ITU-R BS.2088 renames RF64; small files may have no ds64."""
    data = by_libsndfile(bursts(16_000, 1.0, 7.0), 16_000, kind, "PCM_16")
    recording = decode(b"BW64" + data[4:], LIMITS)
    assert (recording.duration_s, recording.codec, recording.truncated) == (10.0, "pcm_16", False)


def test_a_wav_of_a_codec_that_nobody_decodes_here():
    """0x65 is in the list of codecs, and no library here decodes it: that is not a broken file."""
    data = by_libsndfile(bursts(16_000, 1.0), 16_000, "WAV", "PCM_16")
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(data[:20] + struct.pack("<H", 0x65) + data[22:], LIMITS)


def test_aac_eld_is_valid_and_not_decodable_here():
    data = by_ffmpeg(bursts(16_000, 1.0), 16_000, "mp4", "aac", 32_000)
    at = data.index(b"\x05\x80\x80\x80", data.index(b"esds"))  # DecoderSpecificInfo of two to five bytes
    size = data[at + 4]
    # ISO 14496-3: object type 39 (escape 31, then 7), 16 kHz, one channel, ELDSpecificConfig with SBR.
    bits = f"{31:05b}{7:06b}{8:04b}{1:04b}" + "0" + "000" + "1" + "00"
    config = int(bits.ljust(8 * size, "0")[: 8 * size], 2).to_bytes(size, "big")
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(data[: at + 5] + config + data[at + 5 + size :], LIMITS)


@pytest.mark.parametrize("in_3gp", [False, True])
@pytest.mark.parametrize("mode", [0, 2, 8])
def test_amr_wb_with_dtx(mode, in_3gp):
    """FFmpeg's own decoder refuses the silence descriptors; OpenCORE's, in the same wheel, knows them."""
    data = amr_wb(bursts(16_000, 1.0, 4.0, 7.0)[0], 16_000, mode, dtx=True)
    if in_3gp:
        data = remuxed(data, "3gp")
    recording = decode(data, LIMITS)
    assert (recording.codec, recording.exact, recording.truncated) == ("amrwb", True, False)
    assert recording.duration_s == pytest.approx(10.0, abs=0.05)
    check_onsets(recording, 1.0, 4.0, 7.0, late_s=0.05)
    plain = decode(amr_wb(bursts(16_000, 1.0, 4.0, 7.0)[0], 16_000, mode), LIMITS)
    assert plain.duration_s == pytest.approx(10.0, abs=0.05)


def test_a_stream_of_another_serial_that_begins_inside_a_note():
    note = by_ffmpeg(bursts(48_000, 1.0, 7.0), 48_000, "ogg", "libopus", 32_000)
    cut = note.rindex(b"OggS", 0, len(note) // 2)
    other = page([head()], 0, serial=77, flags=BEGINS) + page([TAGS], 0, serial=77, sequence=1)
    for rest in (b"", other[:20], note[cut:]):
        recording = decode(note[:cut] + other + rest, LIMITS)
        assert recording.truncated
        assert onsets(recording)[0] == pytest.approx(1.0, abs=0.03)
    with pytest.raises(UndecodableAudio):
        decode(other, LIMITS)


@pytest.mark.parametrize(
    ("name", "by_sndfile", "by_pyav"),
    [
        ("mp3", ("MP3", "MPEG_LAYER_III"), [("wav", "libmp3lame"), ("matroska", "libmp3lame"), ("mp4", "libmp3lame")]),
        ("ulaw", ("WAV", "ULAW"), [("mov", "pcm_mulaw")]),
        ("alaw", ("AU", "ALAW"), [("mov", "pcm_alaw")]),
        ("pcm_16", ("WAV", "PCM_16"), [("matroska", "pcm_s16le"), ("mov", "pcm_s16be")]),
        ("pcm_24", ("AIFF", "PCM_24"), [("matroska", "pcm_s24le")]),
        ("float", ("WAV", "FLOAT"), [("matroska", "pcm_f32le")]),
        ("flac", ("FLAC", "PCM_16"), [("ogg", "flac"), ("matroska", "flac")]),
        ("alac", ("CAF", "ALAC_16"), [("mov", "alac")]),
        ("vorbis", ("OGG", "VORBIS"), []),
        ("opus", ("OGG", "OPUS"), [("ogg", "libopus"), ("webm", "libopus"), ("mp4", "libopus")]),
    ],
)
def test_one_codec_has_one_name(name, by_sndfile, by_pyav):
    samples = warble(48_000)
    files = [by_libsndfile(samples, 48_000, *by_sndfile), *(by_ffmpeg(samples, 48_000, *how) for how in by_pyav)]
    assert {decode(data, LIMITS).codec for data in files} == {name}


@pytest.mark.parametrize(
    ("decoder", "name"),
    [
        ("adpcm_ms", "ms_adpcm"), ("adpcm_ima_wav", "ima_adpcm"), ("adpcm_ima_qt", "ima_adpcm"), ("gsm_ms", "gsm610"),
        ("gsm", "gsm610"), ("pcm_s32be", "pcm_32"), ("pcm_u8", "pcm_u8"), ("pcm_f64le", "double"), ("aac", "aac"),
        ("libopencore_amrwb", "amrwb"), ("mp2float", "mp2"), ("libopus", "opus"),
    ],
)  # fmt: skip
def test_names_of_decoders(decoder, name):
    assert codec_name(decoder) == name


def test_frames_are_found_without_decoding():
    data = by_ffmpeg(bursts(44_100, 1.0), 44_100, "mp3", "libmp3lame", 64_000)
    (run,) = frames.mpeg_runs(data)
    assert len(run.spans) * run.first.samples - run.delay - run.padding == 441_000
