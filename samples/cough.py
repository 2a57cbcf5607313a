"""A synthetic cough, from published acoustics and aerodynamics of coughs.

The numbers were first fixed from the literature alone. The first detector refused most of these coughs, and the physics
was mended where it differed from the coughs of people, measured without any detector: docs/decisions/0006-samples.md
says what changed, why, and how often a detector looked.

What is imitated, and where it comes from:

- Three phases: an explosive burst at glottal opening, an intermediate phase of noise with decaying energy, and in some
  coughs a voiced phase (Korpáš, Sadloňová and Vrabec 1996, Pulm. Pharmacol. 9:261; Morice et al. 2007, ERS guidelines
  on the assessment of cough, Eur. Respir. J. 29:1256). A burst lasts 30-60 ms, a cough 0.2-0.6 s.
- Airflow: peak flow, its time and the expired volume from height and weight, and the curve between them, of Gupta, Lin
  and Chen 2009 (Indoor Air 19:517): peaks of 3-8.5 L/s in men and 1.6-6 L/s in women after 57-110 ms.
- Turbulence noise: its pressure grows with the 3/2 power of the pressure drop at a fixed constriction (Stevens 1971, J.
  Acoust. Soc. Am. 50:1180). In a cough the flow is limited at wave speed (Dawson and Elliott 1977, J. Appl. Physiol.
  43:498): the jet's speed stays and its area shrinks with the flow, so the pressure goes with the flow itself. Its
  spectrum falls above a Strouhal number of about 0.2 (Goldstein 1976, Aeroacoustics).
  Airway walls and secretions flutter (Piirilä and Sovijärvi 1995, Eur. Respir. J. 8:1949).
- The burst is the loudest part; its level is set by the fall of people's coughs after their first 50 ms.
- Resonances: of the tract with the mouth open for noise made at the glottis; for noise made in the trachea those of
  trachea and tract together, one tube of 0.29 m in a man, open at the lips and ended by the bronchi, whose pressure
  hardly moves (trachea of 0.12 m: Weibel 1963, Morphometry of the Human Lung): near 610, 1220 and 1830 Hz. Losses in
  the lung make them as wide as subglottal resonances are (Ishizaka, Matsudaira and Kaneko 1976, J. Acoust. Soc. Am.
  60:190; Cranen and Boves 1987, J. Acoust. Soc. Am. 81:734).
- Vibration: coughs have a pitch, from folds that the flow drives (Van Hirtum and Berckmans 2002, Med. Eng. Phys.
  24:535). That they vibrate as long as air flows, and how loud, is a choice.
- Voiced phase: the pitch falls from about 250 to 85 Hz (high-speed images of a man's cough: "High-speed image analysis
  comparing loading of vocal folds during coughing and phonation: a case study"); women's scaled as their speech is.
- Bouts: a cough follows the last within 3 s (Holt et al. 2024, ERJ Open Res. 10:00316), with a compression of about
  0.2 s before each; flow and volume fall from cough to cough (Hegland, Troche and Davenport 2013, Front. Physiol.
  4:167).
"""

from dataclasses import dataclass, replace
from math import gamma

import numpy as np
from numpy.typing import ArrayLike

from samples.glottis import glottal_flow
from samples.tract import (
    BLOCK,
    HIGHEST_RESONANCE_HZ,
    RATE_HZ,
    SOUND_SPEED_M_S,
    Samples,
    Tracks,
    blocks,
    db,
    lowpass,
    radiate,
    resonate_all,
    rms,
    same_everywhere,
    tube_resonances_hz,
    upper_tracks,
)

