"""What the routes ask for: the running services, and a request's deadline."""

from __future__ import annotations

from fastapi import Request

from frontend.domain.deadline import Deadline
from frontend.services import Services


def services_of(request: Request) -> Services:
    """Of the application that answers the request."""
    services: Services = request.app.state.services
    return services


def deadline_of(request: Request) -> Deadline:
    """As long from now on as one request may take."""
    return Deadline.after(services_of(request).limits.request_deadline_s)
