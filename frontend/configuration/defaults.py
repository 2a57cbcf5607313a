"""What config.yml says, for people: `--help` and docs/settings.md. What serves reads it by tuning.py, checked."""

from __future__ import annotations

from pathlib import Path

import yaml

from frontend.configuration.deadlines_limits_intervals import SETTINGS

FILE = Path(__file__).resolve().parents[2] / "config.yml"


def defaults() -> dict[str, str]:
    """setting -> default as it is written there; `?` where the file can't tell."""
    try:
        document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        document = {}
    found: dict[str, str] = {}
    for name in SETTINGS:
        section, _, key = name.partition(".")
        values = document.get(section) if isinstance(document, dict) else None
        value = values.get(key) if isinstance(values, dict) else None
        found[name] = "?" if value is None else str(value)
    return found
