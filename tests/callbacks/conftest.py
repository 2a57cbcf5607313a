"""A receiver's certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.services.certificate import CERTIFICATE, server_context


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1, and the file of the authority that signed its certificate: itself."""
    folder = tmp_path_factory.mktemp("tls")
    return server_context(folder), folder / CERTIFICATE
