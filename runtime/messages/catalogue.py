"""Texts by key: `es.json` and `en.json` beside this file, with the same keys and the same names in braces.

    title, detail          problems of the API: by code; by what exactly is wrong
    failed_call            advice for a failed call, by its code
    message, hint          guidance, by status or state; by reason
    intended_use           guidance for validated models and for others
    status, state, reason, label   names of the API's codes
    failure                names of failures of a call that are no problem of a request
    figure                 texts in figures
    console                texts of the console

A code of the API is looked up in the section of its kind, so one key never has two meanings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from preprocess.errors import CodedError
from runtime.messages.languages import Language

FOLDER = Path(__file__).resolve().parent
Sections = Mapping[str, Mapping[str, str]]


class DoubledKeyError(ValueError):
    """A catalogue has a key twice."""


def read_catalogue(text: str) -> Sections:
    """Read the sections of one language's JSON. Raises: DoubledKeyError, ValueError."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise DoubledKeyError(f"keys that are there twice: {', '.join(doubled)}")
        return dict(pairs)

    sections: Sections = json.loads(text, object_pairs_hook=unique)
    return sections


@cache
def sections(language: Language) -> Sections:
    """Return the catalogue of a language, read once."""
    return read_catalogue((FOLDER / f"{language.value}.json").read_text(encoding="utf-8"))


def say(section: str, key: str, language: Language, values: Mapping[str, object] | None = None) -> str:
    """Return a text with its values; values that are errors are also put in the language. Raises: KeyError."""
    template = sections(language)[section][key]
    if not values:
        return template
    said = {
        name: say_error(value, language) if isinstance(value, CodedError) else value for name, value in values.items()
    }
    return template.format(**said)


def name_of(section: str, code: str, language: Language) -> str:
    """Return the name of one of the API's codes, or the code itself where it comes from a newer release."""
    return sections(language)[section].get(code, code)


def say_error(error: Exception, language: Language) -> str:
    """Return an error's sentence; without a key in the catalogue (operators' errors), its own English sentence."""
    if isinstance(error, CodedError) and error.key in sections(language)["detail"]:
        return say("detail", error.key, language, error.values)
    return str(error)
