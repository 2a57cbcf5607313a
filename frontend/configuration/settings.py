"""All settings, read once and checked: one line names every missing or wrong setting."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from frontend.configuration.receivers import Receiver, read_receivers
from frontend.configuration.strays import without_strays
from frontend.configuration.traces import read_traces
from frontend.configuration.tuning import Number, Tuning, image_tuning, read_tuning
from frontend.configuration.variables import VARIABLES
from frontend.domain.trace_settings import TraceSettings

_KEY = re.compile(r"[!-+\--9;-~]+")  # printable ASCII without blank, comma and colon
_CONTAINER = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")
_QUEUE = re.compile(r"[a-z0-9](-?[a-z0-9]){2,}")
_MOST_QUEUE_CHARACTERS = 56  # a queue's name has 63 at most, and `-poison` follows
_TRITON = re.compile(r"(dns:///)?[^\s/:]+:\d{1,5}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsError(ValueError):
    """Some settings can't be used; the message names every missing or wrong setting in one line.

    wrong: each of them, without a full stop
    """

    def __init__(self, *wrong: str) -> None:
        super().__init__("; ".join(wrong) + ".")
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, and its name in audit lines."""

    name: str
    key: SecretStr


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """The addresses of audio and records on Azure, and the keys or the identity used for them.

    blob_connection: a connection string; None: `blob_endpoint` with the identity of this process
    cosmos_key: None: the identity of this process
    """

    blob_connection: SecretStr | None
    blob_endpoint: str
    blob_container: str
    cosmos_endpoint: str
    cosmos_key: SecretStr | None
    cosmos_database: str
    cosmos_container: str

    @property
    def needs_identity(self) -> bool:
        """Whether any store is used with the identity of this process."""
        return self.blob_connection is None or self.cosmos_key is None


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """The queue of storage events.

    connection: a connection string; None: `endpoint`, with the identity of this process
    key_name: of the key to which its calls belong
    """

    queue: str
    connection: SecretStr | None
    endpoint: str
    key_name: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings: addresses, keys, and the tuning by an operator.

    azure: None: use the embedded stores, in the folder `var`; triton_url: `host:port` or `dns:///name:port`
    allow_unvalidated: whether the Azure stores may hold answers of a model with `validated: false`
    candidate_triton_url: in the form of `triton_url`; empty: there is no candidate
    triton_may_sleep: whether Triton may be scaled to zero: then do not fail startup while it is away
    traces: None: there are none
    tuning: by default the values of the image's config.yml
    intake: None: no queue of storage events is named
    receivers: by the key's name; callbacks_allow_private: they may be at private and loopback addresses
    """

    api_keys: tuple[ApiKey, ...]
    azure: AzureSettings | None
    var: Path
    triton_url: str
    allow_unvalidated: bool
    triton_may_sleep: bool = False
    candidate_triton_url: str = ""
    traces: TraceSettings | None = None
    tuning: Tuning = field(default_factory=image_tuning)
    intake: IntakeSettings | None = None
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    callbacks_allow_private: bool = False


def read_settings(
    environ: Mapping[str, str], command_line: Mapping[str, Number] | None = None, *, serves: bool = True
) -> Settings:
    """Read and check all settings. command_line: setting -> value, overrides the environment. Raises: SettingsError.

    serves: False for a process that answers no requests, and so needs no keys
    """
    wrong: list[str] = []
    api_keys = _api_keys(environ.get("API_KEY", ""), wrong) if serves or environ.get("API_KEY") else ()
    stores = _text(environ, "TOSIA_STORES", wrong)
    azure = _azure(environ, wrong) if stores == "azure" else None
    if stores not in ("azure", "embedded"):
        wrong.append(f"TOSIA_STORES is {stores!r}: set it to azure or embedded")
    intake = _intake(environ, azure, wrong)
    triton_url = _text(environ, "TRITON_URL", wrong)
    if not triton_url:
        wrong.append("TRITON_URL is missing: set it to Triton's gRPC address, host:port or dns:///name:port")
    elif not _TRITON.fullmatch(triton_url):
        wrong.append("TRITON_URL is not host:port or dns:///name:port")
    candidate_url = _text(environ, "CANDIDATE_TRITON_URL", wrong)
    if candidate_url and not _TRITON.fullmatch(candidate_url):
        wrong.append("CANDIDATE_TRITON_URL is not host:port or dns:///name:port")
    elif candidate_url and candidate_url == triton_url:
        wrong.append("CANDIDATE_TRITON_URL is TRITON_URL: a candidate has a Triton of its own")
    allow, may_sleep, allow_private = (
        _switch(environ, name, wrong) for name in ("ALLOW_UNVALIDATED", "TRITON_MAY_SLEEP", "CALLBACKS_ALLOW_PRIVATE")
    )
    # Also of a front end, which has no queue: it sends the intake's calls, too, and has the same CALLBACKS.
    names = {key.name for key in api_keys} | ({_text(environ, "INTAKE_KEY", [])} - {""})
    receivers = read_receivers(
        _text(environ, "CALLBACKS", wrong), names if api_keys else None, wrong, allow_inside=allow_private
    )
    var = Path(_text(environ, "TOSIA_VAR", wrong))
    traces = read_traces(environ, wrong)
    tuning, wrongly_tuned = read_tuning(environ, command_line)
    wrong += wrongly_tuned
    if wrong or tuning is None:
        raise SettingsError(*wrong)
    return Settings(
        api_keys,
        azure,
        var,
        triton_url,
        allow,
        may_sleep,
        candidate_url,
        traces,
        tuning,
        intake,
        receivers,
        allow_private,
    )


def _text(environ: Mapping[str, str], name: str, wrong: list[str]) -> str:
    """Return the variable's text; an empty variable counts as not set, and has its default or an empty text."""
    return without_strays(name, environ.get(name, ""), wrong) or VARIABLES[name].default or ""


