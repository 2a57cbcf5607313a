"""Access for the routes to the running services and to a request's deadline."""

from __future__ import annotations

from fastapi import Request

from frontend.domain.deadline import Deadline
from frontend.services import Services


def services_of(request: Request) -> Services:
    """Return the services of the application that answers the request."""
    services: Services = request.app.state.services
    return services


def deadline_of(request: Request) -> Deadline:
    """Return the deadline of a request that starts now."""
    return Deadline.after(services_of(request).limits.request_deadline_s)
