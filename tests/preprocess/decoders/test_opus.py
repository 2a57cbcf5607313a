"""Ogg Opus by libopus itself, against libsndfile (libopus at 16 kHz) and PyAV (libopus at 48 kHz)."""

import ctypes
import io
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
import soxr

from preprocess.decode import decode
from preprocess.decoders import opus
from preprocess.decoders.opus import decode_opus, parse_head
from preprocess.decoders.pieces import Piece
from preprocess.errors import AudioError, AudioTooLong, TooManyChannels, UndecodableAudio, UnsupportedMedia
from preprocess.formats.ogg import OggLink, links
from tests.preprocess.ogg_pages import head as made_head
from tests.preprocess.ogg_pages import opus_file, page
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, likeness, noise, warble

PER_20_MS, CLOCK_20_MS = 320, 960
SILENCE_20_MS = b"\x48"  # SILK, wideband, 20 ms, one frame of no bytes: DTX


def lost_samples(piece: Piece) -> int:
    return sum(gap.end - gap.start for gap in piece.gaps if gap.lost)


def paused_samples(piece: Piece) -> int:
    return sum(gap.end - gap.start for gap in piece.gaps if not gap.lost)


def stream(data: bytes) -> OggLink:
    (link,) = links(data)
    return link


def packets_of(data: bytes) -> list[bytes]:
    link = stream(data)
    return [link.packet(number) for number in range(2, len(link.starts))]


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    """100 packets of 20 ms; no DTX."""
    found = packets_of(by_ffmpeg(warble(16_000), 16_000, "ogg", "libopus", 24_000))[:100]
    assert min(map(len, found)) > 2
    return found


def paged(packets: list[bytes], start: int = 0, on_page: int = 10) -> list[tuple[list[bytes], int]]:
    """Pages of ten packets of 20 ms each, with granules from `start` on."""
    return [
        (packets[first : first + on_page], start + CLOCK_20_MS * min(first + on_page, len(packets)))
        for first in range(0, len(packets), on_page)
    ]


def whole(packets: list[bytes]) -> np.ndarray:
    audio = decode_opus(stream(opus_file(paged(packets))), LIMITS)
    assert audio.samples.shape == (1, PER_20_MS * len(packets))
    assert (lost_samples(audio), paused_samples(audio), audio.missing) == (0, 0, False)
    return audio.samples


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000])
def test_same_samples_as_libsndfile(rate_hz, channels):
    """Which decodes at the rate that the header names, with an older libopus (1.4): 130 dB below the signal."""
    data = by_libsndfile(warble(rate_hz, channels=channels), rate_hz, "OGG", "OPUS")
    found = decode_opus(stream(data), LIMITS)
    wanted, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert found.samples.shape == (channels, 32_000)
    if rate == 16_000:
        np.testing.assert_allclose(found.samples.T, wanted, atol=2e-6)
    else:  # filters differ: it decodes at 8 or 12 kHz
        for ours, theirs in zip(found.samples, wanted.T, strict=True):
            alike, lag_ms = likeness(ours, 16_000, theirs, rate)
            assert alike > 0.99
            assert abs(lag_ms) <= 0.125
    assert not found.missing


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bit_rate", [12_000, 24_000, 64_000])  # SILK; SILK and hybrid; CELT
@pytest.mark.parametrize("frame_ms", ["2.5", "5", "10", "20", "40", "60", "120"])
def test_same_times_as_pyav(frame_ms, bit_rate, channels):
    """All durations, so packets of several frames as well. libopus' resamplers are a sample of 16 kHz late at most."""
    data = encoded(warble(48_000, channels=channels), bit_rate, frame_ms)
    with av.open(io.BytesIO(data)) as file:
        joined = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    by_pyav = joined.reshape(-1, channels).T if len(joined) == 1 else joined
    found = decode_opus(stream(data), LIMITS)
    assert (lost_samples(found), paused_samples(found), found.missing) == (0, 0, False)
    assert found.samples.shape == (channels, 32_000)
    for ours, theirs in zip(soxr.resample(found.samples.T, 16_000, 48_000).T, by_pyav, strict=True):
        shifted = [theirs[10 + lag : 95_990 + lag] for lag in range(-6, 7)]
        alike = [float(np.corrcoef(ours[10:-10], there)[0, 1]) for there in shifted]
        assert abs(int(np.argmax(alike)) - 6) <= 3
        assert max(alike) > 0.99