BURST_PEAK_S = (0.008, 0.012)  # drawn; the burst is 20 dB below its peak after 4.9 times that: 40-60 ms
BURST_RE_FLOW_DB = (8.0, 12.0)  # drawn; over the flow's noise
GLOTTAL_OPENING_S = 0.010  # until the glottis is wide; the mouth opens more slowly
MOUTH_OPENING_S = 0.020
SUBGLOTTAL_PRESSURE_PA = 10_000.0  # well within what coughs reach (Leith et al. 1986, Handbook of Physiology, "Cough")
AIR_DENSITY_KG_M3 = 1.14
STROUHAL = 0.2
OPENING_SLIT_M = 0.002  # width of the glottis when it begins to open
OPEN_SLIT_M, OPEN_AREA_M2 = 0.006, 1.2e-4  # and when it is open
GLOTTAL_LENGTH_M = 0.01  # along the flow, with end corrections
TRACHEAL_AREA_M2 = 2.5e-4  # an adult trachea, 18 mm wide
LOWEST_CORNER_HZ = 150.0
TRACHEAL_DIAMETER_M = 0.018
TRACHEA_PER_TRACT = 0.12 / 0.17  # lengths
AIRWAY_BANDWIDTH_HZ, AIRWAY_BANDWIDTH = 250.0, 0.06  # each resonance: the wider of this, and this part of its frequency
TRACHEA_RE_GLOTTIS_DB = 9.0  # flow is limited in the trachea; by how much is chosen
FLUTTER_HZ, FLUTTER = 60.0, 0.2  # modulation of the noise by airway walls: bandwidth and depth
CLICK_RE_BURST_DB = 6.0  # peak of the release's click, a flow pulse of 1 ms, over the burst's root mean square
OPEN_MOUTH = 0.25  # of the way from schwa to a: a cough's lips are not posed for a vowel
VIBRATION_RE_NOISE_DB = (-6.0, 0.0)  # drawn; chosen
VOICED_SHARE = 0.5  # of coughs
VOICED_S = (0.06, 0.15)
VOICED_RE_PEAK_DB = (-14.0, -8.0)
END_DB = -30.0  # a cough ends where its source is this far below its peak
COMPRESSION_S = 0.2
SILENT_INTERVAL_S = (0.05, 0.35)  # beyond the compression
WEAKER = 0.9  # peak flow of each further cough in a bout


@dataclass(frozen=True)
class Person:
    """What stays the same from cough to cough."""

    tract_m: float  # glottis to lips
    peak_flow_l_s: float
    volume_l: float
    peak_time_s: float
    pitch_hz: tuple[float, float]  # at the beginning and end of a voiced phase

    @classmethod
    def man(cls, height_m: float, weight_kg: float) -> "Person":
        """An adult man, by the regressions of Gupta et al. 2009; tract of 0.17 m (Fant 1960)."""
        flow = -8.890 + 6.3952 * height_m + 0.0346 * weight_kg
        return cls(0.170, flow, 0.138 * flow + 0.298, (1.360 * flow + 65.860) / 1000, (250.0, 85.0))

    @classmethod
    def woman(cls, height_m: float) -> "Person":
        """An adult woman, likewise; tract of 0.145 m, pitch 1.7 times a man's (Peterson and Barney 1952)."""
        flow = -3.9702 + 4.6265 * height_m
        return cls(0.145, flow, 0.204 * flow - 0.043, (3.152 * flow + 64.631) / 1000, (425.0, 145.0))


@dataclass(frozen=True)
class Event:
    """One cough in a recording, in seconds from its start."""

    start_s: float
    end_s: float


def airflow(time_s: Samples, peak_flow_l_s: float, volume_l: float, peak_time_s: float) -> Samples:
    """Flow at the mouth over its peak: two gamma curves (Gupta, Lin and Chen 2009, equations 2 and 3).

    time_s: float64 [shape=(n,)] from glottal opening. Returns float64 [shape=(n,)], about 1 at `peak_time_s`.
    """
    tau = np.clip(time_s / peak_time_s, 0.0, None)
    volumes = volume_l / (peak_time_s * peak_flow_l_s)
    b2 = 10.457 - 2.158 * volumes
    first = 1.680 * _gamma_density(tau, 3.338, 0.428)
    return first + (volumes - 1.680) * _gamma_density(np.clip(tau - 1.2, 0.0, None), b2, 1.8 / (b2 - 1))


def _gamma_density(x: Samples, shape: float, scale: float) -> Samples:
    density: Samples = x ** (shape - 1) * np.exp(-x / scale) / (gamma(shape) * scale**shape)
    return same_everywhere(density)


