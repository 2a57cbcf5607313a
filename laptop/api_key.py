"""The API key: the caller's own from $API_KEY, or a key that is generated once and kept in var/api_key."""

from __future__ import annotations

import os
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from laptop.errors import SetupError


@dataclass(frozen=True, slots=True)
class Key:
    """value: as the front end reads $API_KEY; shell: how a shell line gets at the key; generated: by us, so we may
    print it.
    """

    value: str
    shell: str
    generated: bool


def api_key(var: Path) -> Key:
    """$API_KEY if that is set, else the content of `var/api_key`, which is made with mode 0600 where it is missing.

    Raises: SetupError.
    """
    given = os.environ.get("API_KEY")
    if given is not None:
        return Key(given, "${API_KEY##*:}", generated=False)
    path = var / "api_key"
    try:
        var.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(32))
        path.chmod(0o600)
        value = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise SetupError(f"var/api_key can't be used ({error}): remove it, or set API_KEY.") from error
    if not value:
        raise SetupError("var/api_key is empty: remove it, or set API_KEY.")
    return Key(value, f"$(cat {shlex.quote(str(path))})", generated=True)


def _write_secret(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(value + "\n")
