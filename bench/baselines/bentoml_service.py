"""The BentoML service of both BentoML baselines; which code is in it, a template argument says."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import bentoml

from bench.baselines.arguments import ROUTE
from bench.baselines.bentoml_start import ACCESS_LOG_OFF, Diagnosing, TemplateArguments

arguments = bentoml.use_arguments(TemplateArguments)


@bentoml.service(workers=arguments.workers, logging=ACCESS_LOG_OFF)
class Diagnoses:
    """One instance a worker."""

    def __init__(self) -> None:
        self._diagnosing = Diagnosing(pkgutil.resolve_name(arguments.make_diagnose), arguments.var)

    @bentoml.api(route=ROUTE)
    def diagnose(self, audio: Path, call_id: str | None = None) -> dict[str, Any]:
        """`POST /v1/diagnoses`."""
        return self._diagnosing.diagnosed(audio, call_id)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Called by BentoML."""
        self._diagnosing.close()
