"""The shell variables of a deployment, checked before any change: one line names every missing or wrong variable."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from k8s.tools.deploy.release import ReleaseError, release_path

CHECKOUT = Path(__file__).resolve().parents[3]
MANIFESTS = CHECKOUT / "k8s" / "manifests"
OVERLAYS = tuple(sorted(path.parent.name for path in (MANIFESTS / "overlays").glob("*/kustomization.yaml")))
COMPONENTS = tuple(sorted(path.parent.name for path in (MANIFESTS / "components").glob("*/kustomization.yaml")))
ALWAYS = "gateway"  # the component that overlays/azure has already; `nginx` takes its place
CLUSTER = "tosia"
RECEIVERS = ("CALLBACKS", "INTAKE_KEY")  # of components/callbacks, in the Secret
DEFAULT = "default"  # FRONTEND_CONFIG: return to the manifests' own file
GIVEN = "# Given by FRONTEND_CONFIG; the cluster remembers it."  # the first line of such a file in the cluster
_CONTAINER = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")
_QUEUE = re.compile(r"(?=.{3,56}$)[a-z0-9](-?[a-z0-9])+")  # a queue's name has 63 at most, and `-poison` follows
_COSMOS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_RELEASE = re.compile(r"as://[a-z0-9]{3,24}/[a-z0-9-]{3,63}/[A-Za-z0-9._/-]+")
_LOCAL_RELEASE = re.compile(r"tosia-frontend:\w[\w.-]{0,127}")  # OVERLAY=cpu: the release in a front end's image
_IMAGE = "tosia-frontend:TAG, the image whose release it is"
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class EnvironmentProblem(ValueError):
    """Some variables are missing or wrong; the message is one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster and the form of the system.

    context: kubectl's; None: the current context
    nodepool: whether auto-provisioning creates GPU nodes
    """

    overlay: str
    components: tuple[str, ...]
    context: str | None
    nodepool: bool

    @property
    def by_ingress(self) -> bool:
        """Whether calls come in by an Ingress, not by a Gateway."""
        return self.has("nginx")

    @property
    def on_azure(self) -> bool:
        return self.overlay != "cpu"

    def has(self, component: str) -> bool:
        return component in (self.overlay, *self.components)


@dataclass(frozen=True, slots=True)
class Intake:
    """What takes recordings from a queue (docs/intake.md).

    settings: for its ConfigMap; account: the storage account
    client_id: its identity; scaler_client_id: KEDA's, to count messages; None: keep the cluster's value
    """

    settings: Mapping[str, str]
    account: str
    client_id: str | None
    scaler_client_id: str | None


@dataclass(frozen=True, slots=True)
class Values:
    """One deployment.

    secrets: names and values for the Secret; never written or printed
    settings: for the front end's ConfigMap
    triton: for Triton's ConfigMap; None where the overlay has its own model
    host, frontend_client_id, triton_client_id: None: keep the cluster's value
    front_end: the text of the front end's settings file; empty: the manifests' own; None: keep the cluster's
    intake: None: the component is not named
    """

    target: Target
    build_number: str
    settings: Mapping[str, str]
    triton: Mapping[str, str] | None
    host: str | None
    frontend_client_id: str | None
    triton_client_id: str | None
    secrets: Mapping[str, str] = field(repr=False)
    front_end: str | None = None
    intake: Intake | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release that runs beside the serving one. release: its path; with OVERLAY=cpu the image that holds it"""

    target: Target
    release: str


def read_candidate(environ: Mapping[str, str]) -> Candidate:
    """Read which release is the candidate; nothing else of a deployment is needed. Raises: EnvironmentProblem."""
    wrong: list[str] = []
    target = _target(environ, wrong)
    pattern, form = (_RELEASE, "as://ACCOUNT/CONTAINER/releases/...") if target.on_azure else (_LOCAL_RELEASE, _IMAGE)
    release = _required(environ, "RELEASE", f"the candidate's, {form}", wrong)
    if release and not pattern.fullmatch(release):
        wrong.append(f"RELEASE is not a candidate's: give {form}")
    if wrong:
        raise EnvironmentProblem("; ".join(wrong) + ".")
    return Candidate(target, release)


