"""BentoML around our preparation and the ONNX model."""

from __future__ import annotations

from bench.baselines.bentoml_start import READY_PATH, serve

__all__ = ["READY_PATH", "main"]


def main() -> None:
    """Does not return."""
    serve("bench.baselines.ours:our_diagnose", __doc__)


if __name__ == "__main__":
    main()
