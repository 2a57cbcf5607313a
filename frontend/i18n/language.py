"""Choose the language of an answer: `Accept-Language` -> Language (RFC 9110, section 12.5.4)."""

from __future__ import annotations

from functools import lru_cache

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from runtime.messages.languages import DEFAULT, Language

HEADERS = {item: {"Content-Language": item.value, "Vary": "Accept-Language"} for item in Language}
"""The headers of an answer in a language."""

_BY_TAG = {item.value: item for item in Language}


@lru_cache(maxsize=256)
def preferred(accept_language: str) -> Language:
    """Return our language with the highest weight; of equal weights the language named first.

    No request is refused for its language: the default is used where the header is absent, names none of our
    languages, or can't be read.
    """
    named: dict[Language, float] = {}
    others = 0.0
    for part in accept_language.split(","):
        tag, *parameters = (item.strip().lower() for item in part.split(";"))
        language = _BY_TAG.get(tag.replace("_", "-").partition("-")[0])
        if language is not None:
            named[language] = max(named.get(language, 0.0), _weight(parameters))
        elif tag == "*":
            others = _weight(parameters)
    weights = {**named, **{item: others for item in Language if item not in named}}
    best = max(weights, key=lambda weight: weights[weight])  # the first of equal weights
    # `es;q=0` asks for any language except Spanish.
    return best if weights[best] > 0.0 else next((item for item in Language if item not in named), DEFAULT)


def language_of(asked: Request | Scope) -> Language:
    """Return a request's language."""
    headers = asked.headers if isinstance(asked, Request) else Headers(scope=asked)
    return preferred(",".join(headers.getlist("accept-language")))


def _weight(parameters: list[str]) -> float:
    """Return a part's weight; 0 where it can't be read, so that the part is ignored."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0
