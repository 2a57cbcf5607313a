"""What stands in a figure, in the languages of its readers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FigureWords:
    """Templates for `str.format`; pairs are for one and for more."""

    coughs: tuple[str, str]
    among: str
    seconds: str
    both_channels: str
    channel: str
    threshold: tuple[str, str]
    result: str
    not_validated: str
    reasons: str
    too_close: str
    spectrograms: tuple[str, str]
    spectrograms_of_the_first: str
    of_candidates: tuple[str, str]
    of_the_first_candidates: str
    number_and_score: str
    time: str
    amplitude: str
    frequency: str
    level: str
    at: str
    cough: str
    other: str


ENGLISH = FigureWords(
    coughs=("{count} cough", "{count} coughs"),
    among=" among {count} candidates",
    seconds=" in {duration:.1f} s",
    both_channels=", both channels",
    channel=", channel {channel} of 0 and 1",
    threshold=("threshold {high:.2f}", "thresholds {low:.2f} and {high:.2f}"),
    result="{label} (probability of {last} {probability:.2f}, {thresholds})",
    not_validated="; the model is not validated: no medical meaning",
    reasons="reasons: {reasons}",
    too_close="{count} more stand too close for their numbers",
    spectrograms=("spectrogram of the cough", "spectrograms of the coughs"),
    spectrograms_of_the_first="spectrograms of the first {count} coughs",
    of_candidates=("spectrogram of the candidate, no cough", "spectrograms of the candidates, no coughs"),
    of_the_first_candidates="spectrograms of the first {count} candidates, no coughs",
    number_and_score="number\nscore",
    time="time (s)",
    amplitude="amplitude (% of full scale)",
    frequency="frequency (kHz, mel scale)",
    level="level (dB, 0 is the maximum)",
    at="at {start:.2f} s",
    cough="cough",
    other="other candidate",
)

SPANISH = FigureWords(
    coughs=("{count} tos", "{count} toses"),
    among=" entre {count} candidatos",
    seconds=" en {duration:.1f} s",
    both_channels=", ambos canales",
    channel=", canal {channel} de 0 y 1",
    threshold=("umbral {high:.2f}", "umbrales {low:.2f} y {high:.2f}"),
    result="{label} (probabilidad de {last} {probability:.2f}, {thresholds})",
    not_validated="; el modelo no está validado: sin valor médico",
    reasons="motivos: {reasons}",
    too_close="otros {count} están demasiado juntos para llevar número",
    spectrograms=("espectrograma de la tos", "espectrogramas de las toses"),
    spectrograms_of_the_first="espectrogramas de las primeras {count} toses",
    of_candidates=("espectrograma del candidato, sin tos", "espectrogramas de los candidatos, sin tos"),
    of_the_first_candidates="espectrogramas de los primeros {count} candidatos, sin tos",
    number_and_score="número\npuntaje",
    time="tiempo (s)",
    amplitude="amplitud (% del máximo)",
    frequency="frecuencia (kHz, escala mel)",
    level="nivel (dB, 0 es el máximo)",
    at="a {start:.2f} s",
    cough="tos",
    other="otro candidato",
)

WORDS = {"en": ENGLISH, "es": SPANISH}