def cough(person: Person, rng: np.random.Generator) -> tuple[Samples, float]:
    """One cough, dry (no room), from glottal opening on.

    Returns float64 [shape=(n,)] at 48 kHz with a root mean square of 1 over its first 50 ms, and its duration in
    seconds, after which the source is 30 dB or more below its peak.
    """
    peak_time_s = person.peak_time_s * rng.uniform(0.8, 1.05)
    n = round(0.8 * RATE_HZ)
    time_s = np.arange(n) / RATE_HZ
    flow = airflow(time_s, person.peak_flow_l_s, person.volume_l, peak_time_s)
    burst_time = time_s / rng.uniform(*BURST_PEAK_S)
    burst = db(rng.uniform(*BURST_RE_FLOW_DB)) * burst_time * same_everywhere(np.exp(1 - burst_time))

    source = np.sqrt(burst**2 + flow**2)
    noise_s = float(time_s[np.flatnonzero(source > db(END_DB) * source.max())[-1]])
    opening = _opening(time_s, noise_s)
    sound = _turbulence(person, burst, flow, _open_mouth(person, opening), rng)
    vibration = resonate_all(_vibration(person, flow, time_s / noise_s, rng), _open_mouth(person, opening))
    sound += db(rng.uniform(*VIBRATION_RE_NOISE_DB)) * rms(sound) / rms(vibration) * vibration
    sound /= rms(sound[: round(0.05 * RATE_HZ)])
    if rng.random() >= VOICED_SHARE:
        return sound, noise_s

    voice, voice_start_s, voice_end_s = _voice(person, time_s, noise_s, rng)
    voice = resonate_all(voice, _open_mouth(person, opening, voiced=True))
    voice /= rms(voice[(time_s >= voice_start_s) & (time_s < voice_end_s)])
    return sound + db(rng.uniform(*VOICED_RE_PEAK_DB)) * voice, max(noise_s, voice_end_s)


def _turbulence(person: Person, burst: Samples, flow: Samples, tracks: Tracks, rng: np.random.Generator) -> Samples:
    """The sound at the lips of the jet through the opening glottis, of that through the open one, and of the trachea's.

    Levels hold for the sound, not for the source: each noise goes through its resonances first and is weighted then.
    """
    n = burst.size
    steady = flow * (1 + FLUTTER * _unit(lowpass(rng.standard_normal(n), FLUTTER_HZ), np.ones(n)))
    # The glottis widens while the burst lasts: the jet through it gets slower and wider.
    widened = np.clip(np.arange(blocks(n)) / 1000 / GLOTTAL_OPENING_S, 0.0, 1.0)
    opening_m_s = np.sqrt(2 * SUBGLOTTAL_PRESSURE_PA / AIR_DENSITY_KG_M3)
    open_m_s = person.peak_flow_l_s / 1000 / OPEN_AREA_M2
    burst_m_s = opening_m_s + (open_m_s - opening_m_s) * widened
    burst_corner_hz = STROUHAL * burst_m_s / (OPENING_SLIT_M + (OPEN_SLIT_M - OPENING_SLIT_M) * widened)
    jet_m_s = person.peak_flow_l_s / 1000 * flow[::BLOCK] / OPEN_AREA_M2
    flow_corner_hz = np.maximum(STROUHAL * jet_m_s / OPEN_SLIT_M, LOWEST_CORNER_HZ)

    tracheal_m_s = person.peak_flow_l_s / 1000 * flow[::BLOCK] / TRACHEAL_AREA_M2
    tracheal_corner_hz = np.maximum(STROUHAL * tracheal_m_s / TRACHEAL_DIAMETER_M, LOWEST_CORNER_HZ)
    explosive = resonate_all(_jet(burst_corner_hz, OPEN_AREA_M2, n, rng), tracks)
    intermediate = resonate_all(_jet(flow_corner_hz, OPEN_AREA_M2, n, rng), tracks)
    tracheal = resonate_all(_jet(tracheal_corner_hz, TRACHEAL_AREA_M2, n, rng), _airway(person))
    either = np.sqrt(burst**2 + steady**2)
    sound = burst * _unit(explosive, burst) + steady * _unit(intermediate, steady)
    sound += db(TRACHEA_RE_GLOTTIS_DB) * either * _unit(tracheal, either)

    step = np.zeros(n)
    step[:BLOCK] = same_everywhere(np.hanning(BLOCK + 2)[1:-1])
    click = resonate_all(radiate(step), tracks)
    sound += float(db(CLICK_RE_BURST_DB) * burst.max() / np.abs(click).max()) * click
    return sound


def _jet(corner_hz: ArrayLike, area_m2: float, n: int, rng: np.random.Generator) -> Samples:
    """Noise of a jet through a glottis of `area_m2`, as pressure far from a mouth without resonances.

    Of a pressure source in the glottis, flow arises against the resistance of trachea and tract below the frequency at
    which the inertance of the glottis takes over, and above it falls by 6 dB an octave; radiation adds 6 dB an octave.
    """
    corners = np.broadcast_to(np.asarray(corner_hz, dtype=np.float64), (blocks(n),))
    even = rng.standard_normal(n) / np.sqrt(np.repeat(corners, BLOCK)[:n])  # the same power, wherever the corner
    inertance_hz = SOUND_SPEED_M_S * area_m2 / (2 * np.pi * GLOTTAL_LENGTH_M * TRACHEAL_AREA_M2)
    return radiate(lowpass(lowpass(even, corners), inertance_hz))


