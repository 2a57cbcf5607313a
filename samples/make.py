"""Makes every recording under samples/ again: `python -m samples.make [folder]`.

Each recording has a generator of its own (PCG64, seeded with SEED and the recording's name), so that changing one
leaves the others as they are. SEED is an arbitrary date; no other was tried. With the locked packages the files are
the same byte for byte on every x86-64 processor.
"""

import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from samples.cough import Event, Person, bout
from samples.rooms import in_room, rain, room_noise, telephone_band
from samples.tract import RATE_HZ, Samples, db, rms, same_everywhere
from samples.voice import Speaker, speech

Pcm = NDArray[np.int16]

SEED = 20251123
SNR_DB = 30.0  # of the coughs' own power over the room noise
OPUS_BIT_RATE = 32_000  # WhatsApp's voice notes are between 16 and 32 kbit/s
OPUS_OPTIONS = {"application": "voip", "fec": "1", "packet_loss": "10", "cutoff": "8000"}
FULL_SCALE = 32_767


def generator(name: str) -> np.random.Generator:
    """The random numbers of the recording called `name`."""
    return np.random.Generator(np.random.PCG64([SEED, zlib.crc32(name.encode())]))


def bouts(
    person: Person, plan: list[tuple[float, int]], seconds: float, rng: np.random.Generator
) -> tuple[Samples, list[Event]]:
    """Bouts of coughs in a room with noise `SNR_DB` below them; `plan` holds pairs of start in seconds and coughs.

    Returns float64 [shape=(n,)] at 48 kHz with peak 1, and the coughs.
    """
    dry, events = np.zeros(round(seconds * RATE_HZ)), []
    for start_s, count in plan:
        sound, coughs = bout(person, count, rng)
        first = round(start_s * RATE_HZ)
        dry[first : first + sound.size] += sound[: dry.size - first]
        events += [Event(start_s + cough.start_s, start_s + cough.end_s) for cough in coughs]
    wet = in_room(dry, rng)
    inside = np.concatenate([wet[round(e.start_s * RATE_HZ) : round(e.end_s * RATE_HZ)] for e in events])
    noisy = wet + db(-SNR_DB) * rms(inside) * room_noise(wet.size, rng)
    return peak(noisy, 0.0), events


def peak(samples: Samples, level_dbfs: float) -> Samples:
    """The same sound with its largest sample at `level_dbfs`."""
    return samples * float(db(level_dbfs) / np.abs(samples).max())


def pcm(samples: Samples, rate_hz: int) -> Pcm:
    """int16 at `rate_hz` from float64 at 48 kHz [shape=(n,) or (n, channels)]; what is beyond full scale is clipped."""
    resampled = np.asarray(soxr.resample(samples, RATE_HZ, rate_hz, quality="VHQ"))
    quantised: Pcm = np.round(np.clip(resampled, -1.0, 1.0) * FULL_SCALE).astype(np.int16)
    return quantised


def write_opus(path: Path, samples: Pcm) -> None:
    """OGG Opus, mono, from int16 at 48 kHz [shape=(n,)]; `bitexact` fixes the stream's serial number, else random.

    As a call that expects losses sends it: forward error correction keeps libopus to SILK. In its other mode, CELT, the
    encoder chooses pulses by the processor's estimate of a reciprocal, which Intel's and AMD's give differently.
    """
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono", options=OPUS_OPTIONS)
        stream.bit_rate = OPUS_BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_events(path: Path, events: list[Event], channel: int) -> None:
    """When the coughs of a recording begin and end, in seconds, and in which channel (from 0) they are."""
    rounded = [{key: round(seconds, 3) for key, seconds in asdict(event).items()} for event in events]
    path.write_text(json.dumps({"channel": channel, "coughs": rounded}, indent=2) + "\n")


def benchmark_1(folder: Path, rng: np.random.Generator) -> None:
    """Two bouts of three coughs by a man in a quiet room."""
    samples, events = bouts(Person.man(1.78, 78), [(1.0, 3), (5.5, 3)], 10.0, rng)
    write_opus(folder / "raw.ogg", pcm(peak(samples, -6.0), RATE_HZ))
    write_events(folder / "events.json", events, channel=0)


