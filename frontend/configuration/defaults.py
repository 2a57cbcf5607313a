"""The defaults of config.yml as text, for `--help` and docs/settings.md. The server reads them through tuning.py."""

from __future__ import annotations

from pathlib import Path

import yaml

from frontend.configuration.deadlines_limits_intervals import SETTINGS

FILE = Path(__file__).resolve().parents[2] / "config.yml"


def defaults() -> dict[str, str]:
    """Return setting -> default as written in config.yml; `?` where it can't be read."""
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
