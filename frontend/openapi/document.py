"""The OpenAPI document: the common parts of all routes, and the components that their descriptions refer to."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.types import Lifespan

from frontend.openapi import examples
from frontend.openapi.schemas import Problem
from runtime.version import SOFTWARE_VERSION

DESCRIPTION = """Listens to a cough: post a recording, get a diagnosis record that can be replayed and audited.

The reference weights are a demonstrator (`validated: false`): orientation at most, never a medical diagnosis.

Errors are problems (RFC 9457) with a stable `code`. Besides those of each route: 404 `not_found` for a path that does
not exist, 405 `method_not_allowed` with `Allow` for a method that the path lacks, 500 `internal_error` for a defect of
ours.

Each GET route answers HEAD, too: the same answer without its body."""

_TAGS = [
    {"name": "calls", "description": "Recordings, their diagnoses, audio and figures"},
    {"name": "model", "description": "What scores them"},
    {"name": "probes", "description": "For whatever watches over this process; they want no key"},
]

# Headers of every answer.
_EVERYWHERE = ("X-Request-ID", "X-Content-Type-Options")


def _header(description: str, example: str | int, *, required: bool = True) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "required": required, "schema": {"type": kind}, "example": example}


_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": _header("Names the request, in our log, too", examples.REQUEST_ID),
    "X-Content-Type-Options": _header("The content is of the type that is named", "nosniff"),
    "Location": _header("Where the call is", f"/v1/calls/{examples.CALL_ID}"),
    "LocationOfStored": _header(
        "Where the call is, if it is stored all the same", f"/v1/calls/{examples.CALL_ID}", required=False
    ),
    "Retry-After": _header("After how many seconds asking again may help", examples.RETRY_AFTER_S),
    "Content-Range": _header("Which bytes of how many; `*/size` where none", "bytes 0-4095/35844"),
    "Accept-Ranges": _header("The unit in which ranges may be asked for", "bytes"),
    "Accept-Encoding": _header(
        "Only where the body had a Content-Encoding: send it with none", "identity", required=False
    ),
    "Content-Language": _header("What it is written in, `es` or `en`", "es"),
    "Vary": _header("What the answer depends on beside the address", "Accept-Language"),
    "Cache-Control": _header("Recordings are for nobody else's eyes or disks", "private, no-store"),
}

_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Your name for the request: kept where it is 1 to 64 letters, digits or . _ -",
    "examples": {"yours": {"value": examples.REQUEST_ID}},
}
_ACCEPT_LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "What problems and `guidance` are written in: Spanish (`es`, the default) or English (`en`)",
    "examples": {"spanish": {"value": "es-AR, es;q=0.9"}, "english": {"value": "en"}},
}
_COMMON_PARAMETERS = (_REQUEST_ID, _ACCEPT_LANGUAGE)


def _values() -> dict[str, dict[str, Any]]:
    values = {
        **examples.CALLS,
        **examples.PAGES,
        **examples.PROBLEMS,
        "model": examples.MODEL,
        **examples.PROBES,
    }
    files = {"recording": examples.WAV, "image": examples.PNG}
    return {
        **{name: {"value": value} for name, value in values.items()},
        **{name: {"externalValue": uri} for name, uri in files.items()},
    }


def described_api(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return an application without routes; its document adds all common parts to the routes' own descriptions."""
    app = FastAPIOffline(
        title="Tos.IA",
        version=SOFTWARE_VERSION,
        description=DESCRIPTION,
        openapi_tags=_TAGS,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Its own OpenTelemetry: asked at each request whether somebody wants it, and switched on by a variable.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    generated = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _describe(generated())
        return generated()

    app.openapi = described  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    """Return a route's operation id; generated clients use it, so it must stay when a path changes."""
    return route.name


def _describe(document: dict[str, Any]) -> None:
    """Add the common parts of all routes, and the components that their descriptions refer to."""
    components = document["components"]
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["headers"] = _HEADERS
    components["examples"] = _values()
    components["parameters"] = {common_parameter["name"]: common_parameter for common_parameter in _COMMON_PARAMETERS}
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.setdefault("parameters", []):
                _without_null(parameter["schema"])
            operation["parameters"] += [
                {"$ref": f"#/components/parameters/{common_parameter['name']}"}
                for common_parameter in _COMMON_PARAMETERS
            ]
            for response in operation["responses"].values():
                headers = response.setdefault("headers", {})
                headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in _EVERYWHERE})


def _without_null(schema: dict[str, Any]) -> None:
    """Remove null from a schema: an optional query or header is left out, never null."""
    if "anyOf" in schema:
        (given,) = [item for item in schema.pop("anyOf") if item != {"type": "null"}]
        schema.update(given)
