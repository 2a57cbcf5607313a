"""Find stray characters around a value: the line feed of `echo`, or copied quotes. No valid value has them."""

from __future__ import annotations

_STRAYS = {
    "\r\n": "a carriage return and a line feed",
    "\n": "a line feed",
    "\r": "a carriage return",
    "\t": "a tab",
    " ": "a blank",
    '"': "a double quote",
    "'": "a single quote",
}
_AGAIN = "make it again without it (`printf %s`, not `echo`)"
_AROUND = " \t\r\n\"'"


def without_strays(name: str, text: str, wrong: list[str], *, inside: bool = True) -> str:
    """Return the value without stray characters. Add them to `wrong`, with the value's name but not the value itself.

    inside: whether characters such as a line feed within the value are also named
    """
    found = _stray(text, inside=inside)
    if found is None:
        return text
    wrong.append(f"{name} {found}")
    meant = text.strip().strip(_AROUND)
    return "".join(character for character in meant if character.isprintable()) if inside else meant


def _stray(text: str, *, inside: bool) -> str | None:
    for says, has in (("ends with", text.endswith), ("begins with", text.startswith)):
        for characters, what in _STRAYS.items():
            if has(characters):
                advice = "take the quotes away" if characters in "\"'" else _AGAIN
                return f"{says} {what}: {advice}"
    if text != text.strip():
        return f"has white space around it: {_AGAIN}"
    if inside and not text.isprintable():
        return "holds a line break or another character that no value has: copy it again"
    return None
