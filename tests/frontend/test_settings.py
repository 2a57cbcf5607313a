"""The environment: what is taken, and that all that is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend.authenticate import Authenticator
from frontend.errors import Unauthorized
from frontend.settings import ApiKey, Settings, SettingsError, read_settings
from runtime.config import ROOT

GOOD = {"API_KEY": "secret", "TOSIA_STORES": "embedded", "TRITON_URL": "localhost:8001"}


def test_all_that_is_missing_is_named_in_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({})
    message = str(caught.value)
    assert "\n" not in message
    for name in ("API_KEY", "TOSIA_STORES", "TRITON_URL"):
        assert name in message


def test_a_bare_key() -> None:
    assert read_settings(GOOD) == Settings((ApiKey("default", "secret"),), "embedded", ROOT / "var", "localhost:8001")


def test_pairs_and_the_folder() -> None:
    settings = read_settings({**GOOD, "API_KEY": "old:k1, new:k2", "TOSIA_VAR": "/some/where"})
    assert settings.api_keys == (ApiKey("old", "k1"), ApiKey("new", "k2"))
    assert settings.var == Path("/some/where")


def test_keys_do_not_show() -> None:
    assert "secret" not in repr(read_settings(GOOD))


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


@pytest.mark.parametrize("stores", ["azure", "AZURE", "", "folder"])
def test_stores_that_are_refused(stores: str) -> None:
    with pytest.raises(SettingsError, match=r"^TOSIA_STORES"):
        read_settings({**GOOD, "TOSIA_STORES": stores})


def test_rotated_keys_are_told_apart() -> None:
    authenticator = Authenticator(read_settings({**GOOD, "API_KEY": "old:k1,new:k2"}).api_keys)
    assert authenticator.key_name("k1") == "old"
    assert authenticator.key_name("k2") == "new"


@pytest.mark.parametrize(
    "given", [None, "", "k", "k11", "K1", "old:k1", "k1,k2", " k1", "\udcff", "Schlüssel", "default"]
)
def test_other_keys_are_refused(given: str | None) -> None:
    authenticator = Authenticator(read_settings({**GOOD, "API_KEY": "old:k1,new:k2"}).api_keys)
    with pytest.raises(Unauthorized):
        authenticator.key_name(given)
