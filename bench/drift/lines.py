"""What is done to a recording on its way to us, as the bytes that arrive.

`trained`: whether the model was trained on such a line; then no alarm is the right answer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from runtime.config import load_config
from runtime.execute import execute
from runtime.line.quantities import Bins, bins_of
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit
from training.data.augment import faster, with_noise
from training.data.codecs import encoded
from training.data.dataset import Entry, load_audio
from training.data.lines import Material, drawn
from training.evaluation.conditions import DAMAGES, flac
from training.progress import bar

Samples = NDArray[np.float32]
Work = Callable[[str, Samples, int], bytes]  # path, samples, rate in Hz -> a file

SEED = 7
_NO_MATERIAL = Material((), (), 8000)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to us. trained: in words, what training knows of it"""

    what: str
    trained: str
    work: Work


def _plain(_: str, samples: Samples, rate_hz: int) -> bytes:
    return flac(samples, rate_hz)


def _coded(_: str, samples: Samples, rate_hz: int, *, codec: str, bit_rate: int = 24_000) -> bytes:
    return encoded(samples, rate_hz, codec, bit_rate)


def _aac(_: str, samples: Samples, rate_hz: int) -> bytes:
    """AAC in MP4 at 32 kbit/s, by FFmpeg's own encoder."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=rate_hz, layout="mono")
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - for the type checker: AAC is audio
        stream.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(np.clip(samples, -1.0, 1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return buffer.getvalue()


def _band(_: str, samples: Samples, rate_hz: int, *, low_hz: float, high_hz: float) -> bytes:
    """Nothing outside of the band: a Butterworth filter of order 8, forwards and backwards."""
    sections = butter(8, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    padding = min(len(samples) - 1, rate_hz // 4)
    return flac(sosfiltfilt(sections, samples, padlen=padding).astype(np.float32), rate_hz)


def _hum(path: str, samples: Samples, rate_hz: int) -> bytes:
    return flac(drawn("hum_50", path, samples, rate_hz, _NO_MATERIAL, SEED).samples, rate_hz)


def _noise(path: str, samples: Samples, rate_hz: int, *, snr_db: float) -> bytes:
    rng = np.random.default_rng([SEED, *path.encode()[-32:]])
    return flac(with_noise(samples, snr_db, 1.0, rng), rate_hz)


def _damage(_: str, samples: Samples, rate_hz: int, *, name: str) -> bytes:
    return DAMAGES[name](samples, rate_hz)


def _faster(_: str, samples: Samples, rate_hz: int, *, factor: float) -> bytes:
    return flac(faster(samples, rate_hz, factor), rate_hz)


WAYS = {
    "plain": Way("as recorded (FLAC)", "yes", _plain),
    "ulaw": Way("µ-law, 8 kHz", "yes", partial(_coded, codec="ulaw")),
    "gsm": Way("GSM 6.10", "yes", partial(_coded, codec="gsm")),
    "amr_4750": Way("AMR-NB, 4.75 kbit/s", "yes", partial(_coded, codec="amr", bit_rate=4750)),
    "amr_12200": Way("AMR-NB, 12.2 kbit/s", "yes", partial(_coded, codec="amr", bit_rate=12_200)),
    "opus_12": Way("Opus, 12 kbit/s", "yes", partial(_coded, codec="opus", bit_rate=12_000)),
    "aac": Way("AAC in MP4, 32 kbit/s", "no", _aac),
    "band_300_3400": Way("300 to 3400 Hz", "the upper end", partial(_band, low_hz=300.0, high_hz=3400.0)),
    "band_300_2000": Way("300 to 2000 Hz", "no", partial(_band, low_hz=300.0, high_hz=2000.0)),
    "hum": Way("mains hum of 50 Hz", "60 Hz, in 4 %", _hum),
    "noise_5": Way("pink noise, SNR 5 dB", "0 to 30 dB, in 39 %", partial(_noise, snr_db=5.0)),
    "noise_-5": Way("pink noise, SNR -5 dB", "no", partial(_noise, snr_db=-5.0)),
    "clipped_20": Way("clipped, 20 dB over full scale", "no", partial(_damage, name="clipped_20")),
    "faster_1.6": Way("played 1.6 times as fast", "up to 1.2", partial(_faster, factor=1.6)),
}


def over_way(entries: Sequence[Entry], way: str) -> Iterator[Bins]:
    """Yield where each recording lies after its way; two processes measure."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = pool.map(arrived, entries, [way] * len(entries), chunksize=16)
        yield from (bins for bins, _ in zip(found, bar(way)(range(len(entries)), len(entries)), strict=True))


def arrived(entry: Entry, way: str) -> Bins:
    """Judge one recording as served, after its way to us."""
    classifier = default_classifier()
    data = WAYS[way].work(entry.path, *load_audio(entry))
    return bins_of(execute(WorkUnit(data, *load_config()), classifier), classifier.contract().cough_threshold)
