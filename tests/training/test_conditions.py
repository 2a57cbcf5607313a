"""Every condition gives a file that serving decodes, with the sound where it was; twins have no cough left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.quality import block_extremes, clipped_fraction, dropout_fraction
from runtime.config import load_config, load_limits
from tests.training.recordings import RATE, recording
from training.data.dataset import read_dataset
from training.evaluation.background_twins import MARGIN_S, without_coughs
from training.evaluation.candidates import CONDITIONS, build_candidates, candidates_of, file_bytes
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS, PLAIN, TWIN

pytestmark = pytest.mark.training

LIMITS = load_limits()[1].decode
SAMPLES = recording(np.random.default_rng(0), is_cough=True).astype(np.float32)


def decoded(name: str) -> tuple[np.ndarray, int]:
    found = decode(CONDITIONS[name](SAMPLES, RATE), LIMITS)
    return found.samples[0], found.sample_rate_hz


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_file_that_keeps_the_time(name: str) -> None:
    samples, rate = decoded(name)
    energy = np.convolve(samples[:rate].astype(np.float64) ** 2, np.ones(rate // 50), "same")
    if not name.startswith("noise_-"):  # which hides it
        # The first burst starts at 0.4 s; codecs shift by less than 30 ms, dropouts may take its loudest 20 ms packets.
        assert np.argmax(energy) / rate == pytest.approx(0.42, abs=0.1 if name.startswith("dropouts") else 0.05)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(samples, decoded(name)[0])  # OGG's serial number differs, what is heard does not


def test_channels_are_those_that_are_certified() -> None:
    assert set(CHANNELS) == {
        "opus_12",
        "opus_16",
        "opus_24",
        "mp3_32",
        "ulaw_8k",
        "gsm_8k",
        "amr_4750",
        "amr_12200",
        "rate_44k1",
    }
    assert set(GAINS) == {"gain_0.3", "gain_0.1", "gain_0.03"}
    codecs = {name: decode(make(SAMPLES, RATE), LIMITS).codec for name, make in CHANNELS.items()}
    assert [codecs[name] for name in ("opus_12", "mp3_32", "ulaw_8k", "gsm_8k")] == ["opus", "mp3", "ulaw", "gsm610"]
    assert decoded("rate_44k1")[1] == 44_100


@pytest.mark.parametrize(("name", "bits_per_s"), [("opus_12", 12_000), ("opus_24", 24_000), ("mp3_32", 32_000)])
def test_bit_rates_are_about_what_they_say(name: str, bits_per_s: int) -> None:
    """Variable bit rate, headers of 2 s: within a half."""
    noise = (0.3 * np.random.default_rng(1).standard_normal(10 * 16_000)).astype(np.float32)
    size = len(CHANNELS[name](noise, 16_000)) * 8 / 10
    assert 0.6 * bits_per_s <= size <= 1.5 * bits_per_s


def test_gains_are_rounded_to_16_bits() -> None:
    samples, _ = decoded("gain_0.03")
    assert np.abs(samples).max() == pytest.approx(0.03 * np.abs(SAMPLES).max(), abs=1 / 32767)
    assert np.abs(samples * 32768 - np.rint(samples * 32768)).max() < 1e-3


def clipped_share(samples: np.ndarray) -> float:
    lows, highs = block_extremes(samples, np.minimum), block_extremes(samples, np.maximum)
    return clipped_fraction(samples, float(samples.mean()), lows, highs)


def test_damages_are_measured_as_such() -> None:
    clipped, _ = decoded("clipped_20")
    assert clipped_share(clipped) > 0.01 > clipped_share(SAMPLES)
    steady = (0.1 * np.random.default_rng(2).standard_normal(2 * RATE)).astype(np.float32)
    lost = decode(DAMAGES["dropouts_40"](steady, RATE), LIMITS).samples[0]
    # 100 packets of 20 ms at 0.4: standard deviation 5 %, and the edges of a run don't count.
    assert dropout_fraction(lost, RATE, [(0, len(lost))]) == pytest.approx(0.4, abs=0.15)
    assert len(DAMAGES) == 18


def test_candidates_come_in_the_order_asked_for(data: Path) -> None:
    entries = read_dataset([data])
    other = next(i for i, entry in enumerate(entries) if not entry.is_cough)
    found = build_candidates(
        entries, [(0, (PLAIN, "gain_0.3")), (other, (PLAIN, TWIN))], load_config(), lambda items, total: items
    )
    assert [(item.entry, item.condition) for item in found] == [
        (0, PLAIN),
        (0, "gain_0.3"),
        (other, PLAIN),
        (other, TWIN),
    ]
    assert list(found[0].labels) == [1.0, 1.0]
    assert len(found[2].labels) >= 1
    assert not found[2].labels.any()
    assert found[0].levels.shape == (2, 64, 96)


def test_twins_hold_no_marked_cough(data: Path) -> None:
    params = load_config()
    entry = read_dataset([data])[0]
    left = without_coughs(entry, SAMPLES, RATE, params)
    marked_s = sum(end - start + 2 * MARGIN_S for start, end in entry.marks or ())
    assert len(left) / RATE == pytest.approx(2.0 - marked_s, abs=0.01)
    assert np.abs(left).max() < 0.01 * np.abs(SAMPLES).max()
    twin = file_bytes(entry, TWIN, SAMPLES, RATE, params)
    assert twin is not None
    assert set(candidates_of(entry, 0, TWIN, twin, params).labels) <= {-1.0}


def test_twins_of_weak_labels_lose_every_candidate(data: Path) -> None:
    entry = next(item for item in read_dataset([data]) if item.is_cough and item.marks is None)
    left = without_coughs(entry, SAMPLES, RATE, load_config())
    assert np.abs(left).max() < 0.05 * np.abs(SAMPLES).max()
    loud = np.tile(SAMPLES[int(0.4 * RATE) : int(0.7 * RATE)], 3)
    assert file_bytes(entry, TWIN, loud, RATE, load_config()) is None  # less than half a second is left
