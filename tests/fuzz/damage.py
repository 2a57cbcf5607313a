"""What may happen to a file that still looks like one: fields that lie, elements that are missing, doubled, nested."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

from tests.fuzz.elements import Element, flat, plain, read, written
from tests.fuzz.recordings import NAMES, recording

MARK = b"c4n4ry-of-a-caller"  # what callers send; no log may hold it
MOST_BYTES = 4 * 2**20
_DEEPEST = 40
_NESTED_BYTES = 20_000  # of one element, level by level: each level's checksum is taken over all levels below
_TEMPTING = (0, 1, 2, 3, 7, 127, 128, 255, 256, 8000, 32_767, 32_768, 65_535, 65_536, 192_000, 2**24 - 1, 2**31 - 1,
             2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip

Elements = list[Element]


def damaged(name: str, rng: Random) -> tuple[bytes, list[str]]:
    """Return what became of that recording, and the kinds of damage that it has, in their order."""
    elements = copy.deepcopy(_read(name))
    kinds = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.choice(tuple(_OF_ELEMENTS))
        _OF_ELEMENTS[kind](elements, rng)
        kinds.append(kind)
    data = written(elements)
    if rng.random() < 0.25:
        kind = rng.choice(tuple(_OF_BYTES))
        data = _OF_BYTES[kind](data, rng)
        kinds.append(kind)
    return data[:MOST_BYTES], kinds


_trees: dict[str, Elements] = {}


def _read(name: str) -> Elements:
    if name not in _trees:
        _trees[name] = read(recording(name))
    return _trees[name]


def _pick(elements: Elements, rng: Random) -> tuple[Elements, int]:
    """An element of any depth: its siblings and its place among them. Short elements are as likely as long ones."""
    siblings = rng.choice([siblings for siblings in flat(elements) if siblings] or [[Element(plain, b"")]])
    return siblings, rng.randrange(len(siblings))


def _field(elements: Elements, rng: Random) -> None:
    """A number among the first bytes becomes another one."""
    siblings, place = _pick(elements, rng)
    element = siblings[place]
    within = "head" if element.head and rng.random() < 0.3 else "body"
    data = bytearray(getattr(element, within))
    if not data:
        return
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(min(len(data), 80)) // width * width
    order = rng.choice(("little", "big"))
    now = int.from_bytes(data[at : at + width], order)
    value = rng.choice((*_TEMPTING, now + 1, now - 1, now * 2, now // 2, now ^ 1 << rng.randrange(8 * width)))
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)
    setattr(element, within, bytes(data))


def _size(elements: Elements, rng: Random) -> None:
    """An element says another size than it has."""
    siblings, place = _pick(elements, rng)
    true = len(siblings[place].body) + len(written(siblings[place].children))
    siblings[place].size = rng.choice((*_TEMPTING, true + 1, max(0, true - 1), true * 2, true // 2))


def _double(elements: Elements, rng: Random) -> None:
    siblings, place = _pick(elements, rng)
    times = rng.choice((1, 1, 2, 10, 1000))
    each = max(1, len(siblings[place].written()))
    siblings[place:place] = [copy.deepcopy(siblings[place]) for _ in range(min(times, MOST_BYTES // 8 // each))]


def _remove(elements: Elements, rng: Random) -> None:
    siblings, place = _pick(elements, rng)
    del siblings[place : place + rng.choice((1, 1, 2, 20))]


def _reorder(elements: Elements, rng: Random) -> None:
    siblings, place = _pick(elements, rng)
    siblings.insert(rng.randrange(len(siblings)), siblings.pop(place))


def _nest(elements: Elements, rng: Random) -> None:
    """An element in itself, and again."""
    siblings, place = _pick(elements, rng)
    original = siblings[place]
    levels = max(1, _NESTED_BYTES // max(1, len(original.written())))
    for _ in range(min(levels, rng.choice((1, 2, _DEEPEST)))):
        outer = copy.copy(original)
        outer.children = [siblings[place]]
        siblings[place] = outer


def _rename(elements: Elements, rng: Random) -> None:
    """One element gets the name of another one."""
    (siblings, place), (others, other) = _pick(elements, rng), _pick(elements, rng)
    siblings[place].head = others[other].head


def _graft(elements: Elements, rng: Random) -> None:
    """An element of another recording."""
    theirs, taken = _pick(_read(rng.choice(NAMES)), rng)
    siblings, place = _pick(elements, rng)
    siblings.insert(place, copy.deepcopy(theirs[taken]))


def _fill(elements: Elements, rng: Random) -> None:
    """An element's content becomes another one: nothing, zeros, text, or noise."""
    siblings, place = _pick(elements, rng)
    length = len(siblings[place].body)
    text = (MARK * (length // len(MARK) + 1))[:length]
    siblings[place].body = rng.choice((b"", bytes(length), text, rng.randbytes(length), b"\xff" * length))


def _bits(elements: Elements, rng: Random) -> None:
    """Some bits are others; the checksums are right."""
    siblings, place = _pick(elements, rng)
    body = bytearray(siblings[place].body)
    for _ in range(rng.choice((1, 4, 64)) if body else 0):
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    siblings[place].body = bytes(body)


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _join(data: bytes, rng: Random) -> bytes:
    return data + recording(rng.choice(NAMES))


def _insert(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((MARK, rng.randbytes(rng.randrange(1, 300)), bytes(1000))) + data[at:]


def _tag(data: bytes, rng: Random) -> bytes:
    """An ID3 tag in front, of the right size or not."""
    size = rng.choice((len(MARK), 0, 1000, 2**28 - 1))
    return b"ID3\x04\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + MARK + data


_OF_ELEMENTS: dict[str, Callable[[Elements, Random], None]] = {
    "field": _field, "size": _size, "doubled": _double, "removed": _remove, "reordered": _reorder, "nested": _nest,
    "renamed": _rename, "grafted": _graft, "filled": _fill, "bits": _bits,
}  # fmt: skip
_OF_BYTES: dict[str, Callable[[bytes, Random], bytes]] = {
    "cut": _cut, "joined": _join, "inserted": _insert, "tagged": _tag,
}  # fmt: skip
KINDS = (*_OF_ELEMENTS, *_OF_BYTES)
