"""LitServe around the usual librosa code and the ONNX model."""

from __future__ import annotations

from bench.baselines.arguments import read_arguments
from bench.baselines.litserve_api import READY_PATH, serve
from bench.baselines.usual_code import usual_onnx_diagnose

__all__ = ["READY_PATH", "main"]


def main() -> None:
    """Returns when the service has ended."""
    serve(usual_onnx_diagnose, read_arguments(__doc__))


if __name__ == "__main__":
    main()
