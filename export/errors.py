"""Why there is no release. Each message is one sentence or two that say what to do."""

from __future__ import annotations


class ExportError(ValueError):
    """Nothing was written, selected or published."""


class OwnModelError(ExportError):
    """A model that was made elsewhere, or the YAML that describes it, does not fit what is served here."""


class GateError(ExportError):
    """Two ways to run the same model disagree, or one of them can't be run."""


class ReleaseError(ExportError):
    """A release is missing, altered, or would be overwritten."""


class PublishError(ExportError):
    """The container can't be reached, or holds something else under the release's path."""


class UnavailableError(ExportError):
    """This machine lacks what the format needs."""


class SettingsMissingError(PublishError):
    """The environment does not say where to publish to."""
