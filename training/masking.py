"""`make masking`: would a cough have been heard in this recording? And is it `poor_quality` where not, and only there?

Coughs of the training split are laid into its recordings without coughs, on lines of
`training.data.lines.DEVELOPED_ON`, in noise, and under hum and tones that last: at the speaker's level (the 95th
percentile of the undisturbed recording's RMS), in the quietest place that nothing was added to. Asked is whether a
candidate is proposed there (IoU of 0.5), and whether the served network accepts it; the status is that of the same
recording without the cough. Then all recordings without coughs are judged as they are, and with a beep, keys or hum.

Prints tables; the cut-offs of hum, tones and SNR in config.yml rest on them (docs/decisions/0021-on-real-lines.md).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from preprocess.level import levels
from preprocess.resample import resample
from preprocess.tones import tone_fraction
from runtime.classify import Scores
from runtime.conclude import conclude
from runtime.config import MODEL_REPOSITORY, load_config, load_limits
from runtime.contract import read_contract
from runtime.diagnosis import Diagnosis, Status
from runtime.errors import RuntimeFailure
from runtime.onnx_classifier import OnnxClassifier
from runtime.prepare import Prepared, prepare
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, load_audio, read_dataset
from training.data.line_material import read_material
from training.data.lines import DEVELOPED_ON, Material, drawn, put_on
from training.progress import bar

SEED = 21
RATE_HZ = 8000  # what the network hears
FOUND_IOU = 0.5
AS_IT_IS = "as it is"
COUNTED_FAMILIES = ("tone", "dtmf", "hum_60")
_PEAK = 0.15  # of the hosts: what is added then never has to be turned down
_LATER_S = 0.1  # between what is around and the cough

Samples = NDArray[np.float32]

# The process of a checkout: a path a line on stdin, the status without any accepted cough a line on stdout.
_WORKER = """
import sys
from pathlib import Path
import numpy as np
from runtime.classify import Scores
from runtime.conclude import conclude
from runtime.config import MODEL_REPOSITORY, load_config, load_limits
from runtime.contract import read_contract
from runtime.prepare import prepare

params, (quality, limits), contract = load_config(), load_limits(), read_contract(MODEL_REPOSITORY)
for line in sys.stdin:
    prepared = prepare(Path(line.strip()).read_bytes(), *params, limits.decode)
    n = len(prepared.spectrograms)
    none = Scores(np.zeros(n, dtype=np.float32), np.zeros((n, len(contract.labels)), dtype=np.float32))
    print(conclude(prepared, none, contract, quality, 1, 0.0).status.value, flush=True)
"""


@dataclass(frozen=True)
class Trial:
    """One cough in one recording on one line.

    poor, snr_db, hum_db, tone_share: of the recording without the cough; hum_db None without hum
    proposed, accepted: whether a candidate lies at the cough's place, and whether the network calls it a cough
    """

    line: str
    poor: bool
    snr_db: float | None
    hum_db: float | None
    tone_share: float
    proposed: bool
    accepted: bool


class Judge:
    """Prepares and concludes as served, with the network of this checkout's release, whatever it was trained with."""

    def __init__(self) -> None:
        self.params = load_config()
        self.quality, self.limits = load_limits()
        self.contract = read_contract(MODEL_REPOSITORY)
        self.network = OnnxClassifier(threads=1)
        self.same_parameters = True
        try:
            self.contract.check_parameters(*self.params)
        except RuntimeFailure:
            self.same_parameters = False

    def prepare(self, samples: Samples, rate_hz: int) -> Prepared:
        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(samples, -1.0, 1.0), rate_hz, format="WAV", subtype="PCM_16")
        return prepare(buffer.getvalue(), *self.params, self.limits.decode)

    def without_coughs(self, prepared: Prepared) -> Diagnosis:
        n = len(prepared.spectrograms)
        none = Scores(np.zeros(n, dtype=np.float32), np.zeros((n, len(self.contract.labels)), dtype=np.float32))
        return conclude(prepared, none, self.contract, self.quality, self.limits.min_coughs, 0.0)

    def finds(self, prepared: Prepared, start_s: float, end_s: float) -> tuple[bool, bool]:
        """Whether a candidate lies there, and whether the network accepts one that does."""
        there = [iou(span, (start_s, end_s)) >= FOUND_IOU for span in prepared.channels[0].segments_s]
        if not any(there):
            return False, False
        cough = self.network.classify(prepared.spectrograms[np.array(there)]).cough
        return True, bool(cough.max() >= self.contract.cough_threshold)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make masking", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS)
    parser.add_argument("--sounds", type=Path, default=DEFAULT_FOLDERS[1], help="folder with Spanish prompts")
    parser.add_argument("--recordings", type=int, default=300, help="recordings that coughs are laid into")
    parser.add_argument("--before", type=Path, help="another checkout: its share of poor_quality stands beside ours")
    options = parser.parse_args(arguments)
    try:
        entries = [entry for entry in read_dataset(options.data) if entry.split == "train"]
        material = read_material(options.sounds)
        judge = Judge()
    except (DatasetError, OSError, RuntimeFailure) as error:
        print(f"masking: {error}", file=sys.stderr)
        return 2
    others = [entry for entry in entries if not entry.is_cough and entry.source != "fsdd"]
    hosts = sorted(others, key=lambda entry: hashlib.sha256(entry.path.encode()).hexdigest())[: options.recordings]
    trials = list(run(hosts, coughs_of(entries), material, judge))
    print(tables(trials, judge))
    print(counted(others, material, judge, options.before))
    return 0


