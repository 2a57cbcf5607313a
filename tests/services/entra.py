"""The cloud's identity, which can't run here: a token endpoint that speaks OAuth 2 for a workload identity, and TLS
proxies.

These take its tokens, which are short-lived, and hand each request on to Azurite and the Cosmos server under their
keys.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from tests.services.azure import Account, Azure
from tests.services.azurite import ACCOUNT
from tests.services.certificate import CERTIFICATE, server_context
from tests.services.http_proxy import Answer, Fault, HttpProxy, Seen

TENANT, CLIENT = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
TOKEN_S = 2  # so that tokens expire while a test runs
_DENIED = Answer(401, {"WWW-Authenticate": "Bearer"}, b'{"code": "Unauthorized"}')


class Entra:
    """As a context manager.

    `environment`: of a front end that has this identity and no key; issued: how many tokens were given.

    told_s: how long a token lives by its own account; `revoke` ends it before
    refuses: while it is set, the services take no token; denial: what they answer then
    """

    def __init__(self, azure: Azure, account: Account, folder: Path, told_s: int = TOKEN_S) -> None:
        self._told_s = told_s
        self.refuses = False
        self.denial = _DENIED
        self._azure = azure
        self._account = account
        self._folder = folder
        self._stack = ExitStack()
        self._tokens: dict[str, float] = {}
        self.denied = 0
        tls = server_context(folder)
        self._entra = HttpProxy(0, self._give_token, tls)
        self._blob = HttpProxy(azure.azurite.port, self._check, tls, self._sign_blob)
        self._cosmos = HttpProxy(azure.cosmos.port, self._check_cosmos, tls, self._sign_cosmos)
        (folder / "token").write_text("the service account's token")

    @property
    def issued(self) -> int:
        return len(self._tokens)

    def revoke(self) -> None:
        """No token that was given is taken any more, whatever it says about itself."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def environment(self) -> dict[str, str]:
        return {
            "TOSIA_STORES": "azure",
            "TOSIA_IDENTITY": "workload",
            "ALLOW_UNVALIDATED": "1",
            "BLOB_ENDPOINT": f"https://127.0.0.1:{self._blob.port}/{ACCOUNT}",
            "BLOB_CONTAINER": self._account.container,
            "COSMO_ENDPOINT": f"https://127.0.0.1:{self._cosmos.port}/",
            "COSMO_CONTAINER": self._account.container,
            # What the cluster's webhook gives a pod whose service account has an identity:
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{self._entra.port}/",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(self._folder / "token"),
            "SSL_CERT_FILE": str(self._folder / CERTIFICATE),
        }

    def __enter__(self) -> Self:
        for proxy in (self._entra, self._blob, self._cosmos):
            self._stack.enter_context(proxy)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _give_token(self, seen: Seen) -> Fault:
        form = urllib.parse.parse_qs(seen.body.decode())
        good = seen.path == f"/{TENANT}/oauth2/v2.0/token" and form.get("client_id") == [CLIENT]
        if not good or form.get("client_assertion") != ["the service account's token"]:
            return Answer(400, {"Content-Type": "application/json"}, b'{"error": "invalid_client"}')
        token = f"token-{len(self._tokens)}"
        self._tokens[token] = time.monotonic() + self._told_s
        answer = {"token_type": "Bearer", "access_token": token, "expires_in": self._told_s}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _check(self, seen: Seen) -> Fault | None:
        given = urllib.parse.unquote(seen.headers.get("authorization", ""))
        token = given.removeprefix("Bearer ").removeprefix("type=aad&ver=1.0&sig=")
        if self._tokens.get(token, 0.0) > time.monotonic() and not self.refuses:
            return None
        self.denied += 1
        return self.denial

    def _check_cosmos(self, seen: Seen) -> Fault | None:
        denied = self._check(seen)
        if denied is None and seen.path == "/":  # the account, which names where it is to be asked
            place = [{"name": "here", "databaseAccountEndpoint": f"https://127.0.0.1:{self._cosmos.port}/"}]
            account = {"id": "here", "writableLocations": place, "readableLocations": place}
            policy = {"userConsistencyPolicy": {"defaultConsistencyLevel": "BoundedStaleness"}}
            return Answer(200, {"Content-Type": "application/json"}, json.dumps({**account, **policy}).encode())
        return denied

    def _sign_blob(self, seen: Seen) -> Seen:
        signature = generate_account_sas(
            ACCOUNT,
            self._azure.azurite.key,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True),
            datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
        )
        headers = {name: value for name, value in seen.headers.items() if name != "authorization"}
        return Seen(seen.method, f"{seen.path}{'&' if '?' in seen.path else '?'}{signature}", headers, seen.body)

    def _sign_cosmos(self, seen: Seen) -> Seen:
        parts = [part for part in urllib.parse.unquote(seen.path.split("?")[0]).split("/") if part]
        kind, link = (parts[-1], parts[:-1]) if len(parts) % 2 else (parts[-2], parts)
        text = "\n".join([seen.method.lower(), kind, "/".join(link), seen.headers["x-ms-date"].lower(), "", ""])
        key = base64.b64decode(self._azure.cosmos.key)
        signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        signed = urllib.parse.quote(f"type=master&ver=1.0&sig={signature}", safe="")
        return Seen(seen.method, seen.path, {**seen.headers, "authorization": signed}, seen.body)
