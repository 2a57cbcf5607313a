"""The variable CALLBACKS: to which address the finished calls of a key go, and with which secrets they are signed.

{"clinic-a": {"url": "https://receiver.example/tosia", "secrets": ["whsec_..."], "language": "es"}}
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from runtime.messages.languages import DEFAULT, Language

SECRET_PREFIX = "whsec_"  # noqa: S105 - no secret: how Standard Webhooks marks one
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
MOST_SECRETS = 2  # the one in use, and the one before or after it
MOST_RECEIVERS = 100  # each is looked after on its own


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a key's finished calls go. url: may hold a secret path; secrets: `whsec_<base64>`, one or two"""

    key_name: str
    url: SecretStr
    secrets: tuple[SecretStr, ...]
    language: Language


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    url: str
    secrets: list[str] = Field(min_length=1, max_length=MOST_SECRETS)
    language: str = DEFAULT.value


_GIVEN = TypeAdapter(dict[str, _Given])


def secret_bytes(text: str) -> bytes | None:
    """Return the bytes of a secret `whsec_<base64>`; None where it is none."""
    if not text.startswith(SECRET_PREFIX):
        return None
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES else None


def read_receivers(
    text: str, key_names: Collection[str] | None, wrong: list[str], *, allow_inside: bool
) -> dict[str, Receiver]:
    """Return the receivers by the key's name. What is wrong never quotes a secret or an address.

    key_names: the keys that there are; None where this process has none
    allow_inside: addresses may be private, and without TLS on loopback
    """
    if not text:
        return {}
    try:
        given = _GIVEN.validate_json(text)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        wrong.append(
            f"CALLBACKS can't be read{f' at {place}' if place else ''}: give it as JSON, "
            '{"KEY NAME": {"url": "https://...", "secrets": ["whsec_..."]}}'
        )
        return {}
    if len(given) > MOST_RECEIVERS:
        wrong.append(f"CALLBACKS names {len(given)} keys: {MOST_RECEIVERS} can have a receiver")
    found: dict[str, Receiver] = {}
    for name, one in given.items():
        if key_names is not None and name not in key_names:
            wrong.append(f"CALLBACKS names the key {name!r}, which API_KEY and INTAKE_KEY do not")
        problem = _problem(one.url, allow_inside=allow_inside)
        if problem:
            wrong.append(f"CALLBACKS: the url of {name!r} {problem}")
        if any(secret_bytes(secret) is None for secret in one.secrets):
            wrong.append(
                f"CALLBACKS: a secret of {name!r} is none: whsec_ and the base64 of {LEAST_SECRET_BYTES} to "
                f"{MOST_SECRET_BYTES} bytes"
            )
        if one.language not in set(Language):
            wrong.append(f"CALLBACKS: the language of {name!r} is not one of {', '.join(Language)}")
        else:
            secrets = tuple(SecretStr(secret) for secret in one.secrets)
            found[name] = Receiver(name, SecretStr(one.url), secrets, Language(one.language))
    return found


def _problem(url: str, *, allow_inside: bool) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return "is not an address: give it as https://..."
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        return "is not an address: give it as https://..., without a user and a fragment"
    if parts.scheme == "http" and not (allow_inside and _is_loopback(parts.hostname)):
        return "is not https: records must not travel in clear"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
