"""Refuses a request with work, from its headers, if its work could not be done soon."""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from frontend.answers.http_errors import http_error
from frontend.answers.problem_document import PROBLEM_TYPE, problem_document
from frontend.configuration.known_keys import key_name_of
from frontend.domain.errors import Overloaded
from frontend.i18n.language import HEADERS, language_of
from frontend.observability.tracing import span
from frontend.services import Services
from runtime.messages.catalogue import say_error

_GATED = frozenset({"/v1/diagnoses"})


class AdmissionGate:
    """ASGI middleware in front of the upload routes: a refusal needs no routing and no form parsing.

    It gives the place back whatever becomes of the request, with all that `read_upload` let its body hold.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Routes also match a path that ends in a line feed.
        if scope["type"] != "http" or scope["method"] != "POST" or (path := scope["path"].rstrip("\n")) not in _GATED:
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        admission = services.admission
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        # A length above the limit is refused later as too large.
        told = declared.isdecimal() and len(declared) < 16
        claim = min(int(declared), self._max_body_bytes) if told else None
        key_name = key_name_of(headers.get("x-api-key", ""), scope["app"].state.key_digests)
        if key_name is not None:
            scope["state"]["key_name"] = key_name
        try:
            with span("admission"):
                ticket = admission.admit(claim, key_name)
        except Overloaded as error:
            scope["state"]["refused"] = path
            await _refuse(error, scope, send)
            return

        scope["state"]["ticket"] = ticket
        try:
            await self._app(scope, receive, send)
        finally:
            admission.release(ticket)


async def _refuse(error: Overloaded, scope: Scope, send: Send) -> None:
    known = http_error(error)
    language = language_of(scope)
    document = problem_document(known, say_error(error, language), scope["state"]["request_id"], language)
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(error.retry_after_s).encode()),
        *((name.lower().encode(), value.encode()) for name, value in HEADERS[language].items()),
    ]
    await send({"type": "http.response.start", "status": known.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
