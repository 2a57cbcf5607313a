"""BentoML around our preparation and the ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml

from bench.peers.arguments import ROUTE
from bench.peers.bentoml_start import ACCESS_LOG_OFF, READY_PATH, Diagnosing, TemplateArguments, serve
from bench.peers.ours import our_diagnose

__all__ = ["READY_PATH", "Diagnoses", "main"]

arguments = bentoml.use_arguments(TemplateArguments)


@bentoml.service(workers=arguments.workers, logging=ACCESS_LOG_OFF)
class Diagnoses:
    """One instance a worker."""

    def __init__(self) -> None:
        self._diagnosing = Diagnosing(our_diagnose, arguments.var)

    @bentoml.api(route=ROUTE)
    def diagnose(self, audio: Path, call_id: str | None = None) -> dict[str, Any]:
        """`POST /v1/diagnoses`."""
        return self._diagnosing.diagnosed(audio, call_id)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Called by BentoML."""
        self._diagnosing.close()


def main() -> None:
    """Does not return."""
    serve("bench.peers.bentoml_ours:Diagnoses", __doc__)


if __name__ == "__main__":
    main()