def _vibration(person: Person, flow: Samples, part: Samples, rng: np.random.Generator) -> Samples:
    """Pulses of folds that the flow drives while they stand apart: rough, louder and higher with more flow."""
    high, low = (hz * rng.uniform(0.9, 1.1) for hz in person.pitch_hz)
    pitch = high + (low - high) * np.clip(part, 0.0, 1.0)
    return radiate(glottal_flow(pitch, rng, jitter=0.10, shimmer=0.30) * flow)


def _voice(person: Person, time_s: Samples, noise_s: float, rng: np.random.Generator) -> tuple[Samples, float, float]:
    """The folds close again while some flow is left: pitch falls evenly; rough voice, as the folds are not posed."""
    start_s = noise_s - rng.uniform(0.03, 0.06)
    length_s = rng.uniform(*VOICED_S)
    part = np.clip((time_s - start_s) / length_s, 0.0, 1.0)
    high, low = (hz * rng.uniform(0.9, 1.1) for hz in person.pitch_hz)
    flow = glottal_flow(high + (low - high) * part, rng, jitter=0.02, shimmer=0.10)
    loudness = same_everywhere(np.sin(np.pi * np.sqrt(part))) ** 2  # quick rise, slow fall
    return radiate(flow * loudness), start_s, start_s + length_s


def _opening(time_s: Samples, noise_s: float) -> Samples:
    """How far the mouth is open, 0 to 1, one value per block: opens with the burst, closes half-way by the end."""
    time_s = time_s[::BLOCK]
    opens = 1 - 0.5 * same_everywhere(np.exp(-time_s / MOUTH_OPENING_S))
    return opens * (1 - 0.5 * np.clip(time_s / noise_s, 0.0, 1.0))


def _open_mouth(person: Person, opening: Samples, *, voiced: bool = False) -> Tracks:
    """The tract: an even tube whose first resonance rises and second falls as the jaw opens (as from schwa to a).

    Bandwidths are wide while the glottis is open, since the trachea absorbs (Klatt and Klatt 1990, J. Acoust. Soc. Am.
    87:820), and those of a vowel once the folds are closed (Fant 1972).
    """
    first, second, third, fourth = tube_resonances_hz(person.tract_m)[:4]
    bandwidths = (90.0, 110.0, 170.0, 250.0) if voiced else (250.0, 200.0, 250.0, 300.0)
    raised = OPEN_MOUTH * opening
    frequencies = (first * (1 + 0.40 * raised), second * (1 - 0.18 * raised), third * (1 - 0.03 * raised), fourth)
    return [*zip(frequencies, bandwidths, strict=True), *upper_tracks(person.tract_m, 4)]


def _airway(person: Person) -> Tracks:
    """Trachea and tract as one tube with both ends open: F_n = n c / 2L."""
    lowest = SOUND_SPEED_M_S / (2 * person.tract_m * (1 + TRACHEA_PER_TRACT))
    frequencies = np.arange(lowest, HIGHEST_RESONANCE_HZ, lowest)
    return [(hz, max(AIRWAY_BANDWIDTH_HZ, AIRWAY_BANDWIDTH * hz)) for hz in frequencies]


def _unit(noise: Samples, envelope: Samples) -> Samples:
    """The noise with a root mean square of 1 where `envelope` weighs it."""
    return noise * float(np.sqrt(np.sum(envelope**2) / np.sum((noise * envelope) ** 2)))


def bout(person: Person, count: int, rng: np.random.Generator) -> tuple[Samples, list[Event]]:
    """`count` coughs in a row, each from a compression and with less flow than the last.

    Returns float64 [shape=(n,)] at 48 kHz, whose first cough starts at 0 s, and the coughs.
    """
    sounds: list[tuple[float, Samples]] = []
    events: list[Event] = []
    start_s = 0.0
    for k in range(count):
        share = float(same_everywhere(WEAKER**k))
        weaker = replace(person, peak_flow_l_s=person.peak_flow_l_s * share, volume_l=person.volume_l * share)
        sound, duration_s = cough(weaker, rng)
        sounds.append(
            (start_s, sound * (share * share * share))
        )  # weaker flow, and less pressure behind it (Stevens 1971)
        events.append(Event(start_s, start_s + duration_s))
        start_s += duration_s + COMPRESSION_S + rng.uniform(*SILENT_INTERVAL_S)
    total = np.zeros(round((sounds[-1][0] + 0.8) * RATE_HZ) + 1)
    for start_s, sound in sounds:
        first = round(start_s * RATE_HZ)
        total[first : first + sound.size] += sound
    return total, events