def encoded(samples: np.ndarray, bit_rate: int, frame_ms: str) -> bytes:
    buffer = io.BytesIO()
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(buffer, "w", format="ogg") as file:
        output = file.add_stream(
            "libopus", rate=48_000, layout=layout, options={"frame_duration": frame_ms, "application": "voip"}
        )
        output.bit_rate, output.codec_context.format = bit_rate, "flt"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = 48_000, 0
        for packet in (*output.encode(frame), *output.encode(None)):
            file.mux(packet)
    return buffer.getvalue()


def test_durations_are_libopus_own():
    """Every first byte, and for packets of several frames every second byte."""
    link = OggLink(0)
    every = [bytes([first, second, 0]) for first in range(256) for second in (range(256) if first & 3 == 3 else (0,))]
    link.body = b"".join(every)
    link.starts, link.sizes = list(range(0, len(link.body), 3)), [3] * len(every)
    count = opus._LIBOPUS.opus_packet_get_nb_samples
    wanted = [max(count(ctypes.c_char_p(packet), 3, 16_000), 0) for packet in every]
    assert opus._packet_durations(link, 0) == wanted
    assert sorted({n for n in wanted if n})[:3] == [40, 80, 120]
    assert max(wanted) == 1920


def test_pre_skip_and_end_are_cut_off(packets):
    everything = whole(packets)
    data = opus_file([*paged(packets[:90]), (packets[90:], CLOCK_20_MS * 100 - 300)], made_head(pre_skip=312))
    found = decode_opus(stream(data), LIMITS)
    np.testing.assert_array_equal(found.samples, everything[:, 104:-100])
    assert not found.missing
    wanted, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(found.samples[0], wanted, atol=2e-6)


def test_a_single_page_says_how_long_a_note_is(packets):
    data = opus_file([(packets[:10], 3000)], made_head(pre_skip=312))
    found = decode_opus(stream(data), LIMITS)
    np.testing.assert_array_equal(found.samples, whole(packets)[:, 104:1000])


def test_an_end_without_packets_cuts_the_page_before_it(packets):
    data = opus_file([*paged(packets), ([], CLOCK_20_MS * 100 - 300)])
    np.testing.assert_array_equal(decode_opus(stream(data), LIMITS).samples, whole(packets)[:, :-100])


def test_a_wrong_end_discards_one_page_at_most(packets):
    data = opus_file([*paged(packets[:90]), (packets[90:], 1)])
    np.testing.assert_array_equal(decode_opus(stream(data), LIMITS).samples, whole(packets)[:, : 90 * PER_20_MS])


def test_without_an_end_nothing_is_cut_off_but_it_is_missing(packets):
    data = opus_file([*paged(packets[:90]), (packets[90:], CLOCK_20_MS * 100 - 300)], ended=False)
    found = decode_opus(stream(data), LIMITS)
    np.testing.assert_array_equal(found.samples, whole(packets))
    assert found.missing


@pytest.mark.parametrize("start_s", [0.0065, 1, 200, 10**9])
def test_granules_may_begin_late(packets, start_s):
    """A stream that was tapped: the time before it is no part of it. Programs that set no timestamp begin at the
    pre-skip; there libsndfile (1.2.2) keeps the pre-skip, and what it returns is 6.5 ms late.
    """
    data = opus_file(paged(packets, start=round(start_s * 48_000)), made_head(pre_skip=312))
    found = decode_opus(stream(data), LIMITS)
    np.testing.assert_array_equal(found.samples, whole(packets)[:, 104:])
    assert (lost_samples(found), paused_samples(found), found.missing) == (0, 0, False)


