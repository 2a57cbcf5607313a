"""A router whose GET routes answer HEAD, too, as RFC 9110 wants of every server (section 9.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


class Router(APIRouter):
    """Adds a HEAD route for each GET route: the same answer, whose body the server leaves out.

    The API documents do not list them: generated clients would get every operation twice.
    """

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add the route, and its HEAD beside it."""
        super().add_api_route(path, endpoint, **options)
        if list(options.get("methods") or ()) == ["GET"]:
            super().add_api_route(path, endpoint, **{**options, "methods": ["HEAD"], "include_in_schema": False})


def add_head(routes: Iterable[BaseRoute]) -> None:
    """Let routes of others that the API documents do not list answer HEAD."""
    for route in routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"} and not route.include_in_schema:
            route.methods = {"GET", "HEAD"}
