"""The environment variables that settings.py reads: their meanings and their defaults, which are defined here only.

Keep imports minimal: `--help` shows the variables, and the server's start must not wait for them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frontend.configuration.deadlines_limits_intervals import CONFIG_VARIABLE


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. default: the text used if the variable is not set; None if there is no default."""

    meaning: str
    default: str | None = None


VARIABLES = {
    "API_KEY": Variable("required: a key for X-API-Key, or name:key pairs separated by commas"),
    "TRITON_URL": Variable("required: Triton's gRPC address, host:port or dns:///name:port"),
    CONFIG_VARIABLE: Variable("a file like config.yml with the settings that differ (below, and docs/settings.md)"),
    # So that a forgotten variable never writes calls to a container's disk.
    "TOSIA_STORES": Variable("azure, or embedded: a folder and SQLite, for one process", "azure"),
    "TOSIA_VAR": Variable("folder of the embedded stores", str(Path(__file__).resolve().parents[2] / "var")),
    "TOSIA_IDENTITY": Variable("key, or workload: Azure is asked with the identity of the process", "key"),
    "BLOB_CONNECTION": Variable("required with azure, without BLOB_ENDPOINT: the storage account's connection string"),
    "BLOB_ENDPOINT": Variable("https address of the storage account, asked with the identity of the process"),
    "BLOB_CONTAINER": Variable("required with azure: the container that holds the calls' audio"),
    "COSMO_ENDPOINT": Variable("required with azure: https address of the Cosmos DB account"),
    "COSMO_KEY": Variable("required with azure, unless TOSIA_IDENTITY is workload: the account's key"),
    "COSMO_DATABASE": Variable("the database in it", "tosia"),
    "COSMO_CONTAINER": Variable("the container in it that holds the calls' records", "calls"),
    "INTAKE_QUEUE": Variable("queue of storage events, for `intake` (docs/intake.md); beside it lies NAME-poison"),
    "QUEUE_ENDPOINT": Variable("https address of the queues, asked with the identity of the process"),
    "INTAKE_KEY": Variable("name of the key to whose receiver the calls of `intake` go (CALLBACKS)"),
    "CALLBACKS": Variable("JSON: where the finished calls of a key go, and secrets to sign with (docs/callbacks.md)"),
    "CALLBACKS_ALLOW_PRIVATE": Variable("1: receivers may have private and loopback addresses", "0"),
    "ALLOW_UNVALIDATED": Variable("1: models that are not validated are served from the Azure stores, too", "0"),
    "CANDIDATE_TRITON_URL": Variable("gRPC address of a Triton with a candidate release (docs/rollout.md)"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": Variable("address that traces are posted to; without it there are none "
    "(docs/traces.md)"),
    "TRITON_MAY_SLEEP": Variable("1: Triton may be scaled to zero, so that being away at the start is nothing "
    "unusual", "0"),
}  # fmt: skip

# With one of these somebody else may read calls, or post to a collector or a receiver. No child process gets them:
# decoders run there.
SECRETS = (
    "API_KEY",
    "BLOB_CONNECTION",
    "COSMO_KEY",
    "CALLBACKS",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
)


def described(width: int) -> str:
    """Describe each variable on one line, or on more lines where it is longer than `width` columns."""
    texts = {
        name: variable.meaning + ("" if variable.default is None else f" (default: {variable.default})")
        for name, variable in VARIABLES.items()
    }
    return in_columns(texts, width)


def in_columns(texts: Mapping[str, str], width: int) -> str:
    """Format names on the left and texts on the right."""
    column = max(map(len, texts)) + 4
    width = max(width, column + 20)  # on a narrower terminal the lines break anyway
    lines: list[str] = []
    for name, text in texts.items():
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=f"  {name}".ljust(column),
            subsequent_indent=" " * column,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)
