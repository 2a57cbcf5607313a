"""What stops a plan: PlanError
BadQuestion      a number, a file or a price that can't be used (exit code 2)
TargetNotMet     no number of pods answers in that time (exit code 1)
"""

from __future__ import annotations


class PlanError(Exception):
    """One sentence for whoever asked."""

    exit_code = 2


class BadQuestion(PlanError):
    """A number, a file or a price that can't be used."""


class TargetNotMet(PlanError):
    """No number of pods answers in that time."""

    exit_code = 1