def _switch(environ: Mapping[str, str], name: str, wrong: list[str]) -> bool:
    value = _text(environ, name, wrong)
    if value not in ("0", "1"):
        wrong.append(f"{name} is {value!r}: set it to 1, or leave it out")
    return value == "1"


def _azure(environ: Mapping[str, str], wrong: list[str]) -> AzureSettings:
    identity = _text(environ, "TOSIA_IDENTITY", wrong)
    workload = identity == "workload"
    if identity not in ("key", "workload"):
        wrong.append(f"TOSIA_IDENTITY is {identity!r}: set it to workload, or leave it out to use keys")
    connection, endpoint = (_text(environ, name, wrong) for name in ("BLOB_CONNECTION", "BLOB_ENDPOINT"))
    if endpoint and (workload or not connection):
        connection = ""  # an identity is used instead of a key
        _check_endpoint("BLOB_ENDPOINT", endpoint, wrong)
    elif not connection:
        wrong.append("BLOB_CONNECTION is missing: set it to the storage account's connection string, or BLOB_ENDPOINT")
    else:
        url = url_of_connection(connection)
        if url is None:
            wrong.append("BLOB_CONNECTION can't be read: copy the connection string from the storage account")
        else:
            _check_endpoint("BLOB_CONNECTION's address", url, wrong)
    container = _text(environ, "BLOB_CONTAINER", wrong)
    if not _CONTAINER.fullmatch(container):
        problem = "is not a container's name" if container else "is missing"
        wrong.append(f"BLOB_CONTAINER {problem}: set it to the container that holds the calls' audio")
    cosmos_endpoint, key = (_text(environ, name, wrong) for name in ("COSMO_ENDPOINT", "COSMO_KEY"))
    if cosmos_endpoint:
        _check_endpoint("COSMO_ENDPOINT", cosmos_endpoint, wrong)
    else:
        wrong.append("COSMO_ENDPOINT is missing: set it to the Cosmos DB account's address")
    if not workload and not key:
        wrong.append("COSMO_KEY is missing: set it to the account's key, or TOSIA_IDENTITY to workload")
    elif not workload and not _is_base64(key):
        wrong.append("COSMO_KEY is not a key: copy it from the Cosmos DB account")
    return AzureSettings(
        SecretStr(connection) if connection else None,
        endpoint,
        container,
        cosmos_endpoint,
        None if workload else SecretStr(key),
        _text(environ, "COSMO_DATABASE", wrong),
        _text(environ, "COSMO_CONTAINER", wrong),
    )


