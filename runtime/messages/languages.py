"""The languages that we write in."""

from __future__ import annotations

from enum import StrEnum


class Language(StrEnum):
    """The default first: operators and callers read Spanish before English."""

    SPANISH = "es"
    ENGLISH = "en"


DEFAULT = Language.SPANISH
