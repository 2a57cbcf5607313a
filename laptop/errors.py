"""Errors that stop the system from running here; every message is one line of advice."""

from __future__ import annotations


class LaptopError(Exception):
    """The system did not start or did not answer."""


class SetupError(LaptopError):
    """Something has to change first: exit code 2."""