@pytest.mark.parametrize("gain", [-3000, -256, 1, 1541])
def test_output_gain(packets, gain):
    data = opus_file(paged(packets), made_head(gain=gain))
    found = decode_opus(stream(data), LIMITS).samples
    np.testing.assert_allclose(found, whole(packets) * 10 ** (gain / 256 / 20), rtol=1e-6)
    wanted, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(found[0], wanted, atol=2e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_are_the_heads(packets, channels):
    """Mono packets in a stereo stream, and the reverse, are libopus' affair."""
    both = packets_of(by_ffmpeg(warble(16_000, channels=2), 16_000, "ogg", "libopus", 48_000))[:100]
    data = opus_file(
        paged([a if n % 2 else b for n, (a, b) in enumerate(zip(packets, both, strict=True))]), made_head(channels)
    )
    found = decode_opus(stream(data), LIMITS)
    assert found.samples.shape == (channels, 32_000)
    wanted, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    # Where SILK and CELT alternate, libopus 1.4 (in libsndfile) and 1.6.1 cross-fade a little differently: by 2.4e-4.
    np.testing.assert_allclose(found.samples.T, wanted, atol=1e-3)


def self_delimited(packet: bytes) -> bytes:
    """A packet of one frame with its length in it (RFC 6716, appendix B)."""
    assert packet[0] & 3 == 0
    size = len(packet) - 1
    assert size < 252
    return packet[:1] + bytes([size]) + packet[1:]


@pytest.mark.parametrize("family", [1, 255])
def test_two_streams_are_two_channels(packets, family):
    other = packets_of(by_ffmpeg(warble(16_000, channels=2)[1:], 16_000, "ogg", "libopus", 24_000))[:100]
    joined = [self_delimited(a) + b for a, b in zip(packets, other, strict=True)]
    data = opus_file(paged(joined), made_head(2, family=family, table=bytes([2, 0, 0, 1])))
    found = decode_opus(stream(data), LIMITS).samples
    np.testing.assert_array_equal(found[0], whole(packets)[0])
    np.testing.assert_array_equal(found[1], whole(other)[0])


def test_a_table_may_swap_and_silence_channels(packets):
    both = packets_of(by_ffmpeg(warble(16_000, channels=2), 16_000, "ogg", "libopus", 48_000))[:100]
    plain = decode_opus(stream(opus_file(paged(both), made_head(2))), LIMITS).samples
    swapped = opus_file(paged(both), made_head(2, family=1, table=bytes([1, 1, 1, 0])))
    np.testing.assert_array_equal(decode_opus(stream(swapped), LIMITS).samples, plain[::-1])
    silenced = opus_file(paged(both), made_head(2, family=1, table=bytes([1, 1, 255, 0])))
    np.testing.assert_array_equal(decode_opus(stream(silenced), LIMITS).samples, [np.zeros(32_000), plain[0]])


@pytest.mark.parametrize(
    ("opus_head", "error"),
    [
        (made_head(3, family=1, table=bytes([2, 1, 0, 1, 2])), TooManyChannels),
        (made_head(2, family=1, table=bytes([200, 0, 0, 1])), TooManyChannels),  # much work that nobody hears
        (made_head(1, family=1, table=bytes([0, 0, 0])), UndecodableAudio),
        (made_head(1, family=1, table=bytes([1, 0])), UndecodableAudio),
        (made_head(1, family=1, table=bytes([1, 0, 9])), UndecodableAudio),
        (made_head(1, family=1, table=bytes([1, 2, 0])), TooManyChannels),
        (made_head(1, family=3, table=bytes([1, 0, 0, 0])), UnsupportedMedia),
        (made_head(1, version=16), UnsupportedMedia),
        (made_head(0), UndecodableAudio),
        (made_head(3), UndecodableAudio),
        (made_head()[:18], UndecodableAudio),
        (b"", UndecodableAudio),
    ],
)
def test_heads_that_are_refused(packets, opus_head, error):
    with pytest.raises(error):
        decode_opus(stream(page([opus_head], 0) + opus_file(paged(packets))[len(page([made_head()], 0)) :]), LIMITS)


def test_versions_of_the_head():
    assert parse_head(made_head(version=0)).channels == 1
    assert parse_head(made_head(version=15) + b"later").channels == 1


def test_a_lost_page_is_silence_of_its_length(packets):
    everything = whole(packets)
    data = opus_file(paged(packets))
    lost = stream(data).pages[5]  # the fourth of audio: packets 30 to 39
    found = decode_opus(stream(data[: lost.begin] + data[lost.end :]), LIMITS)
    assert (lost_samples(found), paused_samples(found), found.missing) == (10 * PER_20_MS, 0, True)
    assert found.samples.shape == everything.shape
    np.testing.assert_array_equal(found.samples[:, : 30 * PER_20_MS], everything[:, : 30 * PER_20_MS])
    assert not found.samples[:, 30 * PER_20_MS : 40 * PER_20_MS].any()
    # The decoder has its state from before; ten packets later it has forgotten that.
    rest = slice(50 * PER_20_MS, None)
    np.testing.assert_allclose(found.samples[:, rest], everything[:, rest], atol=0.02)


def test_a_lost_first_page_is_missing_but_its_length_is_not_known(packets):
    data = opus_file(paged(packets))
    lost = stream(data).pages[2]
    found = decode_opus(stream(data[: lost.begin] + data[lost.end :]), LIMITS)
    assert (lost_samples(found), found.missing) == (0, True)
    assert found.samples.shape == (1, 90 * PER_20_MS)


def test_time_without_packets_is_a_loss_unless_silence_was_announced(packets):
    """The granules jump by 0.4 s, the pages' numbers do not."""
    for before, lost, not_sent in (
        (packets[9], 6400, 0),
        (SILENCE_20_MS, 0, 6400),
        (b"\x4b\x00", 0, 6400),
        (b"", 0, 6400),
    ):
        first = [*packets[:9], before]
        missed = CLOCK_20_MS if before in (b"\x4b\x00", b"") else 0  # holds no frame, so has no duration
        pages = [(first, 9600 - missed), *paged(packets[10:], start=9600 - missed + 19_200)]
        found = decode_opus(stream(opus_file(pages)), LIMITS)
        assert (lost_samples(found), paused_samples(found), found.missing) == (lost, not_sent, False)
        at = (10 * CLOCK_20_MS - missed) // 3
        assert found.samples.shape == (1, at + 6400 + 90 * PER_20_MS)
        assert not found.samples[:, at : at + 6400].any()
        assert found.samples[:, at + 6400 : at + 6720].any()


def test_silence_inside_a_page_is_where_it_was_announced(packets):
    pages = [(packets[:10], 9600), ([*packets[10:14], SILENCE_20_MS, *packets[15:20]], 19_200 + 19_200)]
    found = decode_opus(stream(opus_file(pages)), LIMITS)
    assert (lost_samples(found), paused_samples(found), found.missing) == (0, 6400, False)
    assert not found.samples[:, 15 * PER_20_MS : 15 * PER_20_MS + 6400].any()
    assert found.samples[:, 15 * PER_20_MS + 6400 :].any()


@pytest.mark.parametrize("jitter", [-100, -48, 48, 100])
def test_timestamps_in_milliseconds_may_jitter(packets, jitter):
    pages = [(some, granule + (jitter if number % 2 else 0)) for number, (some, granule) in enumerate(paged(packets))]
    found = decode_opus(stream(opus_file(pages, ended=False)), LIMITS)
    np.testing.assert_array_equal(found.samples, whole(packets))
    assert (lost_samples(found), paused_samples(found)) == (0, 0)


def test_times_that_go_back_or_are_unknown_change_nothing(packets):
    pages = paged(packets)
    for wrong in (-1, 0, 100):
        pages[4] = (pages[4][0], wrong)
        np.testing.assert_array_equal(decode_opus(stream(opus_file(pages)), LIMITS).samples, whole(packets))


@pytest.mark.parametrize("jump_s", [118.5, 10_000, 10**12])
def test_long_gaps_are_refused_before_memory_is_taken(packets, jump_s):
    pages = [*paged(packets[:10]), *paged(packets[10:], start=round(jump_s * 48_000))]
    link = stream(opus_file(pages))
    tracemalloc.start()
    with pytest.raises(AudioTooLong):
        decode_opus(link, LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_the_limit_counts_links_before_and_ends_exactly(packets):
    link = stream(opus_file(paged(packets)))
    decode_opus(link, LIMITS, before_s=118.0)
    with pytest.raises(AudioTooLong):
        decode_opus(link, LIMITS, before_s=118 + 1 / 16_000)
    with pytest.raises(AudioTooLong):
        decode_opus(stream(opus_file(paged(packets * 61, on_page=200))), LIMITS)


def test_a_packet_that_cannot_be_decoded_is_silence(packets):
    """Two frames of equal size (code 1) can't have an odd number of bytes."""
    broken = [*packets[:50], b"\x49" + bytes(3), *packets[52:]]  # two frames of 20 ms
    found = decode_opus(stream(opus_file([*paged(broken[:50]), (broken[50:], CLOCK_20_MS * 100)])), LIMITS)
    assert (lost_samples(found), paused_samples(found), found.missing) == (2 * PER_20_MS, 0, True)
    assert found.samples.shape == (1, 32_000)
    assert not found.samples[:, 50 * PER_20_MS : 52 * PER_20_MS].any()
    np.testing.assert_array_equal(found.samples[:, : 50 * PER_20_MS], whole(packets)[:, : 50 * PER_20_MS])


def test_one_byte_packets_are_comfort_noise(packets):
    quiet = [*packets[:50], *[SILENCE_20_MS] * 20, *packets[70:]]
    found = decode_opus(stream(opus_file(paged(quiet))), LIMITS)
    assert (lost_samples(found), paused_samples(found), found.missing) == (0, 0, False)
    assert found.samples.shape == (1, 32_000)


def test_files_without_audio(packets):
    for data in (opus_file([]), opus_file([([b""], 960)]), opus_file([(packets[:1], 100)], made_head(pre_skip=312))):
        assert decode_opus(stream(data), LIMITS).samples.shape == (1, 0)
        with pytest.raises(UndecodableAudio):
            decode(data, LIMITS)


def test_a_file_without_tags(packets):
    data = opus_file(paged(packets))
    pages = stream(data).pages
    found = decode_opus(stream(data[: pages[0].end] + data[pages[1].end :]), LIMITS)
    np.testing.assert_array_equal(found.samples, whole(packets))


def test_broken_packets_on_whole_pages(packets):
    """Right checksums, so that libopus is given what is broken: 2,000 streams, a fifth of each stream's packets."""
    felt = 0
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        chosen = [packets[n] for n in rng.integers(0, 100, 20)]
        for n in rng.integers(0, 20, 4):
            broken = bytearray(chosen[n])
            for _ in range(int(rng.integers(1, 4))):
                # The first three bytes say which decoder, how many frames and how long they are.
                broken[int(rng.integers(0, len(broken) if rng.random() < 0.5 else 3))] = int(rng.integers(0, 256))
            kept = int(rng.integers(3, len(broken) + 1)) if rng.random() < 0.3 else len(broken)
            chosen[n] = bytes(broken[:kept])
        two = bool(seed % 2)
        data = opus_file(
            [(chosen, 20 * CLOCK_20_MS)], made_head(2, family=1, table=bytes([2, 0, 0, 1])) if two else None
        )
        try:
            found = decode_opus(stream(data), LIMITS)
        except AudioError:
            felt += 1
            continue
        felt += found.missing
        assert found.samples.shape[0] == 1 + two
        assert found.samples.shape[1] <= 20 * 1920
    assert felt > 200


def test_broken_heads_on_whole_pages(packets):
    """Every byte of the head in turn."""
    for at in range(8, 23):
        for value in range(256):
            changed = bytearray(made_head(2, family=1, table=bytes([1, 1, 0, 1])))
            changed[at] = value
            try:
                found = decode_opus(stream(opus_file([(packets[:2], 1920)], bytes(changed))), LIMITS)
            except AudioError as error:
                assert type(error) is not AudioError
                continue
            assert len(found.samples) <= 2


def test_links_of_other_channels_and_rates_are_one_recording(packets):
    stereo = by_libsndfile(warble(48_000, channels=2), 48_000, "OGG", "OPUS")
    mono = opus_file(paged(packets))
    for data in (mono + stereo, stereo + mono):
        recording = decode(data, LIMITS)
        assert recording.samples.shape == (2, 64_000)
        assert (recording.parts, recording.truncated) == (2, False)


def test_noise_keeps_its_band():
    """White noise at 48 kHz comes back up to 7 kHz; at 8 kHz half of it would be gone."""
    data = by_ffmpeg(noise(2.0, 48_000)[None], 48_000, "ogg", "libopus", 64_000)
    spectrum = np.abs(np.fft.rfft(decode_opus(stream(data), LIMITS).samples[0])) ** 2
    bands = [float(spectrum[2000 * k : 2000 * (k + 1)].mean()) for k in range(7)]  # 1 kHz each, 2 s
    assert max(bands) < 4 * min(bands)


def test_only_concealment_in_celt_is_not_exact():
    """What differed on emulated processors without FMA, and what did not (docs/decisions/0016-same-bits.md)."""
    celt = packets_of(encoded(warble(48_000), 64_000, "20"))
    silk = packets_of(encoded(warble(48_000), 12_000, "20"))
    hybrid = packets_of(encoded(warble(48_000), 20_000, "20"))
    double = bytes([celt[20][0] | 2, len(celt[20]) - 1]) + celt[20][1:] + celt[21][1:]
    half_empty = bytes([celt[20][0] | 2, len(celt[20]) - 1]) + celt[20][1:]
    assert {packet[0] >> 3 for packet in silk[10:40]} <= set(range(12))
    assert {packet[0] >> 3 for packet in hybrid[10:30]} <= set(range(12, 16))
    assert {packet[0] >> 3 for packet in celt[10:30]} <= set(range(16, 32))
    for exact, some in (
        (True, [*silk[10:20], SILENCE_20_MS, *silk[20:40]]),
        (True, [*hybrid[10:20], hybrid[20][:1], *hybrid[21:30]]),
        (True, celt[10:30]),
        (True, [*silk[10:20], *celt[10:30]]),
        (True, [*hybrid[10:30], *celt[10:30]]),
        (True, [*celt[10:20], double]),
        (False, [*celt[10:20], half_empty]),
        (False, [*celt[10:20], celt[20][:1], *celt[21:30]]),
        (False, [*celt[10:20], celt[20][:2], *celt[21:30]]),
        (False, [*celt[10:20], *silk[20:30]]),
        (False, [*celt[10:20], *hybrid[20:30]]),
    ):
        assert decode_opus(stream(opus_file(paged(some))), LIMITS).exact is exact