def read_target(environ: Mapping[str, str]) -> Target:
    """Read the cluster and the form of the system. Raises: EnvironmentProblem."""
    wrong: list[str] = []
    target = _target(environ, wrong)
    if wrong:
        raise EnvironmentProblem("; ".join(wrong) + ".")
    return target


def read_values(environ: Mapping[str, str], *, with_secrets: bool = True) -> Values:
    """Read all values. with_secrets: whether keys are required; only the verbs that send keys to the cluster need them.

    Raises: EnvironmentProblem.
    """
    wrong: list[str] = []
    target = _target(environ, wrong)
    build_number = _required(environ, "BUILD_NUMBER", "the image's tag, a build number of the pipeline", wrong)
    if build_number and not re.fullmatch(r"[1-9][0-9]*", build_number):
        wrong.append("BUILD_NUMBER is not a number: give the tag that the pipeline gave the image")
    secrets: dict[str, str] = {}
    if with_secrets:
        secrets["API_KEY"] = _required(environ, "API_KEY", "what callers authenticate with", wrong)
        if secrets["API_KEY"]:
            _check_api_keys(secrets["API_KEY"], wrong)
    settings, triton = _azure(environ, secrets, wrong, with_secrets=with_secrets) if target.on_azure else ({}, None)
    host, frontend_id, triton_id = (
        _optional(environ, name, pattern, what, wrong)
        for name, pattern, what in (
            ("INGRESS_HOST", _HOST, "a host's name"),
            ("FRONTEND_CLIENT_ID", _UUID, "a client id"),
            ("TRITON_CLIENT_ID", _UUID, "a client id"),
        )
    )
    front_end = _front_end(environ, wrong)
    intake = _intake(environ, settings, triton, wrong) if triton is not None and target.has("intake") else None
    if with_secrets:
        secrets |= _receivers(environ, target, wrong)
    if wrong:
        raise EnvironmentProblem("; ".join(wrong) + ".")
    return Values(target, build_number, settings, triton, host, frontend_id, triton_id, secrets, front_end, intake)


def _intake(
    environ: Mapping[str, str], settings: Mapping[str, str], triton: Mapping[str, str], wrong: list[str]
) -> Intake:
    """Read what the intake needs beside the front end's settings. It has no key, whatever has named the account."""
    blobs = settings["BLOB_ENDPOINT"]
    account = _account_of(blobs) or triton["account"]
    queue = _optional(environ, "INTAKE_QUEUE", _QUEUE, "a queue's name of 3 to 56 characters", wrong) or "calls-landed"
    client_id, scaler_client_id = (
        _optional(environ, name, _UUID, "a client id", wrong)
        for name in ("INTAKE_CLIENT_ID", "INTAKE_SCALER_CLIENT_ID")
    )
    own = {
        "INTAKE_QUEUE": queue,
        "QUEUE_ENDPOINT": f"https://{account}.queue.core.windows.net",
        "BLOB_ENDPOINT": blobs or f"https://{account}.blob.core.windows.net",
    }
    return Intake(own, account, client_id, scaler_client_id)


def _receivers(environ: Mapping[str, str], target: Target, wrong: list[str]) -> dict[str, str]:
    """Read what the Secret holds for callbacks; the front end itself checks its content."""
    found = {name: environ.get(name, "").strip() for name in RECEIVERS}
    given = {name: value for name, value in found.items() if value}
    if given and not target.has("callbacks"):
        wrong.append(f"{' and '.join(given)} given, but COMPONENTS does not name callbacks: nothing would read it")
    try:
        readable = isinstance(json.loads(given.get("CALLBACKS", "{}")), dict)
    except ValueError:
        readable = False
    if not readable:
        wrong.append('CALLBACKS is not JSON like {"KEY NAME": {"url": "https://...", "secrets": ["whsec_..."]}}')
    return given