def speech_like(folder: Path, rng: np.random.Generator) -> None:
    """Three phrases by a man's voice in the same kind of room."""
    dry = speech(Speaker(120.0, 1.0), [(0.5, 6), (2.7, 8), (5.3, 5)], 7.5, rng)
    wet = in_room(dry, rng)
    noisy = wet + db(-SNR_DB) * rms(wet) * room_noise(wet.size, rng)
    write_opus(folder / "raw.ogg", pcm(peak(noisy, -6.0), RATE_HZ))


def tone(folder: Path, rng: np.random.Generator) -> None:
    """1 kHz in beeps as long as coughs, 0.3 s each with 10 ms ramps, every 0.7 s, over faint noise."""
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    since = time_s % 0.7 - 0.2
    envelope = np.clip(np.minimum(since, 0.3 - since) / 0.010, 0.0, 1.0)
    beeps = db(-12.0) * envelope * same_everywhere(np.sin(2 * np.pi * 1000 * time_s))
    beeps += db(-66.0) * rng.standard_normal(time_s.size)
    soundfile.write(folder / "raw.wav", pcm(beeps, 16_000), 16_000, subtype="PCM_16")


def silence(folder: Path, rng: np.random.Generator) -> None:
    """Nothing but the last bit: -1, 0 or 1 at random, as a muted microphone gives."""
    soundfile.write(folder / "raw.flac", rng.integers(-1, 2, 64_000, dtype=np.int16), 16_000, subtype="PCM_16")


def noise(folder: Path, rng: np.random.Generator) -> None:
    """Steady rain at -34 dBFS."""
    soundfile.write(folder / "raw.flac", pcm(db(-34.0) * rain(4 * RATE_HZ, rng), 16_000), 16_000, subtype="PCM_16")


def clipped(folder: Path, rng: np.random.Generator) -> None:
    """Three coughs, 24 dB too loud for the recorder."""
    samples, _ = bouts(Person.man(1.70, 70), [(0.5, 3)], 3.5, rng)
    soundfile.write(folder / "raw.wav", pcm(peak(samples, 24.0), 16_000), 16_000, subtype="PCM_16")


def too_short(folder: Path, rng: np.random.Generator) -> None:
    """The first 0.1 s of a cough."""
    samples, _ = bouts(Person.woman(1.65), [(0.0, 1)], 1.0, rng)
    beginning = pcm(peak(samples, -6.0)[: RATE_HZ // 10], 16_000)
    soundfile.write(folder / "raw.wav", beginning, 16_000, subtype="PCM_16")


def call(folder: Path, rng: np.random.Generator) -> None:
    """A telephone call: the agent speaks in channel 0, the caller (a man) coughs four times in channel 1."""
    caller, events = bouts(Person.man(1.70, 70), [(3.0, 4)], 8.0, rng)
    agent = speech(Speaker(210.0, 1.17), [(0.3, 8), (6.0, 5)], 8.0, rng)
    agent += db(-SNR_DB) * rms(agent) * room_noise(agent.size, rng)
    channels = [peak(telephone_band(side), -6.0) for side in (agent, caller)]
    soundfile.write(folder / "raw.wav", pcm(np.stack(channels, axis=1), 8_000), 8_000, subtype="ULAW")
    write_events(folder / "events.json", events, channel=1)


RECORDINGS: list[Callable[[Path, np.random.Generator], None]] = [
    benchmark_1,
    speech_like,
    tone,
    silence,
    noise,
    clipped,
    too_short,
    call,
]


def make(samples_folder: Path) -> None:
    """Writes every recording below `samples_folder`/preprocessing, each into a folder of its own name."""
    for recording in RECORDINGS:
        folder = samples_folder / "preprocessing" / recording.__name__
        folder.mkdir(parents=True, exist_ok=True)
        recording(folder, generator(recording.__name__))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