def iou(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two spans."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, common) / (max(one[1], other[1]) - min(one[0], other[0]))


def coughs_of(entries: Sequence[Entry]) -> list[Samples]:
    """Every hand-marked cough, at RATE_HZ."""
    coughs = []
    for entry in entries:
        if entry.is_cough and entry.marks:
            samples = _at_rate(*load_audio(entry))
            coughs += [samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] for start_s, end_s in entry.marks]
    return [cough - cough.mean() for cough in coughs if len(cough) >= 0.15 * RATE_HZ]


def run(hosts: Sequence[Entry], coughs: Sequence[Samples], material: Material, judge: Judge) -> Iterator[Trial]:
    """Lay a cough into every recording on every line; those too short for one and its pauses are left out."""
    rng = np.random.default_rng(SEED)
    for index in bar("recordings")(range(len(hosts)), len(hosts)):
        samples = _at_rate(*load_audio(hosts[index]))
        samples = samples - samples.mean()
        peak = float(np.abs(samples).max())
        if peak < 1e-4:
            continue
        samples = (samples * (_PEAK / peak)).astype(np.float32)
        for name, line in LINES.items():
            trial = _trial(name, *line(samples, rng, material), samples, coughs[int(rng.integers(len(coughs)))], judge)
            if trial:
                yield trial


def _trial(
    name: str, disturbed: Samples, added_s: tuple[float, float] | None, samples: Samples, cough: Samples, judge: Judge
) -> Trial | None:
    segmentation = judge.params[0]
    rms = levels(disturbed, RATE_HZ, segmentation).rms
    # Automatic gain turns the speaker down.
    speaker = min(float(np.percentile(course, 95)) for course in (levels(samples, RATE_HZ, segmentation).rms, rms))
    own = levels(cough, RATE_HZ, segmentation).rms
    scaled = cough * np.float32(speaker / max(float(np.sqrt(np.mean(np.square(own)))), 1e-9))
    hop_s = segmentation.hop_ms / 1000.0
    at_s = _gap(rms, len(cough) / RATE_HZ, added_s, hop_s)
    if at_s is None:
        return None
    start = round(at_s * RATE_HZ)
    with_cough = disturbed.copy()
    with_cough[start : start + len(scaled)] += scaled[: len(with_cough) - start]
    alone = judge.prepare(disturbed, RATE_HZ)
    found = judge.without_coughs(alone)
    proposed, accepted = judge.finds(judge.prepare(with_cough, RATE_HZ), at_s, at_s + len(scaled) / RATE_HZ)
    return Trial(
        line=name,
        poor=found.status is Status.POOR_QUALITY,
        snr_db=found.audio.snr_db,
        hum_db=found.audio.hum_db,
        tone_share=tone_fraction(alone.channels[0].tones, alone.duration_s),
        proposed=proposed,
        accepted=accepted,
    )


