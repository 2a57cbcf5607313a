"""The CPU half on the samples: channels, candidates, spectrograms, and where they come from."""

import hashlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from preprocess.errors import EmptyAudio, UnsupportedMedia
from preprocess.resample import resample
from runtime.config import ROOT
from runtime.prepare import MIX, prepare
from tests.preprocess.recordings import by_ffmpeg, by_libsndfile, noise
from tests.preprocess.test_segment import bursts
from tests.runtime.parts import COLOR_SPEC, LIMITS, MEL_SPEC, PARAMS, SEGMENTATION

SAMPLES = ROOT / "samples" / "preprocessing"


def prepared(data):
    return prepare(data, *PARAMS, LIMITS.decode)


def stereo(left, right, rate=8000, container="WAV", subtype="PCM_16"):
    return prepared(by_libsndfile(np.stack([left, right]), rate, container, subtype))


def test_the_benchmark():
    data = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
    work = prepared(data)
    assert work.audio_sha256 == hashlib.sha256(data).hexdigest()
    assert (work.codec, work.sample_rate_hz, work.n_channels, work.truncated) == ("opus", 48_000, 1, False)
    assert work.duration_s == pytest.approx(10.0, abs=1e-3)
    (channel,) = work.channels
    assert channel.channel == 0
    assert work.spectrograms.shape == (len(channel.segments_s), 64, 96)
    assert work.spectrograms.dtype == np.uint8
    assert len(channel.segment_rms) == len(channel.segment_levels) == len(channel.segments_s)
    # Every spectrogram is relative to its own maximum, so each has a cell at the top.
    assert (work.spectrograms.max(axis=(1, 2)) == 255).all()
    assert set(work.timings_ms) == {"decode", "resample", "segment", "quality", "mel", "color"}


@pytest.mark.parametrize(("name", "channel"), [("benchmark_1/raw.ogg", 0), ("call/raw.wav", 1)])
def test_every_cough_of_the_samples_is_a_candidate(name, channel):
    """A candidate begins at most 80 ms before the glottis opens (padding, half a frame and a hop) and covers its
    middle.
    """
    path = SAMPLES / name
    segments = prepared(path.read_bytes()).channels[channel].segments_s
    events = json.loads((path.parent / "events.json").read_text(encoding="utf-8"))["coughs"]
    assert len(events) >= 4
    for event in events:
        middle = (event["start_s"] + event["end_s"]) / 2
        (start, _) = next(segment for segment in segments if segment[0] <= middle <= segment[1])
        assert start >= event["start_s"] - 0.08


def test_the_two_parties_of_a_call_are_not_mixed():
    work = prepared((SAMPLES / "call" / "raw.wav").read_bytes())
    assert (work.codec, work.sample_rate_hz, work.n_channels) == ("ulaw", 8000, 2)
    assert [channel.channel for channel in work.channels] == [0, 1]
    assert len(work.spectrograms) == sum(len(channel.segments_s) for channel in work.channels)


def test_channels_come_one_after_the_other():
    """Candidates of channel 0 first, each like the one that the channel gives on its own."""
    left, right = bursts([0.5, 2.0], seconds=4.0, seed=1), bursts([1.2, 2.9, 3.4], seconds=4.0, seed=5)
    both = stereo(left, right)
    alone = [prepared(by_libsndfile(item[None], 8000, "WAV", "PCM_16")) for item in (left, right)]
    assert [len(channel.segments_s) for channel in both.channels] == [2, 3]
    np.testing.assert_array_equal(both.spectrograms, np.concatenate([item.spectrograms for item in alone]))
    assert [channel.segments_s for channel in both.channels] == [item.channels[0].segments_s for item in alone]


@pytest.mark.parametrize(
    ("container", "codec"), [("WAV", "PCM_16"), ("WAV", "ULAW"), ("OGG", "OPUS"), ("OGG", "VORBIS"), ("ipod", "aac")]
)
def test_a_mono_source_written_as_stereo_is_mixed(container, codec):
    rate = 48_000
    sound = resample(bursts([0.5, 2.0], seconds=4.0)[None], 8000, rate)[0]
    both = np.stack([sound, sound])
    data = by_ffmpeg(both, rate, container, codec) if codec == "aac" else by_libsndfile(both, rate, container, codec)
    work = prepared(data)
    assert [channel.channel for channel in work.channels] == [MIX]
    assert work.n_channels == 2
    assert len(work.channels[0].segments_s) == 2


