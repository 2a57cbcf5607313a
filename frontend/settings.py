"""The environment, read once and checked: everything that is missing or wrong is named in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.config import ROOT

_KEY = re.compile(r"[!-+\--9;-~]+")  # printable ASCII without blank, comma and colon


class SettingsError(ValueError):
    """The environment can't be used; the message names all that is missing or wrong, in one line."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and the name that audit lines call it by; the key never shows in a representation."""

    name: str
    key: str

    def __repr__(self) -> str:
        return f"ApiKey(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    stores: `embedded`; var: the folder of the embedded stores; triton_url: `host:port` or `dns:///name:port`
    """

    api_keys: tuple[ApiKey, ...]
    stores: str
    var: Path
    triton_url: str


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Raises: SettingsError."""
    wrong: list[str] = []
    api_keys = _api_keys(environ.get("API_KEY", ""), wrong)
    stores = environ.get("TOSIA_STORES", "azure")
    if stores == "azure":
        # docs/decisions/0008: the default stays what production needs, so that a forgotten variable never writes calls
        # to a container's disk; the Azure stores come behind the same protocols.
        wrong.append("TOSIA_STORES is azure (the default), which this version does not have yet: set it to embedded")
    elif stores != "embedded":
        wrong.append(f"TOSIA_STORES is {stores!r}: set it to azure or embedded")
    triton_url = environ.get("TRITON_URL", "")
    if not triton_url:
        wrong.append("TRITON_URL is missing: set it to Triton's gRPC address, host:port or dns:///name:port")
    elif not re.fullmatch(r"(dns:///)?[^\s/:]+:\d{1,5}", triton_url):
        wrong.append("TRITON_URL is not host:port or dns:///name:port")
    if wrong:
        raise SettingsError("; ".join(wrong) + ".")
    return Settings(api_keys, stores, Path(environ.get("TOSIA_VAR", ROOT / "var")), triton_url)


def _api_keys(text: str, wrong: list[str]) -> tuple[ApiKey, ...]:
    """One bare key, or `name:key` pairs separated by commas, so that keys can be rotated."""
    if not text.strip():
        wrong.append("API_KEY is missing or empty: set it to a key, or to name:key pairs separated by commas")
        return ()
    keys: list[ApiKey] = []
    for part in text.split(","):
        name, separator, key = part.strip().partition(":")
        one = ApiKey(name, key) if separator else ApiKey("default", name)
        if not one.key or not one.name:
            wrong.append("API_KEY holds an empty key or name: give each pair as name:key")
        elif not _KEY.fullmatch(one.key):
            wrong.append(f"API_KEY's key {one.name!r} has characters that a header or a list of pairs can't carry")
        elif any(one.name == other.name for other in keys):
            wrong.append(f"API_KEY names {one.name!r} twice: give each key a name of its own")
        else:
            keys.append(one)
    return tuple(keys)
