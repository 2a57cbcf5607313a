"""LitServe around our preparation and the ONNX model."""

from __future__ import annotations

from bench.baselines.arguments import read_arguments
from bench.baselines.litserve_api import READY_PATH, serve
from bench.baselines.ours import our_diagnose

__all__ = ["READY_PATH", "main"]


def main() -> None:
    """Returns when the service has ended."""
    serve(our_diagnose, read_arguments(__doc__))


if __name__ == "__main__":
    main()