def test_one_channel_louder_than_the_other_is_still_one_signal():
    sound = bursts([0.5, 2.0], seconds=4.0)
    assert [channel.channel for channel in stereo(sound, 0.25 * sound).channels] == [MIX]


def test_opposite_phases_would_cancel_and_are_not_mixed():
    sound = bursts([0.5, 2.0], seconds=4.0)
    work = stereo(sound, -sound)
    assert [channel.channel for channel in work.channels] == [0, 1]
    assert [len(channel.segments_s) for channel in work.channels] == [2, 2]


@pytest.mark.parametrize("other", [np.zeros(32_000, dtype=np.float32), noise(4.0, level=0.01, seed=9)])
def test_a_silent_or_noisy_other_party_is_not_mixed(other):
    work = stereo(bursts([0.5, 2.0], seconds=4.0), other)
    assert [channel.channel for channel in work.channels] == [0, 1]
    assert len(work.channels[0].segments_s) == 2


def test_the_same_dc_is_not_the_same_signal():
    left, right = bursts([0.5], seconds=4.0, seed=1), bursts([2.5], seconds=4.0, seed=5)
    work = stereo((left * 0.3 + 0.5).astype(np.float32), (right * 0.3 + 0.5).astype(np.float32))
    assert [channel.channel for channel in work.channels] == [0, 1]


@pytest.mark.parametrize("count", [1, 2, 100, 1599])
@pytest.mark.parametrize("channels", [1, 2])
def test_almost_nothing(count, channels):
    """1, 2 and a few samples: no candidates, and the measures stay finite."""
    work = prepared(by_libsndfile(noise(1.0)[None, :count].repeat(channels, axis=0), 16_000, "WAV", "PCM_16"))
    assert work.spectrograms.shape == (0, 64, 96)
    assert all(channel.segments_s == () for channel in work.channels)
    assert all(
        np.isfinite((channel.quality.bandwidth_hz, channel.quality.noise_level or 0.0)).all()
        for channel in work.channels
    )


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0])
def test_dc_only(value):
    work = prepared(by_libsndfile(np.full((1, 16_000), value, dtype=np.float32), 16_000, "WAV", "PCM_16"))
    assert len(work.spectrograms) == 0
    assert work.channels[0].quality.peak == pytest.approx(0.0, abs=1e-6)


def test_full_scale_square_wave():
    square = np.sign(np.sin(2 * np.pi * 200 * np.arange(16_000) / 8000) + 1e-9).astype(np.float32)
    assert prepared(by_libsndfile(square[None], 8000, "WAV", "PCM_16")).channels[0].quality.clipped_fraction > 0.95


def test_it_travels_between_processes():
    work = prepared((SAMPLES / "call" / "raw.wav").read_bytes())
    again = pickle.loads(pickle.dumps(work))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.spectrograms, work.spectrograms)
    assert replace(again, spectrograms=None) == replace(work, spectrograms=None)


def test_parameters_leave_their_mark():
    data = (SAMPLES / "too_short" / "raw.wav").read_bytes()
    other = prepare(data, SEGMENTATION, MEL_SPEC, replace(COLOR_SPEC, min_db=-50.0), LIMITS.decode)
    assert prepared(data).preprocess_sha256 == prepared(data).preprocess_sha256 != other.preprocess_sha256


def test_what_cannot_be_decoded_is_handed_on():
    with pytest.raises(EmptyAudio):
        prepared(b"")
    with pytest.raises(UnsupportedMedia):
        prepared(b"not audio")


@pytest.mark.parametrize("name", ["clipped/raw.wav", "silence/raw.flac", "too_short/raw.wav", "tone/raw.wav"])
def test_the_other_samples_have_the_length_that_soundfile_says(name):
    info = soundfile.info(str(SAMPLES / name))
    work = prepared((SAMPLES / name).read_bytes())
    assert work.duration_s == pytest.approx(info.frames / info.samplerate, abs=1e-9)
    assert work.sample_rate_hz == info.samplerate
