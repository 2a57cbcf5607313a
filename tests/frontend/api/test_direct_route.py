"""The route past FastAPI's machinery is the one that answers, and the documented one is the same."""

from __future__ import annotations

from fastapi.routing import iter_route_contexts
from starlette.routing import Match

from frontend.api.call_routes import post_diagnosis
from frontend.api.direct_route import DirectRoute
from frontend.app import described_routes

PATH = "/v1/diagnoses"


def scope(method: str, path: str = PATH) -> dict[str, object]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def test_the_first_route_that_matches_is_the_direct_one() -> None:
    app = described_routes()
    first = next(route for route in app.routes if route.matches(scope("POST"))[0] is Match.FULL)
    assert isinstance(first, DirectRoute)
    match, found = first.matches(scope("GET"))
    assert match is Match.PARTIAL
    assert found["route"] is first  # for the metrics and the log
    assert first.matches(scope("POST", "/v1/calls"))[0] is Match.NONE


def test_the_documented_route_has_the_same_endpoint() -> None:
    app = described_routes()
    assert "post" in app.openapi()["paths"][PATH]
    documented = [context for context in iter_route_contexts(app.routes) if getattr(context, "path", None) == PATH]
    assert [context.endpoint for context in documented if context.endpoint is post_diagnosis] == [post_diagnosis]
