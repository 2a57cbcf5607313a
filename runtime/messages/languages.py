"""The languages that we write in."""

from __future__ import annotations

from enum import StrEnum


class Language(StrEnum):
    """Languages, the default first: operators and callers prefer Spanish to English."""

    SPANISH = "es"
    ENGLISH = "en"


DEFAULT = Language.SPANISH
