"""Say in a language what the code says in English: the English template is the key of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from frontend.i18n.language import Language
from frontend.i18n.spanish import SPANISH
from runtime.errors import WordedError


def say(template: str, values: Mapping[str, object], language: Language) -> str:
    """A template with its values; values that are errors or texts of ours are said in the language, too.

    What the catalogue lacks stays English: a test holds it complete for all that can reach a caller.
    """
    if language is Language.SPANISH:
        template = SPANISH.get(template, template)
    return template.format(**{name: _said(one, language) for name, one in values.items()}) if values else template


def say_error(error: Exception, language: Language) -> str:
    """An error's sentence."""
    return say(error.template, error.values, language) if isinstance(error, WordedError) else str(error)


def _said(value: object, language: Language) -> object:
    if isinstance(value, WordedError):
        return say_error(value, language)
    return say(value, {}, language) if isinstance(value, str) else value