def _intake(environ: Mapping[str, str], azure: AzureSettings | None, wrong: list[str]) -> IntakeSettings | None:
    queue, endpoint = (_text(environ, name, wrong) for name in ("INTAKE_QUEUE", "QUEUE_ENDPOINT"))
    key_name = _text(environ, "INTAKE_KEY", wrong) or None
    if not queue:
        return None
    if not _QUEUE.fullmatch(queue) or len(queue) > _MOST_QUEUE_CHARACTERS:
        wrong.append("INTAKE_QUEUE is not a queue's name: 3 to 56 lower-case letters, digits and single hyphens")
    if azure is None:
        wrong.append("INTAKE_QUEUE is set, but the stores are embedded: storage events need TOSIA_STORES=azure")
        return None
    if endpoint:
        _check_endpoint("QUEUE_ENDPOINT", endpoint, wrong)
        return IntakeSettings(queue, None, endpoint, key_name)
    if azure.blob_connection is None:
        wrong.append("QUEUE_ENDPOINT is missing: set it to the https address of the account's queues")
    return IntakeSettings(queue, azure.blob_connection, "", key_name)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _check_endpoint(name: str, url: str, wrong: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        wrong.append(f"{name} is not an address: give it as https://...")
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        wrong.append(f"{name} is not https: keys and recordings must not travel in clear")


def url_of_connection(connection: str) -> str | None:
    """Return the address in a connection string, as the SDK reads it; None where the SDK can't read it, or where it
    holds no credential.
    """
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415 - half a second of imports

    try:
        url = str(BlobServiceClient.from_connection_string(connection).url).partition("?")[0]  # a SAS follows
        parts = {name.lower(): value for name, _, value in (part.partition("=") for part in connection.split(";"))}
        key = base64.b64decode(parts.get("accountkey", ""), validate=True)
    except ValueError:
        return None
    return url if key or parts.get("sharedaccesssignature") else None


def _api_keys(text: str, wrong: list[str]) -> tuple[ApiKey, ...]:
    """Parse one bare key, or `name:key` pairs separated by commas, so that keys can be rotated."""
    text = without_strays("API_KEY", text, wrong, inside=False)
    if not text.strip():
        wrong.append("API_KEY is missing or empty: set it to a key, or to name:key pairs separated by commas")
        return ()
    keys: list[ApiKey] = []
    for number, part in enumerate(text.split(","), start=1):
        pair = part.removeprefix(" ") if number > 1 else part  # one blank may follow a comma
        place = f"pair {number}"
        name, separator, key = without_strays(f"API_KEY's {place}", pair, wrong, inside=False).partition(":")
        if separator:
            name = without_strays(f"API_KEY's name in {place}", name, wrong)
            key = without_strays(f"API_KEY's key in {place}", key, wrong)
        else:
            name, key = "default", name
        if not key or not name:
            wrong.append("API_KEY holds an empty key or name: give each pair as name:key")
        elif not _KEY.fullmatch(key) or not name.isprintable() or " " in name:
            wrong.append(f"API_KEY's key {name!r} has characters that a header or a list of pairs can't carry")
        elif any(name == other.name for other in keys):
            wrong.append(f"API_KEY names {name!r} twice: give each key a name of its own")
        else:
            keys.append(ApiKey(name, SecretStr(key)))
    return tuple(keys)