def _front_end(environ: Mapping[str, str], wrong: list[str]) -> str | None:
    """Read the file in FRONTEND_CONFIG. The front end itself and `make manifests` check its content."""
    name = _without_quotes(environ, "FRONTEND_CONFIG", wrong)
    if not name:
        return None
    if name == DEFAULT:
        return ""
    try:
        text = Path(CHECKOUT, name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        wrong.append(f"FRONTEND_CONFIG names {name}, which can't be read ({reason}): a path, or {DEFAULT}")
        return None
    return text if text.startswith(GIVEN) else f"{GIVEN}\n{text}"


def _target(environ: Mapping[str, str], wrong: list[str]) -> Target:
    overlay = environ.get("OVERLAY", "") or "azure"
    components = tuple(name for name in environ.get("COMPONENTS", "").split() if name != ALWAYS)
    if overlay not in OVERLAYS:
        wrong.append(f"OVERLAY is {overlay!r}: one of {', '.join(OVERLAYS)}")
    for name in sorted(set(components) - set(COMPONENTS)):
        wrong.append(f"COMPONENTS names {name!r}: there are {', '.join(COMPONENTS)}")
    if components and overlay != "azure":
        wrong.append("COMPONENTS go on top of OVERLAY=azure only")
    nodepool = environ.get("NODEPOOL", "") or "auto"
    if nodepool not in ("auto", "none"):
        wrong.append(f"NODEPOOL is {nodepool!r}: auto or none")
    on_azure = overlay != "cpu"
    context = environ.get("CONTEXT", "") or (CLUSTER if on_azure else None)
    return Target(overlay, components, context, on_azure and nodepool == "auto")


def _azure(
    environ: Mapping[str, str], secrets: dict[str, str], wrong: list[str], *, with_secrets: bool
) -> tuple[dict[str, str], dict[str, str]]:
    identity = environ.get("TOSIA_IDENTITY", "") or "key"
    if identity not in ("key", "workload"):
        wrong.append(f"TOSIA_IDENTITY is {identity!r}: set it to workload, or leave it out to use keys")
    workload = identity == "workload"
    if workload:
        endpoint = _required(environ, "BLOB_ENDPOINT", "https://ACCOUNT.blob.core.windows.net", wrong)
        account = _account_of(endpoint)
        if endpoint and not account:
            wrong.append("BLOB_ENDPOINT names no storage account: give https://ACCOUNT.blob.core.windows.net")
    else:
        endpoint, account = "", _by_keys(environ, secrets, wrong, with_secrets=with_secrets)
    container = _required(environ, "BLOB_CONTAINER", "the container with audio and releases", wrong)
    if container and not _CONTAINER.fullmatch(container):
        wrong.append("BLOB_CONTAINER is not a container's name")
    cosmos = _required(environ, "COSMO_ENDPOINT", "https://ACCOUNT.documents.azure.com", wrong)
    if cosmos and not _is_https(cosmos):
        wrong.append("COSMO_ENDPOINT is not an address: give https://ACCOUNT.documents.azure.com")
    allow = environ.get("ALLOW_UNVALIDATED", "") or "0"
    if allow not in ("0", "1"):
        wrong.append(f"ALLOW_UNVALIDATED is {allow!r}: set it to 1, or leave it out")
    settings = {
        "TOSIA_STORES": "azure",
        "TOSIA_IDENTITY": identity,
        "BLOB_CONTAINER": container,
        "BLOB_ENDPOINT": endpoint,
        "COSMO_ENDPOINT": cosmos,
        "COSMO_DATABASE": _optional(environ, "COSMO_DATABASE", _COSMOS_NAME, "a database's name", wrong) or "tosia",
        "COSMO_CONTAINER": _optional(environ, "COSMO_CONTAINER", _COSMOS_NAME, "a container's name", wrong) or "calls",
        "ALLOW_UNVALIDATED": allow,
    }
    release = environ.get("RELEASE", "")
    if release and not _RELEASE.fullmatch(release):
        wrong.append("RELEASE is not a path: give what `make publish` printed, as://ACCOUNT/CONTAINER/releases/...")
    try:
        repository = release or f"as://{account}/{container}/{release_path(CHECKOUT / 'model_repository')}"
    except ReleaseError as error:
        repository = ""
        wrong.append(str(error))
    return settings, {"repository": repository, "account": repository.removeprefix("as://").partition("/")[0]}


def _by_keys(environ: Mapping[str, str], secrets: dict[str, str], wrong: list[str], *, with_secrets: bool) -> str:
    """Return the storage account; add the keys to `secrets`."""
    connection = _required(environ, "BLOB_CONNECTION", "the storage account's connection string", wrong)
    account = _account_of_connection(connection)
    if connection and not account:
        wrong.append("BLOB_CONNECTION names no storage account: copy the connection string as a whole")
    elif connection and not _can_sign(connection):
        wrong.append("BLOB_CONNECTION holds no key or signature, or is not https: copy it as a whole, without quotes")
    if with_secrets:
        secrets["BLOB_CONNECTION"] = connection
        secrets["COSMO_KEY"] = _required(environ, "COSMO_KEY", "the Cosmos DB account's key", wrong)
        if secrets["COSMO_KEY"] and not _is_base64(secrets["COSMO_KEY"]):
            wrong.append("COSMO_KEY is not a key: copy it from the Cosmos DB account")
    return account


def _check_api_keys(text: str, wrong: list[str]) -> None:
    """Check keys as frontend/configuration/settings.py does; this module can't import it; a test compares the two."""
    names = []
    for number, part in enumerate(text.split(",")):
        pair = part.removeprefix(" ") if number else part  # one blank may follow a comma
        name, separator, key = pair.partition(":")
        name, key = (name, key) if separator else ("default", name)
        names.append(name)
        quoted = any(given != given.strip("\"'") for given in (name, key))
        if quoted or not name or not name.isprintable() or " " in name or not re.fullmatch(r"[!-+\--9;-~]+", key):
            wrong.append("API_KEY can't be used: one bare key, or name:key pairs separated by commas, without blanks")
            return
    if len(set(names)) < len(names):
        wrong.append("API_KEY names a key twice: give each a name of its own")


def _can_sign(connection: str) -> bool:
    parts = _parts(connection)
    addresses = [value for name, value in parts.items() if name.endswith("endpoint")]
    if parts.get("defaultendpointsprotocol", "https") != "https" or not all(
        _is_https(address) for address in addresses
    ):
        return False
    return _is_base64(parts.get("accountkey", "")) or bool(parts.get("sharedaccesssignature"))


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _parts(connection: str) -> dict[str, str]:
    return {name.strip().lower(): value for name, _, value in (part.partition("=") for part in connection.split(";"))}


def _required(environ: Mapping[str, str], name: str, what: str, wrong: list[str]) -> str:
    value = _without_quotes(environ, name, wrong)
    if not value:
        wrong.append(f"{name} is missing: {what}")
    elif not value.isprintable():
        wrong.append(f"{name} holds a line break or another character that no value has: copy it again")
    return value


def _optional(
    environ: Mapping[str, str], name: str, pattern: re.Pattern[str], what: str, wrong: list[str]
) -> str | None:
    value = _without_quotes(environ, name, wrong)
    if value and not pattern.fullmatch(value):
        wrong.append(f"{name} is not {what}")
    return value or None


def _without_quotes(environ: Mapping[str, str], name: str, wrong: list[str]) -> str:
    """Return a value without the shell's white space; report stray quotes, as the front end does."""
    value = environ.get(name, "").strip()
    bare = value.strip("\"'")
    if bare != value:
        wrong.append(f"{name} has quotes around it: take them away")
    return bare


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme == "https" and bool(parts.hostname) and not parts.username and not parts.query


def _account_of(endpoint: str) -> str:
    """Return the storage account in an address; empty where there is none."""
    host = (urlsplit(endpoint).hostname or "") if _is_https(endpoint) else ""
    account, _, rest = host.partition(".")
    return account if rest.startswith("blob.") and _ACCOUNT.fullmatch(account) else ""


def _account_of_connection(connection: str) -> str:
    parts = _parts(connection)
    account = parts.get("accountname", "") or _account_of(parts.get("blobendpoint", ""))
    return account if _ACCOUNT.fullmatch(account) else ""
