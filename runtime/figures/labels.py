"""Figure labels, in the languages of their readers."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.messages.catalogue import name_of, sections
from runtime.messages.languages import Language


@dataclass(frozen=True, slots=True)
class FigureWords:
    """Templates for `str.format`; pairs hold the singular and the plural."""

    language: Language
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
    tone: str
    tone_of: str
    hum_of: str

    def name_of(self, section: str, code: str) -> str:
        """Return the name of one of the API's codes, of `status`, `reason` or `label`."""
        return name_of(section, code, self.language)


def _words(language: Language) -> FigureWords:
    texts = sections(language)["figure"]
    pairs = {
        name.removesuffix("_one"): (text, texts[f"{name.removesuffix('_one')}_more"])
        for name, text in texts.items()
        if name.endswith("_one")
    }
    single = {name: text for name, text in texts.items() if not name.endswith(("_one", "_more"))}
    return FigureWords(language=language, **pairs, **single)  # type: ignore[arg-type]


WORDS = {language.value: _words(language) for language in Language}
ENGLISH = WORDS[Language.ENGLISH]
