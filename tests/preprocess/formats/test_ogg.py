"""Pages, packets and streams of Ogg files, whole and damaged."""

import io
import struct
import time

import numpy as np
import pytest
import soundfile

from preprocess.formats.ogg import chain, links
from tests.preprocess.ogg_pages import BEGINS, CONTINUED, ENDS, head, opus_file, page, raw_page
from tests.preprocess.recordings import by_ffmpeg, by_libsndfile, noise, warble

SPEEX_HEAD = b"Speex   " + bytes(28) + struct.pack("<IIII", 8000, 0, 0, 2) + bytes(28)


def contents(link):
    return [link.packet(number) for number in range(len(link.starts))]


@pytest.mark.parametrize(
    ("data", "codec", "channels", "rate_hz"),
    [
        (by_libsndfile(warble(48_000, channels=2), 48_000, "OGG", "OPUS"), "opus", 2, 48_000),
        (by_ffmpeg(warble(16_000), 16_000, "ogg", "libopus"), "opus", 1, 16_000),
        (by_libsndfile(warble(22_050, channels=2), 22_050, "OGG", "VORBIS"), "vorbis", 2, 22_050),
        (by_ffmpeg(warble(16_000), 16_000, "ogg", "flac"), "flac", 1, 16_000),
        (page([SPEEX_HEAD], 0, flags=BEGINS), "speex", 2, 8_000),
        (page([b"\x80theora"], 0, flags=BEGINS), "unknown", 0, 0),
        (page([], 0, flags=BEGINS), "unknown", 0, 0),
    ],
)
def test_codecs_are_known_by_their_first_packet(data, codec, channels, rate_hz):
    (link,) = links(data)
    assert (link.codec, link.channels, link.sample_rate_hz) == (codec, channels, rate_hz)
    assert (link.begin, link.end) == (0, len(data))
    assert not link.missing
    assert link.file(data) == data


