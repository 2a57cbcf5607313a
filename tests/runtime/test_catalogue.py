"""The catalogue: both languages have the same keys and values, and no key twice."""

from __future__ import annotations

from string import Formatter

import pytest

from runtime.diagnosis import Reason, Status
from runtime.messages.catalogue import DoubledKeyError, name_of, read_catalogue, say, sections
from runtime.messages.languages import Language
from runtime.model_facts import LABELS

ENGLISH, SPANISH = sections(Language.ENGLISH), sections(Language.SPANISH)
KEYS = [(section, key) for section, texts in ENGLISH.items() for key in texts]
SAME = {
    ("detail", "because"),
    ("console", "seconds"),
    ("console", "chosen"),
    ("console", "apiDocs"),
}  # no words in them


def fields(template: str) -> set[tuple[str, str | None, str | None]]:
    return {(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name}


def test_both_languages_have_the_same_keys() -> None:
    assert [(section, key) for section, texts in SPANISH.items() for key in texts] == KEYS


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_translation_has_the_same_values_and_is_one(section: str, key: str) -> None:
    english, spanish = ENGLISH[section][key], SPANISH[section][key]
    assert fields(english) == fields(spanish)
    assert english.endswith(".") == spanish.endswith(".")
    assert spanish
    if (section, key) not in SAME:
        assert spanish != english or len(english.split()) == 1


def test_every_code_has_a_name() -> None:
    assert SPANISH["status"].keys() == {*Status}
    assert SPANISH["reason"].keys() == {*Reason}
    assert SPANISH["label"].keys() == {*LABELS}
    assert not SPANISH["failure"].keys() & SPANISH["title"].keys()


def test_a_code_of_a_newer_release_is_shown_as_it_is() -> None:
    assert name_of("reason", "wind", Language.SPANISH) == "wind"
    assert name_of("reason", "clipped", Language.SPANISH) == "saturada"


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DoubledKeyError, match="clipped"):
        read_catalogue('{"reason": {"clipped": "a", "silent": "b", "clipped": "c"}}')


def test_values_are_filled_in() -> None:
    assert say("detail", "range_outside", Language.ENGLISH, {"size": 7}).startswith("The audio has 7 bytes")
