"""What every process that diagnoses does before it says that it is ready."""

from __future__ import annotations

from threadpoolctl import threadpool_limits

from bench.baselines.storing import Diagnose
from runtime.config import ROOT

SAMPLE = ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"


def make_ready(diagnose: Diagnose) -> None:
    """One diagnosis, of which nothing is stored, since librosa imports and compiles half of itself at its first use.

    Then one thread each for the BLAS of NumPy and SciPy: they start one for every core, and several workers that all do
    so keep each other waiting (the usual code takes twice the processor time then).
    """
    diagnose(SAMPLE.read_bytes())
    threadpool_limits(limits=1)
