"""The console: static pages of our own at `/`, which use the API as anybody does.

They need no key; what they show does.

Everything a page may do is said here, and nothing of it is elsewhere: scripts, styles, pictures and requests of this
host only.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from runtime.messages.catalogue import FOLDER as CATALOGUES
from runtime.messages.languages import Language

FOLDER = Path(__file__).resolve().parent.parent / "console"

# blob: what was fetched with the key, which elements can't send. Trusted Types: no text becomes markup or a script's
# address, but for the one in player.js.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types tosia",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for each time and answered 304, so that no page mixes two versions for long
}
WORKER = "service_worker.js"

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=FOLDER)
_catalogues = StaticFiles(directory=CATALOGUES)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The console's page."""
    return await _answer("index.html", request)


@router.api_route("/console/messages.{language}.json", methods=["GET", "HEAD"])
async def messages(language: Language, request: Request) -> Response:
    """The catalogue of a language, which the scripts look their texts up in."""
    return await _answer(f"{language.value}.json", request, _catalogues)


@router.api_route("/console/{name}", methods=["GET", "HEAD"])
async def part(name: str, request: Request) -> Response:
    """A script, the style or the icon. Raises: HTTPException(404)."""
    if name.startswith((".", "index")):
        raise HTTPException(404)
    return await _answer(name, request)


async def _answer(name: str, request: Request, files: StaticFiles = _files) -> Response:
    response = await files.get_response(name, request.scope)
    response.headers.update(HEADERS)
    if name == WORKER:
        response.headers["Service-Worker-Allowed"] = "/"
    return response
