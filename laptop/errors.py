"""What can keep the system from running here; every message is one line that says what to do."""

from __future__ import annotations


class LaptopError(Exception):
    """The system did not start or did not answer."""


class SetupError(LaptopError):
    """Something has to change first: exit code 2."""