def _gap(rms: Samples, seconds: float, added_s: tuple[float, float] | None, hop_s: float) -> float | None:
    """Start of the quietest place for a cough with a pause on either side; None where there is none."""
    length = round((seconds + 2 * _LATER_S) / hop_s)
    total = np.concatenate([[0.0], np.cumsum(np.square(rms, dtype=np.float64))])
    energy = total[length:] - total[: len(total) - length] if len(total) > length else np.zeros(0)
    if added_s:
        first = np.arange(len(energy)) * hop_s
        energy[(first < added_s[1]) & (first + length * hop_s > added_s[0])] = np.inf
    if not len(energy) or not np.isfinite(energy.min()):
        return None
    return int(np.argmin(energy)) * hop_s + _LATER_S


def _at_rate(samples: Samples, rate_hz: int) -> Samples:
    return resample(samples[None], rate_hz, RATE_HZ)[0]


Disturbed = tuple[Samples, tuple[float, float] | None]
Disturb = Callable[[Samples, np.random.Generator, Material], Disturbed]


def _as_it_is(samples: Samples, _rng: np.random.Generator, _material: Material) -> Disturbed:
    return samples, None


def _family(name: str) -> Disturb:
    def disturb(samples: Samples, rng: np.random.Generator, material: Material) -> Disturbed:
        line = put_on(name, samples, RATE_HZ, rng, material)
        return line.samples, line.added_s

    return disturb


def _in_noise(slope: float) -> Disturb:
    """Power ~ 1 / f^slope, at -10 to 40 dB under the recording's RMS."""

    def disturb(samples: Samples, rng: np.random.Generator, _: Material) -> Disturbed:
        spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
        noise = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 1.0) ** (-slope / 2.0), len(samples))
        strength = float(np.std(samples) / np.std(noise)) * 10 ** (-rng.uniform(-10.0, 40.0) / 20.0)
        return (samples + strength * noise).astype(np.float32), None

    return disturb


def _throughout(harmonics: Sequence[float], amplitudes: Callable[[int], float]) -> Disturb:
    """Lines of these frequencies, 0.03 to 10 times the peak in all."""

    def disturb(samples: Samples, rng: np.random.Generator, _: Material) -> Disturbed:
        t = np.arange(len(samples)) / RATE_HZ
        sound = np.zeros(len(samples))
        for n, hz in enumerate(harmonics):
            sound += amplitudes(n) * np.sin(2 * np.pi * hz * t + rng.uniform(0, 2 * np.pi))
        strength = float(np.exp(rng.uniform(np.log(0.03), np.log(10.0)))) * _PEAK / float(np.abs(sound).max())
        changed = samples + strength * sound
        return (changed / max(1.0, float(np.abs(changed).max()) / 0.99)).astype(np.float32), None

    return disturb


LINES: dict[str, Disturb] = {
    AS_IT_IS: _as_it_is,
    **{name: _family(name) for name in DEVELOPED_ON},
    "white noise": _in_noise(0.0),
    "pink noise": _in_noise(1.0),
    "hum, lasting": _throughout([60.05 * n for n in range(1, 8)], lambda n: 10 ** (-0.4 * n)),
    "buzz, lasting": _throughout([120.1 * n for n in range(1, 30)], lambda n: (n + 1) ** -0.5),
    "tone, lasting": _throughout([425.0], lambda _: 1.0),
    "dial tone": _throughout([350.0, 440.0], lambda _: 1.0),
}


