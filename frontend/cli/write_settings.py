"""`python -m frontend.cli.write_settings`: writes the tables of docs/settings.md between their markers.

Exits 0; 1 where the page can't be read or written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from frontend.configuration.deadlines_limits_intervals import SECTIONS, SETTINGS, Setting
from frontend.configuration.defaults import defaults
from frontend.configuration.variables import VARIABLES
from runtime.config import ROOT

FILE = ROOT / "docs" / "settings.md"
BEGIN, END = "<!-- tables: make settings -->", "<!-- end of tables -->"


class NoMarkers(ValueError):
    """The page has no markers for the tables."""


def page(before: str) -> str:
    """Return the page with correct tables. Raises: NoMarkers."""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise NoMarkers
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def tables() -> str:
    """Return one table for each section, and one for the environment variables."""
    values = defaults()
    lines: list[str] = []
    for section in SECTIONS:
        lines += [
            f"### {section}",
            "",
            "| name | default | unit | what it does | where |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += _rows(section, values)
        lines += _notes(section)
        lines.append("")
    lines += ["### Variables", "", "| name | default | what it does |", "| --- | --- | --- |"]
    for name, variable in VARIABLES.items():
        default = "`var/`" if name == "TOSIA_VAR" else f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{name}` | {default} | {variable.meaning} |")
    return "\n".join([*lines, ""])


def _rows(section: str, values: Mapping[str, str]) -> Iterator[str]:
    for name, setting in _of(section).items():
        key = name.partition(".")[2]
        where = "F, E, C" if setting.option else "F, E"
        yield f"| `{key}` | {values[name]} | {setting.unit} | {setting.meaning} | {where} |"


def _notes(section: str) -> Iterator[str]:
    also = {name.partition(".")[2]: setting.also for name, setting in _of(section).items() if setting.also}
    if also:
        yield ""
        yield "On AKS a change of these needs another one:"
        yield ""
        yield from (f"- `{key}`: {what}" for key, what in also.items())


def _of(section: str) -> dict[str, Setting]:
    return {name: setting for name, setting in SETTINGS.items() if name.startswith(f"{section}.")}


def main() -> int:
    try:
        FILE.write_text(page(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    except NoMarkers:
        print(f"settings: docs/{FILE.name} has lost its markers: restore it from git.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"settings: docs/{FILE.name} can't be written ({error.strerror}): check docs/.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
