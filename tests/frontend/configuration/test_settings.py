"""The environment: what is taken, and that all that is wrong is named in one line."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr

from frontend.api.authenticate import require_key
from frontend.configuration.known_keys import key_digests
from frontend.configuration.settings import ApiKey, Settings, SettingsError, read_settings
from frontend.configuration.traces import ENDPOINT, VARIABLES_OF_TRACES
from frontend.configuration.variables import VARIABLES
from frontend.domain.errors import Unauthorized
from runtime.config import ROOT

GOOD = {"API_KEY": "secret", "TOSIA_STORES": "embedded", "TRITON_URL": "localhost:8001"}
SECRET = base64.b64encode(b"the key of the account").decode()
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=tosia;AccountKey={SECRET};EndpointSuffix=core.windows.net"
AZURE = {
    "API_KEY": "secret",
    "TRITON_URL": "localhost:8001",
    "CANDIDATE_TRITON_URL": "localhost:8002",
    "BLOB_CONNECTION": CONNECTION,
    "BLOB_CONTAINER": "calls",
    "COSMO_ENDPOINT": "https://tosia.documents.azure.com:443/",
    "COSMO_KEY": SECRET,
}
WORKLOAD = {
    **{name: AZURE[name] for name in ("API_KEY", "TRITON_URL", "BLOB_CONTAINER", "COSMO_ENDPOINT")},
    "TOSIA_IDENTITY": "workload",
    "BLOB_ENDPOINT": "https://tosia.blob.core.windows.net",
}


def test_all_that_is_missing_is_named_in_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({})
    message = str(caught.value)
    assert message == "; ".join(caught.value.wrong) + "."
    assert "\n" not in message
    for name in ("API_KEY", "TRITON_URL", "BLOB_CONNECTION", "BLOB_CONTAINER", "COSMO_ENDPOINT", "COSMO_KEY"):
        assert f"{name} is missing" in message


def test_a_bare_key() -> None:
    expected = Settings((ApiKey("default", SecretStr("secret")),), None, ROOT / "var", "localhost:8001", False)
    assert read_settings(GOOD) == expected


def test_pairs_and_the_folder() -> None:
    settings = read_settings({**GOOD, "API_KEY": "old:k1, new:k2", "TOSIA_VAR": "/some/where"})
    assert settings.api_keys == (ApiKey("old", SecretStr("k1")), ApiKey("new", SecretStr("k2")))
    assert settings.var == Path("/some/where")


def test_azure_is_the_default_and_takes_keys() -> None:
    settings = read_settings(AZURE)
    assert settings.azure is not None
    assert not settings.azure.needs_identity
    assert settings.azure.blob_connection == SecretStr(CONNECTION)
    assert settings.azure.cosmos_key == SecretStr(SECRET)
    assert (settings.azure.cosmos_database, settings.azure.cosmos_container) == ("tosia", "calls")
    assert read_settings({**AZURE, "TOSIA_STORES": "azure"}) == settings
    named = read_settings({**AZURE, "COSMO_DATABASE": "d", "COSMO_CONTAINER": "c"}).azure
    assert named is not None
    assert (named.cosmos_database, named.cosmos_container) == ("d", "c")


def test_an_identity_needs_no_keys_and_uses_none() -> None:
    for more in ({}, {"COSMO_KEY": SECRET, "BLOB_CONNECTION": CONNECTION}):
        azure = read_settings({**WORKLOAD, **more}).azure
        assert azure is not None
        assert (azure.blob_connection, azure.cosmos_key) == (None, None)
        assert azure.blob_endpoint == WORKLOAD["BLOB_ENDPOINT"]


def test_either_may_have_an_identity_alone() -> None:
    blob = read_settings({**AZURE, "BLOB_CONNECTION": "", "BLOB_ENDPOINT": WORKLOAD["BLOB_ENDPOINT"]}).azure
    assert blob is not None
    assert (blob.blob_connection, blob.cosmos_key) == (None, SecretStr(SECRET))
    cosmos = read_settings({**AZURE, "TOSIA_IDENTITY": "workload"}).azure
    assert cosmos is not None
    assert (cosmos.blob_connection, cosmos.cosmos_key) == (SecretStr(CONNECTION), None)


def test_a_signature_may_stand_for_the_account_key() -> None:
    text = f"BlobEndpoint=https://tosia.blob.core.windows.net;SharedAccessSignature=sv=2024&sig={SECRET}"
    azure = read_settings({**AZURE, "BLOB_CONNECTION": text}).azure
    assert azure is not None
    assert azure.blob_connection == SecretStr(text)


def test_secrets_do_not_show() -> None:
    for environment in (GOOD, AZURE):
        shown = repr(read_settings(environment)) + str(read_settings(environment))
        assert "secret'" not in shown
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BLOB_CONNECTION", "not a connection string"),
        ("BLOB_CONNECTION", "AccountName=tosia"),
        ("BLOB_CONNECTION", CONNECTION.replace(SECRET, "*" * 8)),
        ("BLOB_CONNECTION", CONNECTION.replace("https", "http")),
        ("BLOB_CONTAINER", "Calls"),
        ("BLOB_CONTAINER", "a/b"),
        ("BLOB_CONTAINER", ""),
        ("COSMO_ENDPOINT", ""),
        ("COSMO_ENDPOINT", "tosia.documents.azure.com"),
        ("COSMO_ENDPOINT", "http://tosia.documents.azure.com"),
        ("COSMO_ENDPOINT", f"https://user:{SECRET}@tosia.documents.azure.com"),
        ("COSMO_KEY", ""),
        ("COSMO_KEY", "not a key!"),
        ("COSMO_KEY", "AAAAA"),
        ("TOSIA_IDENTITY", "managed"),
        ("ALLOW_UNVALIDATED", "yes"),
    ],
)
def test_azure_settings_that_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**AZURE, name: value})
    assert str(caught.value).startswith(name)
    assert SECRET not in str(caught.value)
    assert "not a key!" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["", "ftp://x", "http://tosia.blob.core.windows.net", "https://"])
def test_blob_endpoints_that_are_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"^BLOB_(ENDPOINT|CONNECTION)"):
        read_settings({**WORKLOAD, "BLOB_ENDPOINT": endpoint})


def test_an_emulator_on_loopback_may_speak_plain_http() -> None:
    azure = read_settings({**AZURE, "COSMO_ENDPOINT": "http://127.0.0.1:8081/"}).azure
    assert azure is not None
    assert azure.cosmos_endpoint == "http://127.0.0.1:8081/"


def test_unvalidated_models_are_served_only_where_it_is_allowed() -> None:
    assert [read_settings({**AZURE, "ALLOW_UNVALIDATED": text}).allow_unvalidated for text in ("", "0", "1")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "  ",
        ",",
        "a:",
        ":k",
        "a:k1,,b:k2",
        "a:k1,a:k2",
        "k1,k2",
        "a:k:l",
        "Schlüssel",
        "a b",
        "a\tb",
        "a\nb",
        "a\nb:k",
        "a b:k",
        "\udcff",
    ],
)
def test_keys_that_are_refused(keys: str) -> None:
    with pytest.raises(SettingsError, match=r"^API_KEY[^\n]*\.$"):
        read_settings({**GOOD, "API_KEY": keys})


@pytest.mark.parametrize("url", ["", "localhost", "http://localhost:8001", "localhost:port", "a b:1", "dns:///:1"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^TRITON_URL"):
        read_settings({**GOOD, "TRITON_URL": url})


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "dns:///triton.tosia.svc:8001"])
def test_addresses_that_are_taken(url: str) -> None:
    assert read_settings({**GOOD, "TRITON_URL": url}).triton_url == url


@pytest.mark.parametrize("stores", ["AZURE", "folder"])
def test_stores_that_are_refused(stores: str) -> None:
    with pytest.raises(SettingsError, match=r"^TOSIA_STORES"):
        read_settings({**GOOD, "TOSIA_STORES": stores})


def name_of_key(given: str | None) -> str:
    """As a request with that header finds it, where two keys are set."""
    app = FastAPI()
    app.state.key_digests = key_digests(read_settings({**GOOD, "API_KEY": "old:k1,new:k2"}).api_keys)
    headers = [] if given is None else [(b"x-api-key", given.encode("utf-8", "surrogateescape"))]
    request = Request({"type": "http", "app": app, "headers": headers, "state": {}})
    asyncio.run(require_key(request))
    return str(request.state.key_name)


def test_rotated_keys_are_told_apart() -> None:
    assert name_of_key("k1") == "old"
    assert name_of_key("k2") == "new"


@pytest.mark.parametrize(
    "given", [None, "", "k", "k11", "K1", "old:k1", "k1,k2", " k1", "\udcff", "Schlüssel", "default"]
)
def test_other_keys_are_refused(given: str | None) -> None:
    with pytest.raises(Unauthorized):
        name_of_key(given)


def test_every_variable_that_is_read_is_listed() -> None:
    """`make manifests` refuses what is not in the list, so the list must be what `read_settings` asks for."""

    class Recording(dict[str, str]):
        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            asked.add(key)
            return super().get(key, default)  # type: ignore[arg-type]

    asked: set[str] = set()
    read_settings(Recording(AZURE))
    read_settings(Recording({**GOOD, ENDPOINT: "http://collector:4318"}))
    assert asked == {*VARIABLES, *VARIABLES_OF_TRACES}


@pytest.mark.parametrize("name", [name for name, variable in VARIABLES.items() if variable.default is not None])
@pytest.mark.parametrize("environment", [GOOD, AZURE])
def test_the_default_is_what_is_taken(name: str, environment: dict[str, str]) -> None:
    """`--help` shows it; it is taken where the variable is not set, and something else is something else."""
    default = VARIABLES[name].default
    assert default is not None
    unset = {key: value for key, value in environment.items() if key != name}
    if name != "TOSIA_STORES" or environment is AZURE:
        assert read_settings(unset) == read_settings({**environment, name: default})
    other = {
        "TOSIA_STORES": "embedded",
        "TOSIA_IDENTITY": "workload",
        "ALLOW_UNVALIDATED": "1",
        "TRITON_MAY_SLEEP": "1",
    }
    if name in other and environment is AZURE:
        assert read_settings(unset) != read_settings({**environment, name: other[name]})


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_triton_may_sleep(value: str, expected: bool) -> None:
    assert read_settings({**GOOD, "TRITON_MAY_SLEEP": value}).triton_may_sleep is expected


def test_a_switch_is_on_or_off() -> None:
    with pytest.raises(SettingsError, match=r"^TRITON_MAY_SLEEP is 'yes': set it to 1"):
        read_settings({**GOOD, "TRITON_MAY_SLEEP": "yes"})


STRAYS: dict[str, tuple[Callable[[str], str], str]] = {
    "blank before": (lambda text: f" {text}", "begins with a blank"),
    "blank after": (lambda text: f"{text} ", "ends with a blank"),
    "tab before": (lambda text: f"\t{text}", "begins with a tab"),
    "tab after": (lambda text: f"{text}\t", "ends with a tab"),
    "line feed before": (lambda text: f"\n{text}", "begins with a line feed"),
    "line feed after": (lambda text: f"{text}\n", "ends with a line feed"),
    "CRLF after": (lambda text: f"{text}\r\n", "ends with a carriage return and a line feed"),
    "double quotes": (lambda text: f'"{text}"', "ends with a double quote"),
    "one double quote": (lambda text: f'"{text}', "begins with a double quote"),
    "single quotes": (lambda text: f"'{text}'", "ends with a single quote"),
    "quotes and a line feed": (lambda text: f'"{text}"\n', "ends with a line feed"),
    "line feed inside": (lambda text: f"{text[:2]}\n{text[2:]}", "holds a line break"),
    "another blank": (lambda text: f"{text}\u00a0", "has white space around it"),
}
GIVEN = {**AZURE, "TOSIA_STORES": "azure", "TOSIA_VAR": "/some/where", "TOSIA_IDENTITY": "key",
         "BLOB_ENDPOINT": WORKLOAD["BLOB_ENDPOINT"], "COSMO_DATABASE": "tosia", "COSMO_CONTAINER": "calls",
         "ALLOW_UNVALIDATED": "111", "TRITON_MAY_SLEEP": "111", "TOSIA_CONFIG": "/no/where",
         ENDPOINT: "http://collector:4318", "INTAKE_QUEUE": "events", "INTAKE_KEY": "phone",
         "QUEUE_ENDPOINT": "https://account.queue.core.windows.net", "CALLBACKS": "{      }",
         "CALLBACKS_ALLOW_PRIVATE": "111"}  # fmt: skip


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("name", VARIABLES)
def test_what_stands_around_a_value_is_named(name: str, stray: str) -> None:
    """As `echo`, `kubectl` and quotes in a file leave it; without the value, which may be a secret."""
    change, says = STRAYS[stray]
    with pytest.raises(SettingsError) as caught:
        read_settings({**GIVEN, name: change(GIVEN[name])})
    message = str(caught.value)
    says = "key 'default' has characters" if (name, stray) == ("API_KEY", "line feed inside") else says
    assert re.search(rf"{name}('s)? {says}", message)
    assert "\n" not in message
    assert SECRET not in message
    assert sum(problem.startswith(name) for problem in caught.value.wrong) <= 2  # 111 is no switch, /no/where no file


@pytest.mark.parametrize("stray", [stray for stray in STRAYS if stray not in ("blank before", "line feed inside")])
@pytest.mark.parametrize("pairs", ["old:{},new:k2", "old:k1, new:{},third:k3", "{}:k1,new:k2", "old:{}"])
def test_what_stands_around_a_key_is_named(pairs: str, stray: str) -> None:
    with pytest.raises(SettingsError, match=rf"^API_KEY.*{STRAYS[stray][1]}") as caught:
        read_settings({**GOOD, "API_KEY": pairs.format(STRAYS[stray][0]("hush-hush"))})
    assert "hush" not in str(caught.value)


SECRET_OF_CALLBACKS = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789").decode()


def callbacks(url: str = "https://a.example/x", secrets: list[str] | None = None, **more: object) -> dict[str, str]:
    """An environment with a receiver."""
    given = {"default": {"url": url, "secrets": [SECRET_OF_CALLBACKS] if secrets is None else secrets, **more}}
    return {**GOOD, "CALLBACKS": json.dumps(given)}


def test_a_receiver_is_read() -> None:
    found = read_settings(callbacks(language="en", secrets=[SECRET_OF_CALLBACKS] * 2)).receivers["default"]
    assert (found.key_name, found.url.get_secret_value(), found.language) == ("default", "https://a.example/x", "en")
    assert [secret.get_secret_value() for secret in found.secrets] == [SECRET_OF_CALLBACKS] * 2
    assert SECRET_OF_CALLBACKS not in repr(found)
    assert "a.example" not in repr(found)
    assert read_settings(callbacks()).receivers["default"].language == "es"


def test_a_front_end_knows_the_intakes_key_without_a_queue_of_its_own() -> None:
    """Both have the same CALLBACKS, and either of them may send."""
    given = json.dumps({"pbx": {"url": "https://a.example/x", "secrets": [SECRET_OF_CALLBACKS]}})
    found = read_settings({**GOOD, "INTAKE_KEY": "pbx", "CALLBACKS": given})
    assert (found.intake, set(found.receivers)) == (None, {"pbx"})
    with pytest.raises(SettingsError, match="names the key 'pbx'"):
        read_settings({**GOOD, "CALLBACKS": given})


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (callbacks("http://a.example/x"), "is not https"),
        ({**callbacks("http://a.example/x"), "CALLBACKS_ALLOW_PRIVATE": "1"}, "is not https"),
        (callbacks("http://127.0.0.1:8000/"), "is not https"),
        (callbacks("https://user:word@a.example/"), "without a user"),
        (callbacks("ftp://a.example/"), "is not an address"),
        (callbacks("https://a.example:port/"), "is not an address"),
        (callbacks(secrets=["whsec_" + "A" * 8]), "a secret of 'default' is none"),
        (callbacks(secrets=[SECRET_OF_CALLBACKS.removeprefix("whsec_")]), "a secret of 'default' is none"),
        (callbacks(secrets=[]), "can't be read at default.secrets"),
        (callbacks(secrets=[SECRET_OF_CALLBACKS] * 3), "can't be read at default.secrets"),
        (callbacks(language="fr"), "the language of 'default'"),
        (callbacks(retries=3), "can't be read at default.retries"),
        ({**GOOD, "CALLBACKS": "hush"}, "CALLBACKS can't be read: give it as JSON"),
        ({**callbacks(), "API_KEY": "clinic:k1"}, "names the key 'default'"),
    ],
)
def test_what_is_wrong_with_a_receiver_is_said_without_it(environment: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(environment)
    message = str(caught.value)
    assert says in message
    assert not any(secret in message for secret in (SECRET_OF_CALLBACKS, "a.example", "hush", "word"))


def test_a_receiver_on_loopback_needs_no_tls_where_it_is_allowed() -> None:
    environment = {**callbacks("http://127.0.0.1:8000/"), "CALLBACKS_ALLOW_PRIVATE": "1"}
    assert read_settings(environment).callbacks_allow_private


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"INTAKE_QUEUE": "No_Queue"}, "INTAKE_QUEUE is not a queue's name"),
        ({"INTAKE_QUEUE": "a" * 57}, "INTAKE_QUEUE is not a queue's name"),
        ({"INTAKE_QUEUE": "events", "QUEUE_ENDPOINT": "http://a.example"}, "QUEUE_ENDPOINT is not https"),
    ],
)
def test_what_is_wrong_with_the_intake_is_said(more: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read_settings({**GIVEN, "ALLOW_UNVALIDATED": "1", "TRITON_MAY_SLEEP": "1", "TOSIA_CONFIG": "", **more,
                       "CALLBACKS_ALLOW_PRIVATE": "0"})  # fmt: skip


def test_an_intake_needs_no_keys_but_azures_stores() -> None:
    azure = {**GIVEN, "ALLOW_UNVALIDATED": "1", "TRITON_MAY_SLEEP": "1", "TOSIA_CONFIG": "", "CALLBACKS": "",
             "CALLBACKS_ALLOW_PRIVATE": "0", "API_KEY": "", "QUEUE_ENDPOINT": ""}  # fmt: skip
    found = read_settings(azure, serves=False)
    assert found.intake is not None
    assert (found.intake.queue, found.intake.key_name, found.api_keys) == ("events", "phone", ())
    assert found.intake.connection is not None  # the storage account's
    with pytest.raises(SettingsError, match="need TOSIA_STORES=azure"):
        read_settings({**azure, "TOSIA_STORES": "embedded"}, serves=False)
    with pytest.raises(SettingsError, match="API_KEY is missing"):
        read_settings(azure)