def tables(trials: Sequence[Trial], judge: Judge) -> str:
    """Plain text: by line, and by each measure among recordings that the others don't call poor."""
    network = "" if judge.same_parameters else ", which was trained with other parameters"
    quiet = [one for one in trials if one.snr_db is None or one.snr_db >= judge.quality.min_snr_db]
    no_hum = [one for one in quiet if one.hum_db is None or one.hum_db <= judge.quality.max_hum_db]
    no_tone = [one for one in quiet if one.tone_share <= judge.quality.max_tone_fraction]
    lines = [f"{len(trials)} coughs laid in; network: release {judge.contract.version}{network}", ""]
    head = f"{'recordings':>12}{'poor':>8}{'proposed':>10}{'accepted':>10}{'accepted where not poor':>26}"
    lines.append(f"{'line':20}{head}")
    for name in dict.fromkeys(one.line for one in trials):
        lines.append(f"{name:20}{_row([one for one in trials if one.line == name])}")
    by_measure: tuple[tuple[str, list[tuple[float | None, Trial]], tuple[float, ...]], ...] = (
        ("SNR, dB", [(one.snr_db, one) for one in trials], (0, 3, 6, 9, 12, 15, 20, 30, 200)),
        ("hum, dB (SNR enough)", [(one.hum_db, one) for one in no_tone], (-40, -20, -10, -5, 0, 3, 6, 12)),
        ("tones' share (same)", [(one.tone_share, one) for one in no_hum], (0, 1e-6, 0.3, 0.5, 0.7, 0.9, 1.01)),
    )
    for title, values, edges in by_measure:
        lines += ["", f"{title:20}{head}"]
        lines.append(f"{'none':20}{_row([one for value, one in values if value is None])}")
        for low, high in pairwise(edges):
            inside = [one for value, one in values if value is not None and low <= value < high]
            lines.append(f"{f'{low:g} to {high:g}':20}{_row(inside)}")
    return "\n".join(lines)


def _row(trials: Sequence[Trial]) -> str:
    def share(values: Sequence[bool], width: int) -> str:
        return f"{np.mean(values):{width}.2f}" if values else f"{'-':>{width}}"

    return (
        f"{len(trials):12}{share([one.poor for one in trials], 8)}{share([one.proposed for one in trials], 10)}"
        f"{share([one.accepted for one in trials], 10)}{share([one.accepted for one in trials if not one.poor], 26)}"
    )


def counted(others: Sequence[Entry], material: Material, judge: Judge, before: Path | None) -> str:
    """Plain text: shares of the recordings without coughs that are `poor_quality`, as they are and on some lines."""
    process = _checkout(before) if before else None
    found: dict[tuple[str, str], list[bool]] = {}
    earlier: dict[tuple[str, str], list[bool]] = {}
    with tempfile.TemporaryDirectory(prefix="tosia-masking-") as folder:
        file = Path(folder) / "recording.wav"
        for index in bar("without coughs")(range(len(others)), len(others)):
            entry = others[index]
            samples, rate_hz = load_audio(entry)
            group = entry.source if entry.collection == "cough" else entry.collection
            for family in (AS_IT_IS, *COUNTED_FAMILIES):
                changed = samples
                if family in DEVELOPED_ON:
                    changed = drawn(family, entry.path, samples, rate_hz, material, SEED).samples
                status = judge.without_coughs(judge.prepare(changed, rate_hz)).status
                found.setdefault((group, family), []).append(status is Status.POOR_QUALITY)
                if process and family == AS_IT_IS:
                    soundfile.write(file, np.clip(changed, -1.0, 1.0), rate_hz, subtype="PCM_16")
                    earlier.setdefault((group, family), []).append(_asked(process, file) == Status.POOR_QUALITY.value)
    if process:
        process.communicate()
    groups = sorted({group for group, _ in found})
    lines = ["", f"{'without coughs':20}{'recordings':>12}{'before':>10}" + _heads()]
    for group in (*groups, "all"):
        chosen = groups if group == "all" else [group]
        as_it_is = [one for name in chosen for one in found[name, AS_IT_IS]]
        old = [one for name in chosen for one in earlier.get((name, AS_IT_IS), [])]
        shares = [
            np.mean([one for name in chosen for one in found[name, family]]) for family in (AS_IT_IS, *COUNTED_FAMILIES)
        ]
        beside = f"{np.mean(old):10.3f}" if old else f"{'-':>10}"
        lines.append(f"{group:20}{len(as_it_is):12}{beside}" + "".join(f"{share:10.3f}" for share in shares))
    return "\n".join(lines)


def _heads() -> str:
    return "".join(f"{name:>10}" for name in (AS_IT_IS, *COUNTED_FAMILIES))


def _checkout(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _WORKER],
        cwd=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _asked(process: subprocess.Popen[str], file: Path) -> str:
    if process.stdin is None or process.stdout is None:
        raise OSError("The other checkout's process has no pipes.")
    process.stdin.write(f"{file}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


if __name__ == "__main__":
    sys.exit(main())