def test_encoders_pages_are_what_the_helper_would_write():
    """Its checksum is the definition's, bit by bit."""
    data = by_libsndfile(warble(16_000, seconds=0.5), 16_000, "OGG", "OPUS")
    (link,) = links(data)
    assert link.ended
    packets = contents(link)
    done = 0
    for number, item in enumerate(link.pages):
        flags = data[item.begin + 5]
        made = page(packets[done : item.packets], item.granule, link.serial, number, flags)
        assert made == data[item.begin : item.end]
        done = item.packets


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 510, 1000])
def test_packets_of_every_lacing(size):
    packets = [b"a", bytes(range(256)) * (size // 256) + bytes(size % 256), b"z"]
    (link,) = links(page(packets, 5, flags=BEGINS | ENDS))
    assert contents(link) == packets


def three_pages(middle=True, continued=True, sequence=1):
    """A packet of 700 bytes over three pages, and one before and after it."""
    long = bytes(n % 251 for n in range(700))
    parts = [raw_page(b"a" + long[:255], b"\x01\xff", 1, 7, 0, BEGINS)]
    if middle:
        parts.append(raw_page(long[255:510], b"\xff", -1, 7, sequence, CONTINUED if continued else 0))
    parts.append(raw_page(long[510:] + b"z", bytes([190, 1]), 9, 7, 2, CONTINUED | ENDS))
    return b"".join(parts), long


def test_a_packet_over_three_pages():
    data, long = three_pages()
    (link,) = links(data)
    assert contents(link) == [b"a", long, b"z"]
    assert not link.missing
    assert [item.packets for item in link.pages] == [1, 1, 3]


def test_a_packet_whose_middle_is_missing_is_left_out():
    data, _ = three_pages(middle=False)
    (link,) = links(data)
    assert contents(link) == [b"a", b"z"]
    assert link.missing
    assert [item.jumped for item in link.pages] == [False, True]


def test_a_packet_that_is_not_continued_is_left_out():
    data, long = three_pages(continued=False)
    (link,) = links(data)
    assert contents(link) == [b"a", long[255:], b"z"]
    assert link.missing


def test_a_packet_without_an_end_is_left_out():
    (link,) = links(raw_page(b"a" + bytes(255), b"\x01\xff", 1, 7, 0, BEGINS))
    assert contents(link) == [b"a"]
    assert link.missing


def test_links_one_after_another():
    first, second = opus_file([([b"a"], 1)], serial=7), opus_file([([b"b"], 1)], head(channels=2), serial=8)
    found = links(first + second)
    assert [(link.serial, link.channels, link.begin, link.end) for link in found] == [
        (7, 1, 0, len(first)),
        (8, 2, len(first), len(first + second)),
    ]
    assert chain(found) == found


@pytest.mark.parametrize("ended", [True, False])
def test_links_with_one_serial_number(ended):
    """Files joined with `cat`; the first may have been cut."""
    first, second = opus_file([([b"a"], 1)], ended=ended), opus_file([([b"b"], 1)])
    found = links(first + second)
    assert [contents(link)[2:] for link in found] == [[b"a"], [b"b"]]
    assert [link.ended for link in found] == [ended, True]
    assert chain(found) == found


def test_streams_at_the_same_time():
    """Vorbis and Opus, page by page: each is whole, and only the first is of the chain."""
    opus = by_libsndfile(warble(16_000, seconds=3.0), 16_000, "OGG", "OPUS")
    vorbis = by_libsndfile(noise(3.0, 16_000)[None], 16_000, "OGG", "VORBIS")
    pages = [[file[item.begin : item.end] for item in links(file)[0].pages] for file in (opus, vorbis)]
    beside = list(zip(*pages, strict=False))
    together = b"".join(a + b for a, b in beside) + b"".join(b"".join(file[len(beside) :]) for file in pages)
    found = links(together)
    assert [link.codec for link in found] == ["opus", "vorbis"]
    assert found[0].file(together) == opus
    assert found[1].file(together) == vorbis
    assert chain(found) == [found[0]]
    soundfile.read(io.BytesIO(found[1].file(together)))


def test_a_stream_that_begins_inside_another():
    parts = [page([head()], 0, 7, 0, BEGINS), page([b"x"], 0, 9, 0, BEGINS | ENDS), page([b"a"], 1, 7, 1, ENDS)]
    found = links(b"".join(parts))
    assert [link.serial for link in found] == [7, 9]
    assert contents(found[0])[1:] == [b"a"]
    assert not found[0].missing
    assert chain(found) == [found[0]]


@pytest.mark.parametrize("garbage", [b"x", b"OggS", b"OggS" + bytes(30), b"OggSOggSOgg", b"OggS\x00\xff" + bytes(300)])
def test_garbage_between_pages_and_around_them(garbage):
    data = opus_file([([b"a"], 1), ([b"b"], 2)])
    (clean,) = links(data)
    parts = [data[item.begin : item.end] for item in clean.pages]
    (link,) = links(garbage + garbage.join(parts) + garbage)
    assert contents(link) == contents(clean)
    assert not link.missing
    assert link.ended


def test_a_damaged_page_is_missing():
    data = opus_file([([b"aaaa"], 1), ([b"bbbb"], 2), ([b"cccc"], 3)])
    (link,) = links(data.replace(b"bbbb", b"bxbb"))
    assert contents(link)[2:] == [b"aaaa", b"cccc"]
    assert link.missing
    assert [item.jumped for item in link.pages] == [False, False, False, True]


def test_a_last_page_that_is_cut_is_missing():
    data = opus_file([([b"aaaa"], 1), ([b"bbbb"], 2)])
    for kept in range(1, 5):
        (link,) = links(data[:-kept])
        assert contents(link)[2:] == [b"aaaa"]
        assert not link.ended


def test_pages_without_a_first_page_are_a_stream_without_a_codec():
    data = opus_file([([b"aaaa"], 1)])
    (link,) = links(data[links(data)[0].pages[0].end :])
    assert link.codec == "unknown"


def test_no_page_is_no_stream():
    assert links(b"") == []
    assert links(b"OggS") == []
    assert links(b"OggS" + bytes(100)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"OggS\x00" * (20 * 2**20 // 5),
        (b"OggS" + bytes(22) + b"\xff" * 256) * (20 * 2**20 // 282),
        page([], 0) * (20 * 2**20 // 27),
        page([b""] * 255, 0) * (20 * 2**20 // 282),
        page([head()], 0, flags=BEGINS) * (20 * 2**20 // 47),
    ],
    ids=["signatures", "long false pages", "empty pages", "empty packets", "streams"],
)
def test_hostile_files_cost_little(data):
    """The largest file that is accepted, 20 MiB; each takes a few tenths of a second on an old core."""
    started = time.process_time()
    found = links(data)
    assert time.process_time() - started < 3.0
    assert sum(len(link.starts) for link in found) <= 100_255
    assert len(found) <= 1000


def test_damaged_files_give_packets_of_the_undamaged():
    """The checksum holds: no packet is ever found that was not there."""
    data = by_libsndfile(warble(16_000), 16_000, "OGG", "OPUS")
    known = set(contents(links(data)[0]))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        array = np.frombuffer(data, dtype=np.uint8).copy()
        array[rng.integers(0, len(array), 8)] = rng.integers(0, 256, 8)
        for link in links(array.tobytes()):
            assert set(contents(link)) <= known
