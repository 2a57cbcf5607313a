"""The committed recordings are those that the program makes, in the formats that the README names."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import samples
from samples.make import RECORDINGS, make

FOLDER = Path(samples.__file__).parent
STATUSES = {"ok", "no_cough", "poor_quality", "inconclusive"}
REASONS = {
    "too_short",
    "silent",
    "clipped",
    "low_snr",
    "narrowband",
    "dropouts",
    "hum",
    "tone",
    "truncated",
    "too_few_coughs",
    "between_thresholds",
    "uncertain_cough",
    "unvalidated_model",
}
FORMATS = {  # container, codec, sample rate in Hz, channels, seconds
    "benchmark_1/raw.ogg": ("OGG", "OPUS", 48_000, 1, 10.0),
    "speech_like/raw.ogg": ("OGG", "OPUS", 48_000, 1, 7.5),
    "tone/raw.wav": ("WAV", "PCM_16", 16_000, 1, 4.0),
    "silence/raw.flac": ("FLAC", "PCM_16", 16_000, 1, 4.0),
    "noise/raw.flac": ("FLAC", "PCM_16", 16_000, 1, 4.0),
    "clipped/raw.wav": ("WAV", "PCM_16", 16_000, 1, 3.5),
    "too_short/raw.wav": ("WAV", "PCM_16", 16_000, 1, 0.1),
    "call/raw.wav": ("WAV", "ULAW", 8_000, 2, 8.0),
}
COUGHING = {"benchmark_1/raw.ogg": 6, "call/raw.wav": 4}


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    make(folder)
    return folder / "preprocessing"


def committed(name: str) -> Path:
    return FOLDER / "preprocessing" / name


def decode(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", always_2d=True)[0].astype(np.int64)


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str) -> None:
    info = soundfile.info(committed(name))
    container, codec, rate_hz, channels, seconds = FORMATS[name]
    assert (info.format, info.subtype, info.samplerate, info.channels) == (container, codec, rate_hz, channels)
    assert info.frames == round(seconds * rate_hz)


@pytest.mark.parametrize("name", FORMATS)
def test_made_again_a_recording_is_the_committed_file(name: str, remade: Path) -> None:
    assert (remade / name).read_bytes() == committed(name).read_bytes()


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form[1] == "OPUS"])
def test_opus_stays_in_silk(name: str) -> None:
    """Its other mode, CELT, is encoded otherwise on another make of processor (docs/decisions/0016-same-bits.md)."""
    with av.open(str(committed(name))) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    assert len(packets) > 300
    assert {packet[0] >> 3 for packet in packets} <= set(
        range(12)
    )  # RFC 6716, section 3.1: configurations of SILK alone


@pytest.mark.parametrize("name", COUGHING)
def test_events_are_committed_as_made(name: str, remade: Path) -> None:
    path = Path(name).with_name("events.json")
    assert json.loads(committed(str(path)).read_text()) == json.loads((remade / path).read_text())


@pytest.mark.parametrize(("name", "count"), COUGHING.items())
def test_coughs_begin_and_end_where_the_events_say(name: str, count: int) -> None:
    events = json.loads(committed(name).with_name("events.json").read_text())
    samples_of_channel = decode(committed(name))[:, events["channel"]].astype(np.float64)
    rate_hz = FORMATS[name][2]

    def level_db(start_s: float, end_s: float) -> float:
        part = samples_of_channel[round(start_s * rate_hz) : round(end_s * rate_hz)]
        return 10 * float(np.log10(np.mean(part**2)))

    assert len(events["coughs"]) == count
    for cough in events["coughs"]:
        start_s, end_s = cough["start_s"], cough["end_s"]
        assert 0.2 <= end_s - start_s <= 0.6
        # 5 ms are left for the filters of Opus and of the telephone band, which ring before an onset.
        before, after = level_db(start_s - 0.055, start_s - 0.005), level_db(start_s, start_s + 0.05)
        assert after - before >= 15.0  # room noise is 30 dB below the coughs, the third of a bout 3 to 6 dB above it
        assert (
            after - level_db(end_s + 0.05, end_s + 0.1) >= 15.0
        )  # echo: 10 dB in 50 ms after the source is 30 dB down


def test_coughs_sound_as_published() -> None:
    name = "benchmark_1/raw.ogg"
    decoded, rate_hz = decode(committed(name))[:, 0].astype(np.float64), FORMATS[name][2]
    for cough in json.loads(committed(name).with_name("events.json").read_text())["coughs"]:
        sound = decoded[round(cough["start_s"] * rate_hz) : round(cough["end_s"] * rate_hz)]
        width = rate_hz // 250  # 4 ms
        envelope = np.sqrt(np.convolve(sound**2, np.full(width, 1 / width), mode="same"))
        assert np.argmax(envelope > envelope.max() / 2) / rate_hz <= 0.06  # half of the peak within the burst
        assert np.argmax(envelope) < 0.4 * sound.size  # and decaying after it
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency_hz = np.fft.rfftfreq(sound.size, 1 / rate_hz)
        assert 500 <= np.sum(frequency_hz * power) / np.sum(power) <= 3000
        for low_hz, high_hz in [(300, 800), (1000, 2000), (2000, 4000)]:  # each of the three regions is filled
            band = power[(frequency_hz >= low_hz) & (frequency_hz < high_hz)]
            assert 10 * np.log10(band.sum() / power.sum()) > -13.0


def test_the_clipped_one_is_clipped_and_the_silent_one_silent() -> None:
    assert np.mean(np.abs(decode(committed("clipped/raw.wav"))) == 32_767) > 0.05
    assert np.abs(decode(committed("silence/raw.flac"))).max() == 1


def test_every_recording_has_an_expectation() -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())
    assert [entry["path"] for entry in expected] == [f"samples/preprocessing/{name}" for name in FORMATS]
    assert [Path(name).parent.name for name in FORMATS] == [recording.__name__ for recording in RECORDINGS]
    for entry in expected:
        assert set(entry["statuses"]) <= STATUSES
        assert set(entry["reasons"]) <= REASONS


def test_all_of_it_is_small() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "preprocessing").rglob("*")) < 600_000
